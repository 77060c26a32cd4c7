import { EventEmitter } from "node:events"
import { expect, it } from "@effect/vitest"
import { type ConfirmChannel, IllegalOperationError } from "amqplib"
import { Effect, Exit, Fiber, Queue } from "effect"
import { AmqpError } from "effect-client-service-amqp"
import { Publisher } from "../src/internal/publisher.js"

/** A channel that was closed before anybody could listen. */
const closedChannel = Object.assign(new EventEmitter(), {
  publish: () => {
    throw new IllegalOperationError("Channel closed", "")
  }
}) as unknown as ConfirmChannel

it.effect("a publisher whose channel was closed as it opened tells so, and what it could not send is not sent", () =>
  Effect.gen(function* () {
    const closes = yield* Queue.unbounded<AmqpError.AmqpError>()
    const publisher = new Publisher(closedChannel, "amqp://a", (error) => void closes.unsafeOffer(error))
    const publication = { exchange: "", routingKey: "any", content: Buffer.from("a"), properties: {} }
    const error = yield* Effect.promise(() =>
      publisher.publish(publication, () => expect.fail("it is not sent")).catch((error: unknown) => error)
    )
    expect(error).toMatchObject({ reason: "ChannelClosed", endpoint: "amqp://a" })
    expect(yield* Queue.take(closes)).toBe(error)
  })
)

/** A channel that keeps what is to be called when a message is confirmed. */
const openChannel = () => {
  const confirms: Array<(error: Error | null) => void> = []
  const publish = (...args: ReadonlyArray<unknown>) => {
    const confirm = args[4]
    if (typeof confirm === "function") confirms.push((error) => void confirm(error))
    return true
  }
  return { channel: Object.assign(new EventEmitter(), { publish }) as unknown as ConfirmChannel, confirms }
}

it.effect(
  "a publisher whose channel closes fails all that it has sent and that is not confirmed, and nothing else",
  () =>
    Effect.gen(function* () {
      const { channel, confirms } = openChannel()
      const publisher = new Publisher(channel, "amqp://a", () => {})
      const publication = { exchange: "", routingKey: "any", content: Buffer.from("a"), properties: {} }
      const publish = () =>
        Effect.fork(Effect.tryPromise({ try: () => publisher.publish(publication, () => {}), catch: (error) => error }))
      const confirmed = yield* publish()
      const interrupted = yield* publish()
      const nacked = yield* publish()
      const lost = yield* Effect.all([publish(), publish()])
      yield* Effect.yieldNow()
      expect(confirms).toHaveLength(5)

      confirms[0]?.(null)
      yield* Fiber.interrupt(interrupted)
      confirms[1]?.(null)
      confirms[2]?.(new Error("message nacked"))
      const error = new AmqpError.AmqpError({ reason: "ChannelClosed", endpoint: "amqp://a" })
      publisher.closed(error)
      // The client confirms with an error what it will never know of.
      for (const confirm of confirms) confirm(new Error("channel closed"))

      expect(yield* Fiber.await(confirmed)).toEqual(Exit.void)
      expect(yield* Effect.flip(Fiber.join(nacked))).toMatchObject({ reason: "Nacked" })
      for (const fiber of lost) expect(yield* Effect.flip(Fiber.join(fiber))).toBe(error)
    })
)
