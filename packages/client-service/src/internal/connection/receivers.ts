/** What receives for a connection, and keeps that for its reader. */
interface Receiver {
  /** Nothing more is received: the reader comes to an error of this cause, after what has arrived. */
  readonly giveUp: (cause: unknown) => void
}

/** What receives for a connection, until its readers have come to the end. */
export class Receivers {
  readonly #receivers = new Set<Receiver>()
  #readOut: (() => void) | undefined

  add(receiver: Receiver): void {
    this.#receivers.add(receiver)
  }

  /** Its reader has come to the end, or is not waited for. */
  remove(receiver: Receiver): void {
    this.#receivers.delete(receiver)
    if (this.#receivers.size === 0) this.#readOut?.()
  }

  /** Gives all of them up, and calls a function once their readers have come to the end. */
  giveUp(cause: unknown, readOut: () => void): void {
    this.#readOut ??= readOut
    for (const receiver of [...this.#receivers]) receiver.giveUp(cause)
    if (this.#receivers.size === 0) this.#readOut()
  }
}
