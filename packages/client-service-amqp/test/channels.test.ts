import { EventEmitter } from "node:events"
import { describe, expect, it } from "@effect/vitest"
import type { ChannelModel } from "amqplib"
import { Duration, Effect, Exit, Scope, TestClock } from "effect"
import { turns } from "test-servers/turns"
import { ChannelLimit, Channels } from "../src/internal/channels.js"

/** A channel whose server answers that it is closed, or says nothing. */
class FakeChannel extends EventEmitter {
  isAsked = false

  constructor(readonly answers: boolean) {
    super()
  }

  async close(): Promise<void> {
    this.isAsked = true
    if (this.answers) setImmediate(() => this.emit("close"))
  }
}

describe("a connection that is closed", () => {
  for (const isSilent of [false, true]) {
    const rest = isSilent ? "which gets none either" : "which gets one"
    it.scoped(
      `waits half of linger for a channel that gets no answer, and keeps the rest for the connection, ${rest}`,
      () =>
        Effect.gen(function* () {
          const opened: Array<FakeChannel> = []
          const createConfirmChannel = async () => {
            const channel = new FakeChannel(opened.length !== 1 && !isSilent)
            opened.push(channel)
            return channel
          }
          const channels = new Channels(
            { connection: {}, createConfirmChannel } as unknown as ChannelModel,
            { name: "test", linger: Duration.seconds(1), isAskedAgain: false, channelLimit: new ChannelLimit() },
            yield* Effect.clock
          )
          let isClosed = false
          const told: Array<unknown> = []
          const scope = yield* Scope.make()
          const close = Effect.suspend(() =>
            channels.close(() => {
              isClosed = true
              return isSilent ? new Promise(() => {}) : Promise.resolve()
            })
          )
          yield* Scope.addFinalizer(scope, close)
          for (let i = 0; i < 3; i++)
            yield* Scope.extend(
              channels.open((error) => told.push(error)),
              scope
            )
          yield* Scope.addFinalizer(
            scope,
            Effect.sync(() => channels.leave())
          )
          const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
          yield* turns(3)
          // None waits for another.
          expect(opened.map(({ isAsked }) => isAsked)).toEqual([true, true, true])
          yield* TestClock.adjust("499 millis")
          yield* turns(3)
          expect(isClosed).toBe(false)
          yield* TestClock.adjust("1 millis")
          yield* turns(3)
          expect(isClosed).toBe(true)
          if (isSilent) {
            expect(closing.unsafePoll()).toBe(null)
            yield* TestClock.adjust("500 millis")
            yield* turns(3)
          }
          expect(closing.unsafePoll()).toEqual(Exit.void)
          // Nobody is to open another one meanwhile.
          expect(told).toEqual([])
        })
    )
  }
})
