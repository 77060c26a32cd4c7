import { EventEmitter } from "node:events"
import { expect, it } from "@effect/vitest"
import { type ConfirmChannel, IllegalOperationError } from "amqplib"
import { Effect, Fiber, Queue } from "effect"
import type { AmqpError } from "effect-client-service-amqp"
import { Publisher } from "../src/internal/publisher.js"

/** A channel that was closed before anybody could listen. */
const closedChannel = Object.assign(new EventEmitter(), {
  publish: () => {
    throw new IllegalOperationError("Channel closed", "")
  }
}) as unknown as ConfirmChannel

it.effect(
  "a publisher whose channel was closed as it opened tells so, and fails no message that it could not send",
  () =>
    Effect.gen(function* () {
      const closes = yield* Queue.unbounded<AmqpError.AmqpError>()
      const publisher = new Publisher(closedChannel, "amqp://a", (error) => void closes.unsafeOffer(error))
      const publication = { exchange: "", routingKey: "any", content: Buffer.from("a"), properties: {} }
      const publish = yield* Effect.fork(publisher.publish(publication, () => expect.fail("it is not sent")))
      expect(yield* Queue.take(closes)).toMatchObject({ reason: "ChannelClosed", endpoint: "amqp://a" })
      expect(yield* Fiber.poll(publish)).toMatchObject({ _tag: "None" })
      yield* Fiber.interrupt(publish)
    })
)
