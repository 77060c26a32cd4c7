import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import type { Transport } from "effect-client-service"
import * as Lines from "../support/lines.js"

/** The protocol over a transport that receives these texts, once so many lines are sent. */
const over = (questions: number, texts: Stream.Stream<string>) =>
  Effect.gen(function* () {
    const losses: Array<unknown> = []
    const asked = yield* Effect.makeLatch()
    const isLost = yield* Effect.makeLatch()
    let sent = 0
    const transport: Transport.Transport = {
      incoming: Stream.map(Stream.concat(Stream.execute(asked.await), texts), (text) => Buffer.from(text)),
      write: (chunk) => {
        // Those that are asked at once are sent at once.
        sent += String(chunk).split("\n").length - 1
        return sent === questions ? Effect.asVoid(asked.open) : Effect.void
      },
      end: Effect.void,
      remote: "test"
    }
    const lines = yield* Lines.make(transport, {
      lost: (error) => {
        losses.push(error)
        isLost.unsafeOpen()
      }
    })
    return { lines, losses, isLost }
  })

describe("Lines", () => {
  it.scoped("reads lines however they come in parts", () =>
    Effect.gen(function* () {
      const { lines, losses } = yield* over(
        3,
        Stream.concat(Stream.rechunk(Stream.make("+o", "ne\r", "\n+two\n-", "no\n"), 1), Stream.never)
      )
      const replies = yield* Effect.all([lines.ask("1"), lines.ask("2"), Effect.flip(lines.ask("3"))], {
        concurrency: "unbounded"
      })
      expect(replies).toEqual(["+one", "+two", new Lines.Rejected({ reason: "no" })])
      expect(losses).toEqual([])
    })
  )

  it.scoped("loses the connection to a peer that sends a line without end", () =>
    Effect.gen(function* () {
      let sent = 0
      const endless = Stream.repeatEffect(
        Effect.sync(() => {
          sent += 1024
          return "x".repeat(1024)
        })
      )
      const connection = yield* Scope.make()
      const { isLost, lines, losses } = yield* Scope.extend(over(1, Stream.rechunk(endless, 1)), connection)
      const asking = yield* Effect.fork(Effect.flip(lines.ask("hello")))
      yield* isLost.await
      expect(losses).toMatchObject([{ reason: "TooLong", limit: 64 * 1024 }])
      expect(sent).toBeLessThanOrEqual(66 * 1024)
      yield* Scope.close(connection, Exit.void)
      for (const failure of [yield* Fiber.join(asking), yield* Effect.flip(lines.ask("again"))]) {
        expect(failure).toMatchObject({ reason: "TooLong" })
      }
    })
  )
})
