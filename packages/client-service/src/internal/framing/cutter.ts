import { FrameError } from "../../FrameError.js"
import { Pending } from "./pending.js"

/** What a cutter gives when there is no whole frame. */
export const none: unique symbol = Symbol("none")

/** Cuts the bytes of one connection into frames. */
export interface Cutter<out In> {
  /** Takes the bytes that come next, once there is no whole frame left. */
  readonly push: (chunk: Uint8Array) => void
  /** Gives the next frame. Throws a `FrameError` if there can't be one. */
  readonly next: () => In | typeof none
  /** Whether a frame has begun. */
  readonly isMidFrame: boolean
  /** About how many bytes the last frame has. */
  readonly weight: number
}

/** How to find the end of a frame. */
export interface Cut<out In> {
  readonly limit: number
  /** The bytes of a frame that the limit does not count. */
  readonly overhead: number
  /** The bytes of the first frame, with all that belongs to it. `seen` of the bytes were there the last time. */
  readonly length: (bytes: Uint8Array, seen: number) => number | undefined
  readonly decode: (bytes: Uint8Array, length: number) => In
}

export class ByteCutter<In> implements Cutter<In> {
  readonly #cut: Cut<In>
  readonly #pending = new Pending()
  #bytes = this.#pending.bytes
  #seen = 0
  /** The length of the frame that has begun, if it is known. */
  #length: number | undefined
  weight = 0

  constructor(cut: Cut<In>) {
    this.#cut = cut
  }

  get isMidFrame(): boolean {
    return this.#pending.length > 0
  }

  push(chunk: Uint8Array): void {
    this.#pending.append(chunk)
    this.#bytes = this.#pending.bytes
  }

  next(): In | typeof none {
    const bytes = this.#bytes
    if (bytes.length === 0) return none
    const length = this.#length ?? this.#lengthOf(bytes)
    if (length === undefined || length > bytes.length) {
      this.#length = length
      this.#seen = bytes.length
      return none
    }
    const frame = decoded(() => this.#cut.decode(bytes, length))
    this.#pending.drop(length)
    this.#bytes = this.#pending.bytes
    this.#length = undefined
    this.#seen = 0
    this.weight = length
    return frame
  }

  #lengthOf(bytes: Uint8Array): number | undefined {
    const { limit, overhead } = this.#cut
    const length = decoded(() => this.#cut.length(bytes, this.#seen))
    if (length === undefined ? bytes.length >= limit + overhead : length > limit + overhead) throw tooLong(limit)
    // One of no bytes would come for ever.
    if (length !== undefined && !(Number.isInteger(length) && length > 0)) {
      throw new FrameError({ reason: "Undecodable", cause: new RangeError(`${length} is no length of a frame`) })
    }
    return length
  }
}

const newline = 10
const carriageReturn = 13

/** Lines, of which all that are in a chunk are decoded at once. */
export class LineCutter implements Cutter<string> {
  readonly #limit: number
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  readonly #unfinished = new Pending()
  /** Whole lines, and where the next begins. */
  #text = ""
  #at = 0
  #error: FrameError | undefined
  weight = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get isMidFrame(): boolean {
    return this.#unfinished.length > 0
  }

  push(chunk: Uint8Array): void {
    // By the byte: it is no part of any other character of UTF-8.
    const end = chunk.lastIndexOf(newline) + 1
    const unfinished = this.#unfinished
    if (end > 0) {
      const rest = end === chunk.length ? undefined : chunk.subarray(end)
      const whole = rest === undefined ? chunk : chunk.subarray(0, end)
      let lines = whole
      if (unfinished.length > 0) {
        unfinished.append(whole)
        lines = unfinished.bytes
        unfinished.drop(lines.length)
      }
      this.#text = this.#decoder.decode(this.#upToLimit(lines))
      this.#at = 0
      if (rest !== undefined) unfinished.append(rest)
    } else unfinished.append(chunk)
    if (unfinished.length > this.#limit) this.#error ??= tooLong(this.#limit)
  }

  next(): string | typeof none {
    const start = this.#at
    if (start < this.#text.length) {
      const end = this.#text.indexOf("\n", start)
      const isCrLf = end > start && this.#text.charCodeAt(end - 1) === carriageReturn
      const line = this.#text.slice(start, isCrLf ? end - 1 : end)
      this.#at = end + 1
      this.weight = line.length
      return line
    }
    if (this.#error !== undefined) throw this.#error
    this.#text = ""
    return none
  }

  /** The lines before the first that is too long. */
  #upToLimit(lines: Uint8Array): Uint8Array {
    if (lines.length <= this.#limit) return lines
    for (let start = 0; start < lines.length; ) {
      const end = lines.indexOf(newline, start)
      if (end - start > this.#limit) {
        this.#error = tooLong(this.#limit)
        return lines.subarray(0, start)
      }
      start = end + 1
    }
    return lines
  }
}

/** Each chunk is a frame. */
export class ChunkCutter implements Cutter<Uint8Array> {
  readonly #limit: number
  #chunk: Uint8Array | undefined
  readonly isMidFrame = false
  weight = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  push(chunk: Uint8Array): void {
    this.#chunk = chunk
  }

  next(): Uint8Array | typeof none {
    const chunk = this.#chunk
    if (chunk === undefined) return none
    this.#chunk = undefined
    if (chunk.length > this.#limit) throw tooLong(this.#limit)
    this.weight = chunk.length
    return chunk
  }
}

/** Frames that another cuts, decoded. */
export class Decoder<In, A> implements Cutter<A> {
  readonly #cutter: Cutter<In>
  readonly #decode: (frame: In) => A

  constructor(cutter: Cutter<In>, decode: (frame: In) => A) {
    this.#cutter = cutter
    this.#decode = decode
  }

  get isMidFrame(): boolean {
    return this.#cutter.isMidFrame
  }

  get weight(): number {
    return this.#cutter.weight
  }

  push(chunk: Uint8Array): void {
    this.#cutter.push(chunk)
  }

  next(): A | typeof none {
    const frame = this.#cutter.next()
    return frame === none ? none : decoded(() => this.#decode(frame))
  }
}

/** Runs what decodes, which may be the application's. */
export const decoded = <A>(decode: () => A): A => {
  try {
    return decode()
  } catch (cause) {
    throw cause instanceof FrameError ? cause : new FrameError({ reason: "Undecodable", cause })
  }
}

/** Runs what encodes. */
export const encoded = <A>(encode: () => A): A => {
  try {
    return encode()
  } catch (cause) {
    throw cause instanceof FrameError ? cause : new FrameError({ reason: "Unencodable", cause })
  }
}

const tooLong = (limit: number): FrameError => new FrameError({ reason: "TooLong", limit })
