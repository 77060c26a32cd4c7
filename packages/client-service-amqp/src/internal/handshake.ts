import { Readable } from "node:stream"

/** What a server says as it closes a connection. */
export interface Reply {
  readonly code: number
  readonly text: string
}

/**
 * Reads along while a connection is opened, for the client tells nothing of what the server says as it refuses a virtual
 * host.
 */
export class Handshake {
  #received: Buffer | undefined = Buffer.alloc(0)

  /** The option of `node:net` and `node:tls` by which a socket hands over what it reads. */
  readonly onread = {
    buffer: Buffer.allocUnsafeSlow(65_536),
    callback: (() => {
      const keep = (bytes: Buffer) => this.#keep(bytes)
      // It is called as a method of the socket, which gets no bytes otherwise.
      return function (this: unknown, size: number, buffer: Uint8Array): boolean {
        const bytes = Buffer.from(buffer.subarray(0, size))
        keep(bytes)
        return this instanceof Readable ? this.push(bytes) : true
      }
    })()
  }

  /** What the server said as it closed the connection, if it did. */
  get reply(): Reply | undefined {
    return this.#received === undefined ? undefined : closeIn(this.#received)
  }

  /** Nothing more is of interest. */
  done(): void {
    this.#received = undefined
  }

  #keep(bytes: Buffer): void {
    if (this.#received !== undefined) this.#received = Buffer.concat([this.#received, bytes])
  }
}

const methodFrame = 1
// Of the class and the method, as they are in the frame.
const connectionClose = 0x000a_0032

const closeIn = (bytes: Buffer): Reply | undefined => {
  for (let start = 0; start + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(start + 3)
    const payload = bytes.subarray(start + 7, start + 7 + size)
    if (bytes[start] === methodFrame && payload.length >= 7 && payload.readUInt32BE(0) === connectionClose) {
      const length = payload.readUInt8(6)
      return { code: payload.readUInt16BE(4), text: payload.toString("utf8", 7, 7 + length) }
    }
    start += size + 8
  }
  return undefined
}
