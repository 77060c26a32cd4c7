import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect } from "effect"
import { InvalidOption } from "effect-client-service"
import * as Validate from "../src/internal/options.js"

const refusalOf = (validate: () => unknown): InvalidOption.InvalidOption => {
  try {
    validate()
  } catch (error) {
    if (error instanceof InvalidOption.InvalidOption) return error
    throw error
  }
  throw new Error("was not refused")
}

// What a program without types may pass.
const untyped = (value: unknown): never => value as never

describe("InvalidOption", () => {
  it("tells who refused what, and what would do", () => {
    const refusal = refusalOf(() => Validate.integer("Pool.make", "size", -1, 0))
    expect(refusal).toMatchObject({
      _tag: "InvalidOption",
      where: "Pool.make",
      option: "size",
      value: -1,
      expected: "an integer of at least 0"
    })
    expect(refusal.message).toBe("Pool.make: size must be an integer of at least 0, got -1")
  })

  it("is a defect of the Effect that it is thrown in", () => {
    const exit = Effect.runSyncExit(Effect.sync(() => Validate.text("f", "name", "")))
    expect(exit._tag === "Failure" && Cause.isDie(exit.cause)).toBe(true)
  })
})

describe("integer", () => {
  it.each([0, 1, -3, 65_535, Number.MAX_SAFE_INTEGER])("takes %d", (value) => {
    expect(Validate.integer("f", "n", value, -3)).toBe(value)
  })

  it.each([1, 7, 10])("takes %d from 1 to 10", (value) => {
    expect(Validate.integer("f", "n", value, 1, 10)).toBe(value)
  })

  it.each<[unknown, string]>([
    [0, "0"],
    [-1, "-1"],
    [1.5, "1.5"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    ["2", '"2"'],
    [2n, "2"],
    [undefined, "undefined"],
    [null, "null"]
  ])("refuses %s", (value, printed) => {
    expect(refusalOf(() => Validate.integer("f", "n", untyped(value), 1)).message).toBe(
      `f: n must be an integer of at least 1, got ${printed}`
    )
  })

  it.each([0, 11, Number.POSITIVE_INFINITY])("refuses %d from 1 to 10", (value) => {
    expect(refusalOf(() => Validate.integer("f", "n", value, 1, 10)).message).toBe(
      `f: n must be an integer from 1 to 10, got ${value}`
    )
  })
})

describe("boolean", () => {
  it.each([true, false])("takes %s", (value) => {
    expect(Validate.boolean("f", "b", value)).toBe(value)
  })

  it.each([undefined, null, 0, "false", {}])("refuses %j", (value) => {
    expect(refusalOf(() => Validate.boolean("f", "b", untyped(value))).message).toMatch(
      /^f: b must be true or false, got /
    )
  })
})

describe("object", () => {
  it("takes one", () => {
    const value = { a: 1 }
    expect(Validate.object("f", "o", value)).toBe(value)
  })

  it.each([undefined, null, 0, "x", true, []])("refuses %j", (value) => {
    expect(refusalOf(() => Validate.object("f", "o", value)).message).toMatch(/^f: o must be an object, got /)
  })

  it.each(["redis://:secret@host", ["secret"]])("does not show %j, which may hold a secret", (value) => {
    expect(refusalOf(() => Validate.object("f", "o", value)).value).toBe("(not shown)")
  })
})

describe("text", () => {
  it.each(["redis", " redis ", "0"])("takes %j as it is", (value) => {
    expect(Validate.text("f", "name", value)).toBe(value)
  })

  it.each<[unknown, string]>([
    ["", '""'],
    ["  ", '"  "'],
    ["\n\t", String.raw`"\n\t"`],
    [undefined, "undefined"],
    [null, "null"],
    [5, "5"],
    [{ name: "redis" }, '{"name":"redis"}']
  ])("refuses %j", (value, printed) => {
    expect(refusalOf(() => Validate.text("f", "name", untyped(value))).message).toBe(
      `f: name must be a text that is not empty, got ${printed}`
    )
  })
})

const finite: ReadonlyArray<readonly [Duration.DurationInput, Duration.Duration]> = [
  [0, Duration.zero],
  [250, Duration.millis(250)],
  [1.5, Duration.micros(1500n)],
  [2 ** 40, Duration.millis(2 ** 40)],
  [0n, Duration.zero],
  [5_000_000n, Duration.millis(5)],
  [[1, 500_000_000], Duration.millis(1500)],
  [[0, 0], Duration.zero],
  ["0 millis", Duration.zero],
  ["1 nano", Duration.nanos(1n)],
  ["3 micros", Duration.micros(3n)],
  ["10 seconds", Duration.seconds(10)],
  ["1.5 minutes", Duration.seconds(90)],
  ["2 hours", Duration.hours(2)],
  ["30 days", Duration.days(30)],
  ["1 week", Duration.weeks(1)],
  [Duration.zero, Duration.zero],
  [Duration.minutes(1), Duration.minutes(1)]
]

const infinite: ReadonlyArray<readonly [Duration.DurationInput, string]> = [
  [Number.POSITIVE_INFINITY, "Infinity"],
  [Duration.infinity, "Infinity"]
]

const refused: ReadonlyArray<readonly [unknown, string]> = [
  [-1, "-1"],
  [-0.001, "-0.001"],
  [Number.NaN, "NaN"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
  [-1n, "-1"],
  [[-1, 0], "[-1, 0]"],
  [[1, -1], "[1, -1]"],
  [[1], "[1]"],
  [[1, 2, 3], "[1, 2, 3]"],
  [["1", 2], '["1", 2]'],
  ["-1 seconds", '"-1 seconds"'],
  ["-0.5 hours", '"-0.5 hours"'],
  ["", '""'],
  ["soon", '"soon"'],
  ["1", '"1"'],
  ["1 fortnight", '"1 fortnight"'],
  ["NaN seconds", '"NaN seconds"'],
  ["Infinity seconds", '"Infinity seconds"'],
  [undefined, "undefined"],
  [null, "null"],
  [true, "true"],
  [{ seconds: 1 }, '{"seconds":1}']
]

for (const [name, validate] of Object.entries({
  duration: Validate.duration,
  finiteDuration: Validate.finiteDuration
})) {
  describe(name, () => {
    for (const [value, expected] of finite) {
      it(`takes ${show(value)}`, () => {
        expect(Duration.equals(validate("f", "d", value), expected)).toBe(true)
      })
    }

    it.each([[[Number.NaN, 0]], [[0, Number.NaN]], [[Number.NEGATIVE_INFINITY, 0]], [[1e300, 0]]])(
      "refuses %j, which has no number of nanoseconds",
      (value) => {
        expect(refusalOf(() => validate("f", "d", untyped(value))).value).toBe(value)
      }
    )

    for (const [value, printed] of refused) {
      it(`refuses ${show(value)}`, () => {
        const refusal = refusalOf(() => validate("f", "d", untyped(value)))
        expect(refusal.value).toBe(value)
        expect(refusal.message).toMatch(/^f: d must be a (finite )?duration of zero or more, got /)
        expect(refusal.message.endsWith(`, got ${printed}`)).toBe(true)
      })
    }
  })
}

describe("an infinite duration", () => {
  for (const [value, printed] of infinite) {
    it(`${show(value)} is a duration, and no finite one`, () => {
      expect(Validate.duration("f", "d", value)).toEqual(Duration.infinity)
      expect(refusalOf(() => Validate.finiteDuration("f", "d", value)).message).toBe(
        `f: d must be a finite duration of zero or more, got ${printed}`
      )
    })
  }

  it("is refused in a pair as well", () => {
    expect(Validate.duration("f", "d", [Number.POSITIVE_INFINITY, 0])).toEqual(Duration.infinity)
    expect(() => Validate.finiteDuration("f", "d", [Number.POSITIVE_INFINITY, 0])).toThrow(
      "f: d must be a finite duration of zero or more"
    )
  })
})

function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`
  return typeof value === "object" && !Duration.isDuration(value) ? JSON.stringify(value) : `${typeof value} ${value}`
}
