import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"
import type { Transport, TransportError, Write } from "effect-client-service/Transport"
import * as Delays from "effect-client-service-driver/Delays"

/** A message that waits to be sent. */
export interface Outgoing {
  readonly encoded: Uint8Array | string
}

/** How much may wait to be sent, beyond which a call fails. */
export interface Limits {
  readonly maxWaiting: number
  readonly maxWaitingBytes: number
}

/**
 * How much is joined to one write, of which only the message that fills it makes more. What is in a write can't be taken back
 * any more, and may be one message of a WebSocket, of which servers take no more than so much.
 */
const most = 256 * 1024

/**
 * For so many milliseconds, nothing but a peer that reads has a write wait and go on: or an event loop that is held up for as
 * long meanwhile, but no more often than the buffers of the system have room for.
 */
const slow = 50

/**
 * What is to be sent, in order.
 *
 * What is posted in one turn is sent in one write, where messages have ends of their own: a write costs more than all else
 * that is done for a message.
 */
export class Outbox {
  readonly #transport: Transport
  readonly #scheduler: Scheduler.Scheduler
  readonly #isFramed: boolean
  #posted = new Set<Outgoing>()
  /** What was posted when the transport was free last, and is not written yet. */
  #leaving = new Set<Outgoing>()
  /** How much waits, posted or leaving. Of a text, how many characters. */
  #bytes = 0
  /** Whether the transport has not taken yet what it was given last. */
  #isWriting = false
  #wake = () => {}
  /** When the transport last took what it had no room for before, so that the peer must have read. */
  lastTaken: number | undefined

  constructor(transport: Transport, scheduler: Scheduler.Scheduler, isFramed: boolean) {
    this.#transport = transport
    this.#scheduler = scheduler
    this.#isFramed = isFramed
  }

  /** Has a message sent. It does not wait for that. */
  post(message: Outgoing): void {
    this.#posted.add(message)
    this.#bytes += message.encoded.length
    this.#wake()
  }

  /** Takes a message back, and tells whether it had not been sent yet. */
  recall(message: Outgoing): boolean {
    if (!this.#posted.delete(message) && !this.#leaving.delete(message)) return false
    this.#bytes -= message.encoded.length
    return true
  }

  /** Whether a message is not sent yet. */
  isWaiting(message: Outgoing): boolean {
    return this.#posted.has(message) || this.#leaving.has(message)
  }

  /** Whether no call more may wait: the transport takes less than is sent. */
  isFull({ maxWaiting, maxWaitingBytes }: Limits): boolean {
    // Those who have waited for a connection come all at once, before anything is written.
    return this.#isWriting && (this.#posted.size + this.#leaving.size >= maxWaiting || this.#bytes >= maxWaitingBytes)
  }

  /** Sends what is posted, until that fails. */
  readonly sending: Effect.Effect<never, TransportError> = Effect.suspend(() => {
    this.#isWriting = this.#isLeft()
    return Effect.zipRight(this.#isWriting ? this.#write(this.#next()) : this.#filled, this.sending)
  })

  #write(chunk: Uint8Array | string): Effect.Effect<void, TransportError> {
    return Effect.clockWith((clock) => {
      const since = Delays.monotonic(clock)
      return Effect.map(this.#transport.write(chunk), () => {
        const now = Delays.monotonic(clock)
        if (now - since >= slow) this.lastTaken = now
      })
    })
  }

  // The fiber that sends goes on only with what the transport does not take at once: to wake it costs more than the write.
  readonly #filled: Effect.Effect<void, TransportError> = Effect.async((resume) => {
    const listen = () => {
      this.#wake = () => {
        this.#wake = () => {}
        this.#scheduler.scheduleTask(() => {
          const left = this.#sendNow()
          if (left === undefined) listen()
          else resume(left)
        }, 0)
      }
    }
    listen()
    if (this.#posted.size > 0) this.#wake()
  })

  /** Sends as much as needs not wait, and gives what sends the next. */
  #sendNow(): Effect.Effect<void, TransportError> | undefined {
    while (this.#isLeft()) {
      const next = this.#next()
      if (!isWritten(this.#transport.write, next)) {
        this.#isWriting = true
        return Effect.suspend(() => this.#write(next))
      }
    }
    return undefined
  }

  /** Whether something is to be sent, which is leaving then. */
  #isLeft(): boolean {
    if (this.#leaving.size === 0) {
      const posted = this.#posted
      this.#posted = this.#leaving
      this.#leaving = posted
    }
    return this.#leaving.size > 0
  }

  /** Takes what is written next, at least one message. */
  #next(): Uint8Array | string {
    const chunks: Array<Uint8Array | string> = []
    let size = 0
    for (const message of this.#leaving) {
      const { encoded } = message
      if (size > 0 && (!this.#isFramed || size + encoded.length > most || typeof encoded !== typeof chunks[0])) break
      this.#leaving.delete(message)
      this.#bytes -= encoded.length
      chunks.push(encoded)
      size += encoded.length
    }
    return joined(chunks)
  }
}

// What throws has written nothing, and throws again.
const isWritten = (write: Write, chunk: Uint8Array | string): boolean => {
  try {
    return write.now?.(chunk) ?? false
  } catch {
    return false
  }
}

const joined = (chunks: ReadonlyArray<Uint8Array | string>): Uint8Array | string => {
  const [first = ""] = chunks
  if (chunks.length <= 1) return first
  const bytes = chunks.filter((chunk) => typeof chunk !== "string")
  return bytes.length === 0 ? chunks.join("") : concatenated(bytes)
}

const concatenated = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let position = 0
  for (const chunk of chunks) {
    all.set(chunk, position)
    position += chunk.length
  }
  return all
}
