/**
 * Cuts the bytes of a `Transport` into frames: lines, what a delimiter ends, what a length comes before, or your own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ConnectionSignal } from "./Endpoint.js"
import { FrameError } from "./FrameError.js"
import { ByteCutter, ChunkCutter, type Cut, Decoder, encoded, LineCutter } from "./internal/framing/cutter.js"
import { concat, type Format, format, Link, link } from "./internal/framing/link.js"
import * as Validate from "./internal/options.js"
import type { Transport, TransportError } from "./Transport.js"

/**
 * How bytes are cut into frames, and frames are made bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Framing<out In, in Out = In> extends Pipeable {
  /** For `transform` alone. */
  readonly [format]: Format<In, Out>
  /**
   * The frames of one transport. From then on what comes is read by these alone. Given the signal of the connection, that is
   * lost by a frame that can't be read, once whoever came to it had time to act.
   */
  readonly over: (transport: Transport, signal?: ConnectionSignal<FrameError>) => Framed<In, Out>
}

/**
 * The frames of one transport.
 *
 * It has one reader at a time: another fails with a `TransportError` of reason `Busy`. A later one goes on where an earlier
 * one stopped, also where one packet has several frames. Bytes that were read are the reader's; the frames of one packet may
 * share its memory.
 *
 * After a frame that can't be read there is no other: reading fails with the same `FrameError` for ever.
 *
 * @since 0.1.0
 * @category models
 */
