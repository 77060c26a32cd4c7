import { EventEmitter } from "node:events"
import { expect, it } from "@effect/vitest"
import { type ConfirmChannel, IllegalOperationError } from "amqplib"
import { AmqpError } from "effect-client-service-amqp"
import { type Publication, Publisher } from "../src/internal/publisher.js"

const publication: Publication = { exchange: "", routingKey: "any", content: "a", properties: {} }

/** A channel that was closed before anybody could listen. */
const closedChannel = Object.assign(new EventEmitter(), {
  publish: () => {
    throw new IllegalOperationError("Channel closed", "")
  }
}) as unknown as ConfirmChannel

it("a publisher whose channel was closed as it opened tells so, and what it could not send is not sent", () => {
  const closes: Array<AmqpError.AmqpError> = []
  const publisher = new Publisher(closedChannel, "amqp://a", 4096, (error) => void closes.push(error))
  const error = publisher.send(publication, () => expect.fail("it is not sent"))
  expect(error).toMatchObject({ reason: "ChannelClosed", endpoint: "amqp://a" })
  expect(closes).toEqual([error])
})

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

it("a publisher whose channel closes fails all that it has sent and that is not confirmed, and nothing else", () => {
  const { channel, confirms } = openChannel()
  const publisher = new Publisher(channel, "amqp://a", 4096, () => {})
  const ends: Array<unknown> = []
  const end = (index: number) => (error: AmqpError.AmqpError | undefined) => {
    ends[index] = error ?? "confirmed"
  }
  for (let index = 0; index < 4; index++) publisher.send(publication, end(index))
  confirms[0]?.(null)
  confirms[1]?.(new Error("message nacked"))
  const error = new AmqpError.AmqpError({ reason: "ChannelClosed", endpoint: "amqp://a" })
  publisher.closed(error)
  // The client confirms with an error what it will never know of.
  for (const confirm of confirms) confirm(new Error("channel closed"))
  expect(ends).toEqual(["confirmed", expect.objectContaining({ reason: "Nacked" }), error, error])
})

it("a publisher whose channel is closed for an exchange tells those who have sent to that one", () => {
  for (const text of [
    "NOT_FOUND - no exchange 'b' in vhost '/'",
    "ACCESS_REFUSED - write access to exchange 'b' in vhost '/' refused for user 'guest'",
    "ACCESS_REFUSED - cannot publish to internal exchange 'b' in vhost '/'"
  ]) {
    const publisher = new Publisher(openChannel().channel, "amqp://a", 4096, () => {})
    const ends: Array<unknown> = []
    for (const exchange of ["a", "b", "", "b"])
      publisher.send({ ...publication, exchange }, (error) => void ends.push(error?.reason))
    const cause = Object.assign(new Error(text), { classId: 60, methodId: 40 })
    publisher.closed(new AmqpError.AmqpError({ reason: "ChannelClosed", endpoint: "amqp://a", detail: text, cause }))
    expect(ends).toEqual(["ChannelClosed", "Rejected", "ChannelClosed", "Rejected"])
  }
})

it("a publisher is told of headers that have themselves in them, and of no other that take all of the stack", () => {
  const publisher = new Publisher(openChannel().channel, "amqp://a", 4096, () => {})
  const send = (headers: object) => publisher.send({ ...publication, properties: { headers } }, () => {})
  const circular: Record<string, unknown> = {}
  for (const itself of [circular, [circular], { "!": "object", value: circular }]) {
    circular["itself"] = itself
    const detail = "A table that has itself in it can't be encoded"
    expect(send(circular)).toMatchObject({ reason: "Invalid", detail })
    expect(AmqpError.fromChannelError(new RangeError(detail), "amqp://a")).toMatchObject({ reason: "Invalid" })
  }
  const shared = { a: 1 }
  expect(send({ shared, again: [shared, shared] })).toBeTypeOf("number")
  const overflow = new RangeError("Maximum call stack size exceeded")
  expect(AmqpError.fromChannelError(overflow, "amqp://a")).toMatchObject({ reason: "Other" })
})
