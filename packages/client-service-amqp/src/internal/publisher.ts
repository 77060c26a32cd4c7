import { type ConfirmChannel, IllegalOperationError, type Options } from "amqplib"
import { AmqpError, fromChannelError } from "../AmqpError.js"
import { sizeOfProperties } from "./frameSize.js"

export interface Publication {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Uint8Array | string
  readonly properties: Options.Publish
}

/** How a message has ended: not at all wrong, or how. */
export type Done = (error: AmqpError | undefined) => void

/** What tells a message that is mandatory from others that are alike. */
export const idHeader = "x-client-service-id"

/** What a server can say of a message that it refuses. */
interface Sent extends Publication {
  readonly size: number
  readonly done: Done
}

/**
 * A channel for messages that the server confirms.
 *
 * It fails what it has sent when it is closed, all of it at once: a fiber that watches over each message would cost more
 * than all the rest.
 */
export class Publisher {
  readonly #channel: ConfirmChannel
  readonly #endpoint: string
  readonly #frameMax: number
  readonly #onClosed: (error: AmqpError) => void
  readonly #unconfirmed = new Set<Sent>()
  readonly #mandatory = new Map<number, AmqpError | undefined>()
  #lastId = 0

  /** The callback is told if the channel is found closed, of which it may have known already. */
  constructor(channel: ConfirmChannel, endpoint: string, frameMax: number, onClosed: (error: AmqpError) => void) {
    this.#channel = channel
    this.#endpoint = endpoint
    this.#frameMax = frameMax
    this.#onClosed = onClosed
    channel.on("return", ({ properties }) => {
      const id: unknown = properties.headers?.[idHeader]
      if (typeof id === "number" && this.#mandatory.has(id))
        this.#mandatory.set(id, new AmqpError({ reason: "Unroutable", endpoint, code: 312 }))
    })
  }

  /**
   * Sends a message, and calls back when it is confirmed or is not to be: with an `AmqpError` of reason `ChannelClosed` if
   * the channel closes before. Gives how many bytes it has sent, or why nothing was.
   */
  send({ content: given, exchange, properties: own, routingKey }: Publication, done: Done): number | AmqpError {
    const id = own.mandatory === true ? ++this.#lastId : undefined
    let sent: Sent
    let size = 0
    // All that looks at what was given, of which getters may throw. Nothing of it comes after it is sent.
    try {
      const properties = id === undefined ? own : { ...own, headers: withId(own.headers, id) }
      const hasCopies = properties.CC !== undefined || properties.BCC !== undefined
      const content = bytesOf(given)
      const message: Sent = { exchange, routingKey, content, properties, size: content.length, done }
      sent = message
      // All else together is less than the smallest frame.
      if (properties.headers !== undefined || hasCopies) size = sizeOfProperties(properties)
      if (size > this.#frameMax) {
        const detail = `the headers take ${size} bytes, and a frame has no more than ${this.#frameMax}`
        return new AmqpError({ reason: "Invalid", endpoint: this.#endpoint, detail })
      }
      size += content.length + exchange.length + routingKey.length + 100
      this.#channel.publish(exchange, routingKey, content, properties, (error: unknown) => {
        const returned = id === undefined ? undefined : this.#takeReturned(id)
        const isNacked = error instanceof Error && error.message === "message nacked"
        // With any other error, the channel is closed, which `closed` tells of.
        if (error !== null && !isNacked) return
        this.#unconfirmed.delete(message)
        done(isNacked ? new AmqpError({ reason: "Nacked", endpoint: this.#endpoint }) : returned)
      })
    } catch (error) {
      const failure = fromChannelError(error, this.#endpoint)
      if (!(error instanceof IllegalOperationError)) return asInvalid(failure)
      // A channel that is closed together with its opening has no listeners yet that could be told.
      this.#onClosed(failure)
      return failure
    }
    this.#unconfirmed.add(sent)
    if (id !== undefined) this.#mandatory.set(id, undefined)
    return size
  }

  /** The channel is closed, so nothing more will be confirmed. */
  closed(error: AmqpError): void {
    const unconfirmed = [...this.#unconfirmed]
    this.#unconfirmed.clear()
    this.#mandatory.clear()
    const isCulprit = culprit(error, unconfirmed)
    const { code, detail, endpoint } = error
    const rejected = new AmqpError({ reason: "Rejected", endpoint, code, detail, cause: error })
    for (const sent of unconfirmed) sent.done(isCulprit(sent) ? rejected : error)
  }

  #takeReturned(id: number): AmqpError | undefined {
    const returned = this.#mandatory.get(id)
    this.#mandatory.delete(id)
    return returned
  }
}

/** Whether the server has closed a channel since it refuses a message, of which it does not tell which one. */
export const isRefusalOfMessage = ({ cause }: AmqpError): boolean =>
  // It tells the method that it refuses, by its class and number.
  cause instanceof Error && "classId" in cause && "methodId" in cause && cause.classId === 60 && cause.methodId === 40

// A view, since the client copies what it sends.
const bytesOf = (content: Uint8Array | string): Buffer =>
  typeof content === "string"
    ? Buffer.from(content)
    : Buffer.from(content.buffer, content.byteOffset, content.byteLength)

const withId = (headers: unknown, id: number): unknown => {
  const all: Record<string, unknown> = {}
  // As the client does, with what is inherited.
  if (typeof headers === "object" && headers !== null) for (const key in headers) all[key] = Reflect.get(headers, key)
  all[idHeader] = id
  return all
}

const asInvalid = ({ cause, detail, endpoint }: AmqpError) =>
  new AmqpError({ reason: "Invalid", endpoint, detail, cause })

/** Tells who is to blame for certain. A refusal has what it refuses in its text, or there is but one message. */
const culprit = (error: AmqpError, unconfirmed: ReadonlyArray<Sent>): ((sent: Sent) => boolean) => {
  if (!isRefusalOfMessage(error)) return () => false
  if (unconfirmed.length === 1) return () => true
  const text = error.detail ?? ""
  const most = /configured max size (\d+)/.exec(text)?.[1]
  if (most !== undefined) return ({ size }) => size > Number(most)
  const expiration = /invalid expiration '(.*)'/.exec(text)?.[1]
  if (expiration !== undefined) return ({ properties }) => String(properties.expiration) === expiration
  const exchange = /exchange '(.*)' in vhost '/.exec(text)?.[1]
  if (exchange !== undefined) return (sent) => sent.exchange === exchange
  const user = /user_id property set to '(.*)' but/.exec(text)?.[1]
  if (user !== undefined) return ({ properties }) => properties.userId === user
  return () => false
}
