import { AmqpError } from "../AmqpError.js"
import type { Gate } from "./gate.js"
import type { Done, Publication, Publisher } from "./publisher.js"

/** How many messages may wait, beyond which those that come are refused. */
export interface Limits {
  readonly endpoint: string
  readonly maxWaiting: number
}

interface Pending {
  readonly publication: Publication
  readonly onSent: () => void
  readonly done: Done
}

/**
 * The messages of a connection. What can't be sent now waits: for the channel to be open again, for the server to take
 * messages, and for the socket to take what was sent before. Only references wait, to what their senders hold anyway, and a
 * sender that leaves takes its own back.
 */
export class Publishing {
  readonly #gate: Gate
  readonly #limits: Limits
  readonly #waiting = new Set<Pending>()
  #publisher: Publisher | undefined
  #isFlushing = false

  constructor(gate: Gate, limits: Limits = { endpoint: "", maxWaiting: Number.POSITIVE_INFINITY }) {
    this.#gate = gate
    this.#limits = limits
    gate.onOpen(this.#flush)
  }

  /** Nothing more will be sent. */
  readonly end = (): void => this.#gate.offOpen(this.#flush)

  /** Whether the channel for messages is open. */
  get isOpen(): boolean {
    return this.#publisher !== undefined
  }

  /** Sends a message, now or later, and gives what takes it back if it is not sent yet. */
  begin(publication: Publication, onSent: () => void, done: Done): () => void {
    const pending = { publication, onSent, done }
    const takeBack = (): void => void this.#waiting.delete(pending)
    if (this.#publisher !== undefined && this.#gate.isOpen && this.#waiting.size === 0) {
      this.#send(this.#publisher, pending)
      // Its channel may turn out to be closed, so that it waits after all.
      return takeBack
    }
    const { endpoint, maxWaiting } = this.#limits
    if (this.#waiting.size >= maxWaiting) {
      done(new AmqpError({ reason: "Overloaded", endpoint, detail: "maxWaiting calls wait" }))
      return takeBack
    }
    this.#waiting.add(pending)
    return takeBack
  }

  opened(publisher: Publisher): void {
    this.#publisher = publisher
    this.#flush()
  }

  /** What was sent on the channel fails, and what was not waits for the next one. */
  closed(publisher: Publisher): void {
    if (this.#publisher === publisher) this.#publisher = undefined
  }

  /** Sends what waits, as much as there is room for. */
  readonly #flush = (): void => {
    if (this.#isFlushing) return
    this.#isFlushing = true
    for (const pending of this.#waiting) {
      if (this.#publisher === undefined || !this.#gate.isOpen) break
      this.#waiting.delete(pending)
      this.#send(this.#publisher, pending)
    }
    this.#isFlushing = false
  }

  #send(publisher: Publisher, pending: Pending): void {
    const { done, onSent, publication } = pending
    const sent = publisher.send(publication, done)
    if (typeof sent === "number") {
      onSent()
      this.#gate.took(sent)
    } else if (sent.reason === "ChannelClosed") this.#again(publisher, pending)
    else done(sent)
  }

  // Its channel was closed before anybody could be told.
  #again(publisher: Publisher, pending: Pending): void {
    this.closed(publisher)
    this.#waiting.add(pending)
  }
}
