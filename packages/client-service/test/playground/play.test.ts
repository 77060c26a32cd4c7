import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { append, commands, parse, peerDoes, policyNames, print, type Script, seedOf, type Word } from "./notation.js"
import { bounds, Player, play } from "./play.js"

const word = fc.oneof<Array<fc.Arbitrary<Word>>>(
  fc.constantFrom(...commands).map((command) => ({ _tag: "command", command })),
  fc.constantFrom(...peerDoes).map((does) => ({ _tag: "peer", does })),
  fc.constantFrom(0, 1, 999, 1000, 10_000, 61_000, 3_600_000).map((millis) => ({ _tag: "pass", millis }))
)

const script: fc.Arbitrary<Script> = fc
  .tuple(fc.constantFrom(...policyNames), fc.array(word, { maxLength: 12 }))
  .map(([policy, words]) => words.reduce<Script>(append, { policy, words: [] }))

const outage = "policy=backoff start refuse 1s refuse 2s accept 10s drop 1s accept-and-drop 2s stop"

describe("a history of the playground", () => {
  it("is read as it is written", () => {
    const property = fc.property(script, (script) => {
      expect(parse(print(script))).toEqual(script)
    })
    fc.assert(property)
    expect(parse(" start\n 1h30m 1500ms ").words).toEqual([
      { _tag: "command", command: "start" },
      { _tag: "pass", millis: 5_400_000 },
      { _tag: "pass", millis: 1500 }
    ])
  })

  it("says what is wrong with it", () => {
    expect(() => parse("start 10")).toThrow('"10" is none of start, stop, reconnect, accept, accept-and-drop')
    expect(() => parse("policy=none start")).toThrow("none is none of the policies fullJitter, ")
    expect(() => parse("start 169h")).toThrow("a script takes no more than 168h")
    expect(() => parse("start ".repeat(501))).toThrow("no more than 500 words")
    // What is clicked together is to be read again too.
    const hours = (count: number) => parse(`start ${count}h`)
    expect(append(hours(167), { _tag: "pass", millis: 3_600_000 })).toEqual(hours(168))
    expect(() => append(hours(168), { _tag: "pass", millis: 1 })).toThrow("a script takes no more than 168h")
    expect(() => append(parse("start ".repeat(500)), { _tag: "command", command: "stop" })).toThrow("500 words")
    expect(["0", "42", "-3", "1.5", "1e3", "x", ""].map(seedOf)).toEqual([0, 42, 1, 1, 1, 1, 1])
  })

  it("goes the same way by the same seed, and another by another", () => {
    expect(play(7, outage).trace).toEqual(play(7, outage).trace)
    expect(play(8, outage).trace).not.toEqual(play(7, outage).trace)
  })

  it("goes the same way step by step as at once", () => {
    const { policy, words } = parse(outage)
    const player = new Player(7, policy)
    for (const word of words) player.perform(word)
    player.end()
    expect(player.trace).toEqual(play(7, outage).trace)
    expect(player.moments.map(({ state }) => state).join(" ")).toBe(
      "Init Connecting Waiting Connecting Waiting Connecting Connected Waiting Connecting Connected Waiting Connecting Disconnecting Stopped"
    )
  })

  it("leaves nothing behind, whatever it is", () => {
    const property = fc.property(fc.nat(), script, (seed, script) => {
      expect(play(seed, print(script)).problems).toEqual([])
    })
    fc.assert(property, { numRuns: 20 })
  })

  it("has its delays within the bounds of its policy", () => {
    for (const policy of policyNames.filter((name) => name !== "proportional")) {
      const { moments } = play(1, `policy=${policy} down start 2m`)
      const delays = moments.flatMap(({ delay }) => (delay === undefined ? [] : [delay])).slice(0, 8)
      const within = bounds(policy, delays.length)
      expect(within).toHaveLength(delays.length)
      within.forEach(({ least, most }, index) => {
        expect(delays[index]).toBeGreaterThanOrEqual(least)
        expect(delays[index]).toBeLessThanOrEqual(most)
      })
    }
  })
})
