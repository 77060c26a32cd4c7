import * as Effect from "effect/Effect"
import type { Transport, TransportError } from "effect-client-service/Transport"

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
 * What is to be sent, in order.
 *
 * What is posted in one turn is sent in one write, where messages have ends of their own: a write costs more than all else
 * that is done for a message.
 */
export class Outbox {
  readonly #transport: Transport
  readonly #isFramed: boolean
  readonly #posted = new Set<Outgoing>()
  /** Of a text, how many characters. */
  #bytes = 0
  /** Whether the transport has not taken yet what it was given last. */
  #isWriting = false
  #wake = () => {}

  constructor(transport: Transport, isFramed: boolean) {
    this.#transport = transport
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
    const isPosted = this.#posted.delete(message)
    if (isPosted) this.#bytes -= message.encoded.length
    return isPosted
  }

  /** Whether no call more may wait: the transport takes less than is sent. */
  isFull({ maxWaiting, maxWaitingBytes }: Limits): boolean {
    // Those who have waited for a connection come all at once, before anything is written.
    return this.#isWriting && (this.#posted.size >= maxWaiting || this.#bytes >= maxWaitingBytes)
  }

  /** Sends what is posted, until that fails. */
  get sending(): Effect.Effect<never, TransportError> {
    return Effect.forever(Effect.zipRight(this.#filled, this.#sent))
  }

  readonly #filled: Effect.Effect<void> = Effect.async((resume) => {
    if (this.#posted.size > 0) return resume(Effect.void)
    this.#wake = () => {
      this.#wake = () => {}
      resume(Effect.void)
    }
  })

  readonly #sent: Effect.Effect<void, TransportError> = Effect.suspend(() => {
    const chunks = [...this.#posted].map(({ encoded }) => encoded)
    this.#posted.clear()
    this.#bytes = 0
    this.#isWriting = true
    const written = Effect.forEach(this.#isFramed ? joined(chunks) : chunks, (chunk) => this.#transport.write(chunk), {
      discard: true
    })
    return Effect.ensuring(
      written,
      Effect.sync(() => {
        this.#isWriting = false
      })
    )
  })
}

const joined = (chunks: ReadonlyArray<Uint8Array | string>): ReadonlyArray<Uint8Array | string> => {
  if (chunks.length === 1) return chunks
  const texts = chunks.filter((chunk) => typeof chunk === "string")
  if (texts.length === chunks.length) return [texts.join("")]
  const bytes = chunks.filter((chunk) => typeof chunk !== "string")
  return bytes.length === chunks.length ? [concatenated(bytes)] : chunks
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
