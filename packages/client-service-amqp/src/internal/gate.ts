import type { Duplex } from "node:stream"

/** How much is handed to the client before it has passed that on to the system. */
const most = 128 * 1024

/**
 * Lets so much through to a connection as its socket takes, and nothing while the server takes no messages. What waits
 * before it can be taken back; what is in the client can't.
 */
export class Gate {
  readonly #socket: Duplex | undefined
  readonly #listeners = new Set<() => void>()
  #room = most
  #isBlocked = false
  #isWaiting = false

  constructor(socket: Duplex | undefined) {
    this.#socket = socket
  }

  get isOpen(): boolean {
    return this.#room > 0 && !this.#isBlocked
  }

  /** Is told how much has gone through, which may be more than there was room for. */
  took(bytes: number): void {
    this.#room -= bytes
    if (this.#isWaiting) return
    this.#isWaiting = true
    // By then, the client has handed on what the socket takes.
    setImmediate(this.#look)
  }

  blocked(isBlocked: boolean): void {
    this.#isBlocked = isBlocked
    this.#tell()
  }

  /** Calls back whenever it is open again. */
  onOpen(listener: () => void): void {
    this.#listeners.add(listener)
  }

  offOpen(listener: () => void): void {
    this.#listeners.delete(listener)
  }

  readonly #look = (): void => {
    if (this.#socket?.writableNeedDrain === true) {
      this.#socket.once("drain", this.#look)
      return
    }
    this.#isWaiting = false
    this.#room = most
    this.#tell()
  }

  #tell(): void {
    if (!this.isOpen) return
    for (const listener of this.#listeners) listener()
  }
}