export interface Framed<out In, in Out = In> {
  /** For `Exchange` alone. */
  readonly [link]: Link<In, Out>
  /**
   * The next frame. Fails with a `TransportError` of reason `Closed` if the peer ends the connection instead. A read that is
   * interrupted takes nothing: the next one gets what it would have got.
   */
  readonly read: Effect.Effect<In, FrameError | TransportError>
  /** The frames from here on. Ends when the peer ends the connection. */
  readonly frames: Stream.Stream<In, FrameError | TransportError>
  /**
   * Sends a frame. Completes as a write to the transport does. Fails with a `FrameError` of reason `Unencodable`, and sends
   * nothing, for what can't be a frame.
   */
  readonly write: (frame: Out) => Effect.Effect<void, FrameError | TransportError>
  readonly transport: Transport
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The most bytes of a frame that is read, without the delimiter or the length. Default 1 MiB, or what the length can say
   * if that is less.
   */
  readonly limit?: number | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface LinesOptions extends Options {
  /** What lines that are written end with. Default `"\n"`. */
  readonly ending?: "\n" | "\r\n" | undefined
}

/**
 * Lines of UTF-8. Those that are read end with LF or CRLF, which is no part of them, but a CR counts for the limit. A line
 * that is written has no line break in it.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ClientService, type Endpoint, Framing, type Transport } from "effect-client-service"
 *
 * declare const endpoint: Endpoint.Endpoint<Transport.Transport, Error>
 *
 * const protocol = Framing.protocol(Framing.lines({ ending: "\r\n", limit: 8192 }))
 *
 * const service = ClientService.make({
 *   endpoint,
 *   protocol,
 *   // It may come in one packet with what follows, which stays for the next reader.
 *   prepare: (lines) => Effect.zipRight(lines.read, lines.write("NICK alice"))
 * })
 *
 * const log = Effect.flatMap(service, (irc) =>
 *   irc.use(({ frames }) => Stream.runForEach(frames, (line) => Effect.log(line)))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `limit` is not a positive integer, or `ending` no end of a line
 */
export const lines = (options?: LinesOptions): Framing<string> => {
  const where = "Framing.lines"
  const limit = limitOf(where, options)
  const ending = options?.ending ?? "\n"
  if (ending !== "\n" && ending !== "\r\n") Validate.refuse(where, "ending", ending, '"\\n" or "\\r\\n"')
  return fromFormat({
    cutter: () => new LineCutter(limit),
    encode: (line) => (/[\r\n]/.test(line) ? unencodable("a line has a line break in it") : line + ending),
    isOfBytes: true
  })
}

/**
 * Frames that end with a delimiter, which is no part of them. One that is written may not have it in it.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if the delimiter is empty, or `limit` not a positive integer
 */
export const delimited = (
  delimiter: string | Uint8Array,
  options?: Options
): Framing<Uint8Array, Uint8Array | string> => {
  const where = "Framing.delimited"
  const limit = limitOf(where, options)
  // A copy, since the array is the caller's.
  const ending = concat([delimiter])
  const overhead = ending.length
  if (overhead === 0) Validate.refuse(where, "delimiter", delimiter, "at least one byte")
  return fromBytes(
    {
      limit,
      overhead,
      length: (bytes, seen) => {
        const at = indexOf(bytes, ending, Math.max(0, seen - overhead + 1))
        return at < 0 ? undefined : at + overhead
      },
      decode: (bytes, length) => bytes.subarray(0, length - overhead)
    },
    (frame) => {
      const bytes = concat([frame, ending])
      // The first may overlap with the end of the frame.
      return indexOf(bytes, ending, 0) < bytes.length - overhead
        ? unencodable("a frame has the delimiter in it")
        : bytes
    }
  )
}

/**
 * @since 0.1.0
 * @category options
 */
export interface LengthPrefixedOptions extends Options {
  /** How many bytes the length has. Default 4. */
  readonly bytes?: 1 | 2 | 3 | 4 | 8 | undefined
  /** Whether the lowest byte of the length comes first. Default `false`. */
  readonly littleEndian?: boolean | undefined
}

/**
 * Frames that come after their length, which does not count itself.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `bytes` is none of 1, 2, 3, 4 and 8, or `limit` no integer from 1 to what these can say
 */
export const lengthPrefixed = (options?: LengthPrefixedOptions): Framing<Uint8Array, Uint8Array | string> => {
  const where = "Framing.lengthPrefixed"
  const overhead = options?.bytes ?? 4
  if (![1, 2, 3, 4, 8].includes(overhead)) Validate.refuse(where, "bytes", overhead, "1, 2, 3, 4 or 8")
  // Above that, numbers have gaps; and a frame that long is longer than any limit.
  const most = Math.min(2 ** (8 * overhead) - 1, Number.MAX_SAFE_INTEGER)
  const limit = limitOf(where, options, most)
  const isLittle = options?.littleEndian ?? false
  const shifts = Array.from({ length: overhead }, (_, at) => 256 ** (isLittle ? at : overhead - 1 - at))
  return fromBytes(
    {
      limit,
      overhead,
      length: (bytes) =>
        bytes.length < overhead
          ? undefined
          : shifts.reduce((sum, shift, at) => sum + shift * (bytes[at] ?? 0), overhead),
      decode: (bytes, length) => bytes.subarray(overhead, length)
    },
    (frame) => {
      const bytes = concat([new Uint8Array(overhead), frame])
      const length = bytes.length - overhead
      if (length > most) return unencodable(`a frame has more than ${most} bytes`)
      shifts.forEach((shift, at) => {
        bytes[at] = Math.floor(length / shift) % 256
      })
      return bytes
    }
  )
}

/**
 * What a transport gives at once is a frame, and so is each write: messages over a WebSocket, text of which is read as UTF-8.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `limit` is not a positive integer
 */
export const messages = (options?: Options): Framing<Uint8Array, Uint8Array | string> => {
  const limit = limitOf("Framing.messages", options)
  return fromFormat({ cutter: () => new ChunkCutter(limit), encode: (message) => message, isOfBytes: false })
}

/**
 * @since 0.1.0
 * @category options
 */
export interface MakeOptions<out In, in Out> {
  /**
   * How many bytes the first frame has, with all that belongs to it, as soon as that can be told; it may be more than there
   * are yet. `bytes` is what came and is no frame yet, of which `seen` bytes were there the last time.
   */
  readonly length: (bytes: Uint8Array, seen: number) => number | undefined
  /** Decodes a frame that is whole, from all its bytes. */
  readonly decode: (bytes: Uint8Array) => In
  /** Encodes a frame, with all that belongs to it. */
  readonly encode: (frame: Out) => Uint8Array | string
  /** The most bytes of a frame that is read, with all that belongs to it. Default 1 MiB. */
  readonly limit?: number | undefined
}

/**
 * Makes a framing of your own. What the functions throw becomes a `FrameError`, as does a length that is not positive.
 *
 * @example
 * ```ts
 * import { Framing } from "effect-client-service"
 *
 * // As language servers have it: a header that tells the length, an empty line, and text.
 * const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
 *
 * const messages = Framing.make({
 *   length: (bytes) => {
 *     const [header, end] = decode(bytes.subarray(0, 1024)).split("\r\n\r\n", 2)
 *     if (end === undefined || header === undefined) return undefined
 *     return header.length + 4 + Number(/Content-Length: (\d+)/i.exec(header)?.[1])
 *   },
 *   decode: (bytes) => decode(bytes).replace(/^[^]*?\r\n\r\n/, ""),
 *   encode: (text: string) => `Content-Length: ${new TextEncoder().encode(text).length}\r\n\r\n${text}`
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `limit` is not a positive integer, or a function is missing
 */
export const make = <In, Out = In>(options: MakeOptions<In, Out>): Framing<In, Out> => {
  const where = "Framing.make"
  const limit = limitOf(where, options)
  const length = Validate.callback(where, "length", options.length)
  const decode = Validate.callback(where, "decode", options.decode)
  const encode = Validate.callback(where, "encode", options.encode)
  return fromBytes(
    { limit, overhead: 0, length, decode: (bytes, length) => decode(bytes.subarray(0, length)) },
    (frame: Out) => encoded(() => encode(frame))
  )
}

/**
 * @since 0.1.0
 * @category options
 */
export interface TransformOptions<in In, out Out, out A, in B> {
  readonly decode: (frame: In) => A
  readonly encode: (message: B) => Out
}

/**
 * Has frames decoded once they are read, and encoded before they are written. What the functions throw becomes a
 * `FrameError`.
 *
 * @example
 * ```ts
 * import { Framing } from "effect-client-service"
 *
 * const json = Framing.transform(Framing.lines(), {
 *   decode: (line): unknown => JSON.parse(line),
 *   encode: (message: unknown) => JSON.stringify(message)
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const transform = <In, Out, A, B>(
  framing: Framing<In, Out>,
  { decode, encode }: TransformOptions<In, Out, A, B>
): Framing<A, B> => {
  const { cutter, encode: toBytes, isOfBytes } = framing[format]
  return fromFormat({
    cutter: () => new Decoder(cutter(), decode),
    encode: (message: B) => toBytes(encoded(() => encode(message))),
    isOfBytes
  })
}

/**
 * The `protocol` of a service: frames, or what a function makes of them, such as an `Exchange`. The connection is lost by a
 * frame that can't be read.
 *
 * Where `ClientService.make` has a `prepare` or a `heartbeat` too, this is made before it, as a constant of its own: inside of
 * it, the compiler looks at those first, and does not know yet what they are given.
 *
 * @since 0.1.0
 * @category protocols
 */
export function protocol<In, Out>(
  framing: Framing<In, Out>
): (transport: Transport, signal: ConnectionSignal<FrameError>) => Effect.Effect<Framed<In, Out>, never, Scope.Scope>
export function protocol<In, Out, P, E, R>(
  framing: Framing<In, Out>,
  f: (framed: NoInfer<Framed<In, Out>>) => Effect.Effect<P, E, R>
): (transport: Transport, signal: ConnectionSignal<FrameError>) => Effect.Effect<P, E, R | Scope.Scope>
export function protocol<In, Out>(
  framing: Framing<In, Out>,
  f: (framed: Framed<In, Out>) => Effect.Effect<unknown, unknown, unknown> = Effect.succeed
): (transport: Transport, signal: ConnectionSignal<FrameError>) => Effect.Effect<unknown, unknown, unknown> {
  return (transport, signal) =>
    Effect.suspend(() => {
      const framed = framing.over(transport, signal)
      return Effect.zipRight(
        Effect.addFinalizer(() => framed[link].halt),
        f(framed)
      )
    })
}

const fromFormat = <In, Out>(made: Format<In, Out>): Framing<In, Out> => ({
  [format]: made,
  over: (transport, signal) => {
    const linked = new Link(made, transport, signal)
    return { [link]: linked, read: linked.read, frames: linked.frames, write: linked.write, transport }
  },
  pipe() {
    return pipeArguments(this, arguments)
  }
})

const fromBytes = <In, Out>(cut: Cut<In>, encode: (frame: Out) => Uint8Array | string): Framing<In, Out> =>
  fromFormat({ cutter: () => new ByteCutter(cut), encode, isOfBytes: true })

const limitOf = (where: string, options: Options | undefined, most?: number): number =>
  Validate.integer(where, "limit", options?.limit ?? Math.min(1024 * 1024, most ?? Number.POSITIVE_INFINITY), 1, most)

const unencodable = (problem: string): never => {
  throw new FrameError({ reason: "Unencodable", cause: new Error(problem) })
}

/** Where some bytes are in others, from a place on. */
const indexOf = (bytes: Uint8Array, part: Uint8Array, from: number): number => {
  const [first = 0] = part
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (at + part.length > bytes.length) return -1
    if (part.every((byte, index) => byte === bytes[at + index])) return at
  }
  return -1
}
