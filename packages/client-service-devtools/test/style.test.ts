import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"

const style = readFileSync(join(import.meta.dirname, "../page/style.css"), "utf8")

const coloursOf = (block: string): ReadonlyMap<string, string> =>
  new Map([...block.matchAll(/--([\w-]+): (#[\da-f]{6});/g)].map(([, name = "", colour = ""]) => [name, colour]))

const [light = "", dark = ""] = [...style.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => block ?? "")

const luminance = (colour: string): number =>
  [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const value = Number.parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16) / 255
    return sum + weight * (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  }, 0)

const contrast = (one: string, other: string): number => {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (lighter + 0.05) / (darker + 0.05)
}

// As WCAG 2 has it at level AA: for text, and for what is to be told apart besides.
const texts = [
  ["text", "surface"],
  ["text", "back"],
  ["muted", "surface"],
  ["muted", "back"],
  ["accent", "surface"],
  ["surface", "accent"],
  ["surface", "text"],
  ["connection", "surface"],
  ["on-connection", "connection"],
  ["attempt", "surface"],
  ["failure", "surface"],
  ["failure", "back"],
  ["delay-text", "surface"]
] as const
const bars = ["connection", "attempt", "failure", "delay", "stopping", "stopped", "exhausted", "now"] as const

describe.each([
  ["light", coloursOf(light)],
  ["dark", coloursOf(dark)]
] as const)("the %s colours", (_, colours) => {
  const between = (one: string, other: string) => contrast(colours.get(one) ?? "", colours.get(other) ?? "")

  it.each(texts)("have %s that can be read on %s", (one, other) => {
    expect(between(one, other)).toBeGreaterThanOrEqual(4.5)
  })

  it.each(bars)("have %s that can be seen", (bar) => {
    expect(between(bar, "surface")).toBeGreaterThanOrEqual(3)
  })
})
