import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { Endpoint } from "effect-client-service"
import { makePlatform } from "../support/memoryWebSocket.js"

const turn = Effect.async<void>((resume) => void setTimeout(() => resume(Effect.void)))

const opening = Effect.gen(function* () {
  const platform = yield* makePlatform
  const losses: Array<unknown> = []
  const scope = yield* Scope.make()
  const connecting = yield* Endpoint.webSocket("ws://peer")
    .connect({ lost: (error) => losses.push(error) })
    .pipe(platform.provide, Scope.extend(scope), Effect.fork)
  return { connecting, losses, scope, webSocket: yield* platform.made }
})

describe("a second event is not waited for after the first has decided", () => {
  // Kind 3: A WebSocket's error has decided, and the client waits for a close that never comes.
  it.scoped("an error without a close fails the attempt", () =>
    Effect.gen(function* () {
      const { connecting, webSocket } = yield* opening
      webSocket.fail({ error: { code: "ECONNREFUSED" } })
      yield* turn
      expect(yield* Effect.flip(Fiber.join(connecting))).toMatchObject({ _tag: "WebSocketOpenError" })
    })
  )

  for (const readyState of [1, 2]) {
    // Kind 3
    it.scoped("an error without a close is the end, whatever readyState says", () =>
      Effect.gen(function* () {
        const { connecting, losses, scope, webSocket } = yield* opening
        webSocket.open()
        const transport = yield* Fiber.join(connecting)
        const reading = yield* Effect.fork(Effect.flip(Stream.runDrain(transport.incoming)))
        yield* Effect.yieldNow()
        webSocket.fail()
        webSocket.readyState = readyState
        expect(yield* Fiber.join(reading)).toMatchObject({ reason: "Read", cause: { code: 1006 } })
        expect(yield* Effect.flip(transport.write("?"))).toMatchObject({ reason: "Closed" })
        expect(losses).toMatchObject([{ _tag: "WebSocketClosed", code: 1006 }])
        webSocket.readyState = readyState
        // On a clock that stands still.
        yield* Scope.close(scope, Exit.void)
        webSocket.closed(1000)
        expect(losses).toHaveLength(1)
      })
    )
  }

  // Kind 3
  it.scoped("a close in the same turn as the error tells the code", () =>
    Effect.gen(function* () {
      const { connecting, losses, webSocket } = yield* opening
      webSocket.open()
      yield* Fiber.join(connecting)
      webSocket.fail()
      yield* Effect.promise(() => Promise.resolve())
      webSocket.closed(1009, "too big")
      yield* turn
      expect(losses).toMatchObject([{ _tag: "WebSocketClosed", code: 1009, reason: "too big" }])
    })
  )

  // Kind 3
  it.scoped("a close with code 0 is one with 1006", () =>
    Effect.gen(function* () {
      const { connecting, losses, webSocket } = yield* opening
      webSocket.open()
      yield* Fiber.join(connecting)
      webSocket.closed(0)
      expect(losses).toMatchObject([{ _tag: "WebSocketClosed", code: 1006 }])
    })
  )
})
