import { type Client, DatabaseError } from "pg"

/**
 * Stands between the socket of a client and what `pg` reads of it, so that nothing of that ends the process: a row that is larger than
 * can be read is a refusal of its statement, whatever can't be read otherwise is an error of the connection, and what a listener
 * throws is told to `thrown`. Errors have their severity in English, whatever language the server speaks. `heard` is told of all that
 * comes.
 */
export const guardWire = (
  client: Client,
  thrown: (error: unknown) => void,
  heard: () => void,
  mostBytes = longestText
): void => {
  const { connection } = client
  const frames = new Frames(mostBytes)
  const [attachListeners, emit] = ["attachListeners", "emit"].map((name): unknown => Reflect.get(connection, name))
  if (typeof attachListeners !== "function" || typeof emit !== "function") return
  let isBroken = false
  const guarded =
    (read: (chunk: Buffer) => void) =>
    (chunk: Buffer): void => {
      if (isBroken) return
      heard()
      try {
        for (const part of frames.take(chunk)) read(part)
      } catch (error) {
        isBroken = true
        connection.emit("error", error)
      }
    }
  Object.assign(connection, {
    attachListeners: (stream: Stream) =>
      attachListeners.call(connection, {
        on: (name: string, f: (chunk: Buffer) => void) => stream.on(name, name === "data" ? guarded(f) : f)
      }),
    // No rest of arguments, since it is called for every message.
    emit: (name: string | symbol, first: unknown, second: unknown): unknown => {
      // What has no code was not told by the server.
      if (name === "errorMessage" && first instanceof DatabaseError && first.code !== undefined) {
        first.severity = frames.nextSeverity() ?? first.severity
      }
      try {
        return emit.call(connection, name, first, second)
      } catch (error) {
        thrown(error)
        if (name === "readyForQuery") goOn(client)
        return true
      }
    }
  })
}

// Of a request that throws at its end, the next would not be sent. Without one, its listeners would be told of the end again.
const goOn = (client: Client): void => {
  const [queue, pulse] = ["_queryQueue", "_pulseQueryQueue"].map((name): unknown => Reflect.get(client, name))
  if (typeof pulse === "function" && Array.isArray(queue) && queue.length > 0) pulse.call(client)
}

interface Stream {
  readonly on: (name: string, f: (chunk: Buffer) => void) => unknown
}

// What Node.js makes a text of at most, in letters, of which each takes a byte at least.
const longestText = 0x1fffffe8

const [row, error, notice, notification, parameter, ready] = ["D", "E", "N", "A", "S", "Z"].map((kind) =>
  kind.charCodeAt(0)
)

const isOfNoStatement = (kind: number | undefined): boolean =>
  kind === notice || kind === notification || kind === parameter

/** What a server sends, message by message, as the chunks come in which it is. */
class Frames {
  readonly #mostBytes: number
  /** The kind and the length of a message of which they have not all come. */
  #header: Buffer = Buffer.alloc(0)
  /** How much of the body of a message has not come yet. */
  #left = 0
  #isKept = true
  /** Whether the rest of the answer of a statement is left out, which was refused for a part of it. */
  #isRefused = false
  /** The beginning of an error, which has its severity. */
  #error: Buffer | undefined
  readonly #severities: Array<string | undefined> = []

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** The severity of the next error, if the server told it in English. */
  nextSeverity(): string | undefined {
    return this.#severities.shift()
  }

  /** What is to be read. */
  take(chunk: Buffer): ReadonlyArray<Buffer> {
    const parts: Array<Buffer> = []
    let from = 0
    let at = 0
    const keep = (to: number): void => {
      if (to > from) parts.push(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to))
    }
    while (at < chunk.length) {
      if (this.#left === 0) {
        const start = at
        at += headerLength - this.#header.length
        const isSplit = this.#header.length > 0 || at > chunk.length
        if (isSplit) {
          if (this.#isKept) keep(start)
          this.#header = Buffer.concat([this.#header, chunk.subarray(start, at)])
          from = at
          if (at > chunk.length) return parts
        }
        const wasKept = this.#isKept && !isSplit
        const kind = isSplit ? this.#header[0] : chunk[start]
        this.#left = (isSplit ? this.#header.readUInt32BE(1) : chunk.readUInt32BE(start + 1)) - lengthOfLength
        if (this.#left < 0) throw new Error("The server has sent what is no message")
        const isTooLarge = kind === row && this.#left > this.#mostBytes && !this.#isRefused
        if (kind === ready) this.#isRefused = false
        this.#isKept = !isTooLarge && (!this.#isRefused || isOfNoStatement(kind))
        if (this.#isKept) {
          if (isSplit) parts.push(this.#header)
          else if (!wasKept) from = start
        } else if (wasKept) keep(start)
        if (isTooLarge) {
          this.#isRefused = true
          this.#severities.push("ERROR")
          parts.push(refusal(this.#left, this.#mostBytes))
        }
        if (kind === error && this.#isKept) this.#error = Buffer.alloc(0)
        this.#header = Buffer.alloc(0)
      }
      const to = Math.min(chunk.length, at + this.#left)
      if (this.#error !== undefined) {
        this.#error = Buffer.concat([
          this.#error,
          chunk.subarray(at, Math.min(to, at + beginning - this.#error.length))
        ])
        if (this.#left === to - at || this.#error.length === beginning) {
          this.#severities.push(severityOf(this.#error))
          this.#error = undefined
        }
      }
      this.#left -= to - at
      at = to
    }
    if (this.#isKept) keep(chunk.length)
    return parts
  }
}

const lengthOfLength = 4
const headerLength = 1 + lengthOfLength

/** How much of an error is looked at: of its fields, the severities come first. */
const beginning = 200

const severityOf = (body: Buffer): string | undefined =>
  body
    .toString()
    .split("\0")
    .find((field) => /^V[A-Z]+$/.test(field))
    ?.slice(1)

/** What the server says of what is beyond its own limits. */
const refusal = (bytes: number, most: number): Buffer => {
  const fields = ["SERROR", "VERROR", "C54000", `Ma row takes ${bytes} bytes, and no more than ${most} can be read`, ""]
  const body = Buffer.from(`${fields.join("\0")}\0`)
  const header = Buffer.from("E\0\0\0\0")
  header.writeUInt32BE(body.length + lengthOfLength, 1)
  return Buffer.concat([header, body])
}
