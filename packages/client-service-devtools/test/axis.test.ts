import { describe, expect, it } from "@effect/vitest"
import { lengthOf, ticks, timeOf, upTo, xOf, zoomed } from "../page/axis.js"
import { View } from "../page/view.js"

const noon = Date.UTC(2026, 0, 5, 12)
const labels = (from: number, to: number, width: number, offset = 0) =>
  ticks({ from, to }, width, offset).map(({ label }) => label)

describe("the axis", () => {
  it("has round moments on it, and no more than there is room for", () => {
    expect(labels(noon - 1, noon + 30_000, 600)).toEqual([
      "12:00:00",
      "12:00:05",
      "12:00:10",
      "12:00:15",
      "12:00:20",
      "12:00:25",
      "12:00:30"
    ])
    expect(labels(noon, noon + 60_000, 240)).toEqual(["12:00:00", "12:00:30", "12:01:00"])
    expect(labels(noon, noon + 3_600_000, 400)).toEqual(["12:00", "12:15", "12:30", "12:45", "13:00"])
    expect(labels(noon, noon + 100_000_000, 10)).not.toEqual([])
  })

  it("is that of the place where it is looked at", () => {
    const half = 5.5 * 3_600_000
    expect(labels(noon, noon + 2 * 3_600_000, 240, half)).toEqual(["18:00", "19:00"])
  })

  it("leads from a time to a place and back", () => {
    const span = upTo(noon, 60_000)
    expect(xOf(span, 600, span.from)).toBe(0)
    expect(xOf(span, 600, span.to)).toBe(600)
    expect(timeOf(span, 600, xOf(span, 600, noon))).toBeCloseTo(noon)
    expect(lengthOf(span)).toBe(60_000)
    expect(noon).toBeLessThan(span.to)
  })

  it("is made longer around a moment, within limits", () => {
    const span = { from: 0, to: 60_000 }
    expect(zoomed(span, 2, 15_000)).toEqual({ from: -15_000, to: 105_000 })
    expect(lengthOf(zoomed(span, 1e-9, 0))).toBe(5000)
    expect(lengthOf(zoomed(span, 1e9, 0))).toBe(6 * 3_600_000)
  })
})

describe("the view", () => {
  it("follows the present until one moves, and again when one has moved back", () => {
    const view = new View(60_000)
    expect(view.span(noon)).toEqual(upTo(noon, 60_000))
    view.pan(-30_000, noon)
    expect(view.isFollowing).toBe(false)
    const span = view.span(noon)
    expect(view.span(noon + 5000)).toEqual(span)
    view.pan(20_000, noon + 5000)
    expect(view.isFollowing).toBe(false)
    view.pan(20_000, noon + 5000)
    expect(view.isFollowing).toBe(true)
    expect(view.span(noon + 6000)).toEqual(upTo(noon + 6000, 60_000))
  })

  it("zooms around the present while it follows, and around what one points at if not", () => {
    const view = new View(60_000)
    view.zoom(2, noon - 50_000, noon)
    expect(view.isFollowing).toBe(true)
    expect(view.length).toBe(120_000)
    view.pan(-600_000, noon)
    const { from } = view.span(noon)
    view.zoom(0.5, from, noon)
    expect(view.span(noon)).toEqual({ from, to: from + 60_000 })
    view.follow(600_000)
    expect(view.span(noon)).toEqual(upTo(noon, 600_000))
  })
})
