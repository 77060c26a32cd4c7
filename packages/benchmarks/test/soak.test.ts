import { describe, expect, it } from "vitest"
import { figuresOf, type Sample } from "../src/soak/soak.js"

/** Whether the figures hold of samples that are taken every 1,000 operations. */
const verdict = (sample: (index: number) => Omit<Sample, "operations">) => {
  const samples = Array.from({ length: 25 }, (_, index) => ({ operations: index * 1000, ...sample(index) }))
  return Object.fromEntries(
    figuresOf({ name: "soak", operations: "operations" }, samples).map(({ figure, holds }) => [figure, holds])
  )
}

const noise = (index: number) => ((index * 7919) % 25) * 4000

describe("a soak fails", () => {
  it("if the heap grows by an object an operation, even in noise", () => {
    expect(verdict((index) => ({ heap: index * 1000 * 24 + noise(index), constant: {} }))).toEqual({ heap: false })
  })

  it("if a count is not the same in the end, or in between", () => {
    const constant = (index: number) => ({ fibers: index === 24 ? 1 : 0, timers: index === 7 ? 1 : 0, handles: 3 })
    expect(verdict((index) => ({ heap: 0, constant: constant(index) }))).toMatchObject({
      fibers: false,
      timers: false,
      handles: true
    })
  })

  it("if a figure leaves its bounds once", () => {
    const bounded = (index: number) => ({
      attempts: { value: index === 3 ? 11 : 10, atMost: 10 },
      pause: { value: index === 3 ? 59 : 60, atLeast: 60 },
      warnings: { value: 10, atMost: 10 }
    })
    expect(verdict((index) => ({ heap: 0, constant: {}, bounded: bounded(index) }))).toMatchObject({
      "attempts (at most 10)": false,
      "pause (at least 60)": false,
      "warnings (at most 10)": true
    })
  })
})

describe("a soak holds", () => {
  it("if the heap only goes up and down, or grows by less than anything takes", () => {
    expect(verdict((index) => ({ heap: noise(index), constant: {} }))).toEqual({ heap: true })
    expect(verdict((index) => ({ heap: index * 4000, constant: {} }))).toEqual({ heap: true })
  })
})
