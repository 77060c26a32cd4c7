import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { Incoming, Transport } from "effect-client-service"
import { settle } from "./support/fixture.js"
import { transports } from "./support/received.js"

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk)

for (const [name, make] of Object.entries(transports)) {
  describe(`what ${name} has received, given to a function`, () => {
    it.effect("is given chunk by chunk, until the end, whether it is there before or comes later", () =>
      Effect.gen(function* () {
        const { end, losses, receive, transport } = yield* make
        const seen: Array<string> = []
        receive("1", "2")
        const reading = yield* Effect.fork(
          Incoming.receive(transport.incoming, (chunk) => {
            seen.push(text(chunk))
            return undefined
          })
        )
        yield* settle
        receive("3")
        receive("4", "5")
        end()
        yield* Fiber.join(reading)
        expect(seen).toEqual(["1", "2", "3", "4", "5"])
        yield* settle
        expect(losses).toHaveLength(1)
      })
    )

    it.effect("fails with the error that it ends with, after all that came before", () =>
      Effect.gen(function* () {
        const { end, receive, transport } = yield* make
        const seen: Array<string> = []
        const reading = yield* Effect.fork(
          Incoming.receive(transport.incoming, (chunk) => Effect.sync(() => void seen.push(text(chunk))))
        )
        yield* settle
        const error = new Transport.TransportError({ reason: "Read" })
        receive("1", "2")
        end(error)
        expect(yield* Effect.flip(Fiber.join(reading))).toBe(error)
        expect(seen).toEqual(["1", "2"])
      })
    )

    it.effect("does what is to be done at the end once, also if the function has failed, now or as it arrives", () =>
      Effect.gen(function* () {
        for (const isThere of [true, false]) {
          for (const [how, onChunk] of Object.entries({
            ends: (): undefined => undefined,
            fails: () => Effect.fail("failed"),
            dies: () => Effect.die("died"),
            throws: (): undefined => {
              throw new Error("thrown")
            }
          })) {
            const { end, receive, transport } = yield* make
            let ended = 0
            const atEnd = Effect.sync(() => {
              ended += 1
            })
            if (isThere) receive("1")
            const reading = yield* Effect.fork(Effect.exit(Incoming.receive(transport.incoming, onChunk, { atEnd })))
            yield* settle
            if (!isThere) receive("1")
            yield* settle
            if (how === "ends") {
              expect(ended).toBe(0)
              end()
            }
            expect(Exit.isSuccess(yield* Fiber.join(reading))).toBe(how === "ends")
            expect({ how, isThere, ended }).toEqual({ how, isThere, ended: 1 })
          }
        }
      })
    )

    it.effect("comes to a function that has something to do only when that is done", () =>
      Effect.gen(function* () {
        const { end, receive, transport } = yield* make
        const gate = yield* Deferred.make<void>()
        const seen: Array<string> = []
        const reading = yield* Effect.fork(
          Incoming.receive(transport.incoming, (chunk) => {
            seen.push(text(chunk))
            return seen.length === 2 ? Deferred.await(gate) : undefined
          })
        )
        yield* settle
        receive("1")
        receive("2")
        receive("3")
        yield* settle
        expect(seen).toEqual(["1", "2"])
        yield* Deferred.succeed(gate, undefined)
        end()
        yield* Fiber.join(reading)
        expect(seen).toEqual(["1", "2", "3"])
      })
    )

    for (const [how, fail] of [
      [
        "throws",
        () => {
          throw new Error("mine")
        }
      ],
      ["fails", () => Effect.die(new Error("mine"))]
    ] as const) {
      for (const when of ["before", "after"] as const) {
        it.effect(`ends with what a function ${how} with, if that has come ${when} the reader`, () =>
          Effect.gen(function* () {
            const { receive, transport } = yield* make
            if (when === "before") receive("1")
            const reading = yield* Effect.fork(Incoming.receive(transport.incoming, fail))
            yield* settle
            if (when === "after") receive("1")
            const exit = yield* Fiber.await(reading)
            expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toEqual(new Error("mine"))
          })
        )
      }
    }

    it.effect("is there for the next reader if the first was interrupted", () =>
      Effect.gen(function* () {
        const { end, receive, transport } = yield* make
        const seen: Array<string> = []
        const read = Incoming.receive(transport.incoming, (chunk) => {
          seen.push(text(chunk))
          return undefined
        })
        const first = yield* Effect.fork(read)
        yield* settle
        receive("1")
        yield* settle
        yield* Fiber.interrupt(first)
        receive("2")
        yield* settle
        expect(seen).toEqual(["1"])
        const second = yield* Effect.fork(read)
        yield* settle
        receive("3")
        end()
        yield* Fiber.join(second)
        expect(seen).toEqual(["1", "2", "3"])
      })
    )

    it.effect("is for one reader at a time, and is read on by another who was refused", () =>
      Effect.gen(function* () {
        const { end, receive, transport } = yield* make
        const read = Incoming.receive(transport.incoming, () => undefined)
        const first = yield* Effect.fork(read)
        yield* settle
        for (const other of [read, Stream.runDrain(transport.incoming)]) {
          expect(yield* Effect.flip(other)).toMatchObject({ _tag: "TransportError", reason: "Busy" })
        }
        receive("1")
        end()
        yield* Fiber.join(first)
      })
    )
  })
}

describe("a source that was held back", () => {
  it.effect("goes on as soon as a function has taken what there was", () =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      const incoming = yield* Incoming.make({ lost: () => {}, linger: 1000, capacity: 1024 })
      incoming.from({ pause: () => calls.push("pause"), resume: () => calls.push("resume") })
      let bytes = 0
      yield* Effect.fork(
        Incoming.receive(incoming.stream, (chunk) => {
          bytes += chunk.length
          return undefined
        })
      )
      yield* settle
      for (let i = 1; i <= 3; i++) {
        incoming.offer(new Uint8Array(2048))
        expect([bytes, calls]).toEqual([2048 * i, Array.from({ length: i }, () => ["pause", "resume"]).flat()])
      }
    })
  )

  it.effect("may give more as soon as it is let go, for as long as it likes", () =>
    Effect.gen(function* () {
      const incoming = yield* Incoming.make({ lost: () => {}, linger: 1000, capacity: 1 })
      let given = 0
      const give = () => {
        given += 1
        if (given <= 20_000) incoming.offer(new Uint8Array(4))
        else incoming.end()
      }
      incoming.from({ pause: () => {}, resume: give })
      let bytes = 0
      const reading = yield* Effect.fork(
        Incoming.receive(incoming.stream, (chunk) => {
          bytes += chunk.length
          return undefined
        })
      )
      yield* settle
      give()
      yield* Fiber.join(reading)
      expect(bytes).toBe(80_000)
    })
  )
})
