import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Incoming from "../../Incoming.js"
import { TransportError, type WebSocketTransport } from "../../Transport.js"
import {
  WebSocketClosed,
  type WebSocketError,
  WebSocketOpenError,
  type WebSocketOpenReason
} from "../../WebSocketError.js"
import { replaced } from "../connection/phase.js"
import { propertyOf } from "../propertyOf.js"
import { firstOf } from "../time/firstOf.js"
import { sleep } from "../time/sleep.js"
import { deadline, nextTurn, turn } from "../time/turn.js"
import { unwatch, type Watched, watch } from "../time/watch.js"
import { linger } from "./receiveBuffer.js"

type Received = Incoming.Incoming<WebSocketError>

/** By what closes a WebSocket. */
export interface CloseCodes {
  readonly stop?: number | undefined
  readonly reconnect?: number | undefined
  readonly heartbeat?: number | undefined
}

export interface Settings {
  readonly endpoint: string
  /** The origin of the URL. */
  readonly origin: string
  /** Bytes. */
  readonly receiveBuffer: number
  readonly closeCodes: CloseCodes
  readonly signal: { readonly lost: (error?: WebSocketError | TransportError) => void }
}

/**
 * Opens a WebSocket in the Scope of the connection, and gives its transport once it is open.
 *
 * It listens to the WebSocket itself. A `Socket` of `@effect/platform` forgets the code of a close that comes after an
 * error, as when the peer breaks the protocol; keeps the event of the error, which leads to the URL; drops what is
 * written while the WebSocket closes; and leaves a second error of `ws` to nobody, which ends the process.
 */
export const webSocketTransport = (
  construct: () => globalThis.WebSocket,
  settings: Settings
): Effect.Effect<WebSocketTransport, WebSocketError | TransportError, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const { receiveBuffer: capacity, signal } = settings
    const incoming = yield* Incoming.make({ capacity, linger, lost: signal.lost })
    const clock = yield* Effect.clock
    return yield* Effect.try({
      try: () => new LiveWebSocket(construct(), settings, incoming, clock),
      catch: (error) => new WebSocketOpenError({ endpoint: settings.endpoint, ...refusalOf(error) })
    }).pipe(
      Effect.tap((webSocket) => Scope.addFinalizerExit(scope, (exit) => webSocket.close(exit))),
      Effect.uninterruptible,
      Effect.flatMap((webSocket) => webSocket.opened)
    )
  })

/**
 * There is one for each connection, and connections are many: what is of no more use is let go of, and Effects and
 * streams are made when they are asked for.
 */
class LiveWebSocket implements WebSocketTransport, Watched {
  readonly #webSocket: globalThis.WebSocket
  readonly #settings: Settings
  readonly #buffer: Received
  #phase: "opening" | "open" | WebSocketError = "opening"
  #told: Told = { reason: "Failed" }
  /** The socket below a WebSocket of `ws`. */
  #socket: Corkable | undefined
  #isCorked = false
  /** Who waits for the WebSocket to open or to close. */
  #wake: (() => void) | undefined

  /** Waits for a peer that has said goodbye, and does not close. */
  #parting: Fiber.RuntimeFiber<void> | undefined
  /** That of a WebSocket of Node.js, which is watched. */
  #watching: Clock.Clock | undefined
  /** Whether the peer had said goodbye when it was last looked at. */
  #isLeft = false
  /** Whether this side has said goodbye first. */
  #hasEnded = false

  constructor(webSocket: globalThis.WebSocket, settings: Settings, incoming: Received, clock: Clock.Clock) {
    this.#webSocket = webSocket
    this.#settings = settings
    this.#buffer = incoming
    const ws = asWs(webSocket)
    // As Blobs, which are the default of browsers, messages could only be read one after the other.
    webSocket.binaryType = "arraybuffer"
    if (ws !== undefined) {
      incoming.from(ws)
      // It would copy each message into an ArrayBuffer, which takes longer than all else that is done with a small one.
      ws.binaryType = "nodebuffer"
      // Of `effect-client-service-node`, whose heartbeat has found the peer silent.
      ws.once("silent", (detail) => this.#silent(detail))
      ws.once("upgrade", ({ socket }) => {
        this.#socket = socket
        // Both have said goodbye, after which `ws` waits for the peer to close for half a minute.
        socket.once("finish", () => {
          if (!this.#isClosed)
            this.#part(
              Effect.map(deadline(linger), () => terminate(this.#webSocket)),
              clock
            )
        })
      })
    } else if (isOfNode()) {
      this.#watching = clock
      webSocket.addEventListener("open", () => this.#isClosed || watch(this, clock), { once: true })
    }
    webSocket.addEventListener("open", () => this.#opened(), { once: true })
    webSocket.addEventListener("message", ({ data }) => this.#received(data))
    webSocket.addEventListener("error", (event) => this.#failed(event))
    webSocket.addEventListener("close", ({ code, reason }) => this.#closed(code, reason))
  }

  get opened(): Effect.Effect<WebSocketTransport, WebSocketError> {
    return Effect.flatMap(
      this.#when(() => this.#phase !== "opening"),
      (): Effect.Effect<WebSocketTransport, WebSocketError> =>
        typeof this.#phase === "string" ? Effect.succeed(this) : this.#phase
    )
  }

  get remote(): string {
    return this.#settings.origin
  }

  get incoming(): WebSocketTransport["incoming"] {
    return this.#buffer.stream
  }

  get lastReceived(): number | undefined {
    return this.#buffer.lastReceived
  }

  get messages(): WebSocketTransport["messages"] {
    return Stream.map(this.#buffer.stream, (chunk) => (isText(chunk) ? decoder.decode(chunk) : chunk))
  }

  get subprotocol(): string {
    return this.#webSocket.protocol
  }

  readonly write = (chunk: Uint8Array | string): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      this.#cork()
      return this.#whileOpen(() => this.#webSocket.send(this.#kept(chunk))) ?? this.#drained
    })

  get end(): Effect.Effect<void, TransportError> {
    return Effect.suspend(
      () =>
        this.#whileOpen(() => {
          this.#hasEnded = true
          this.#webSocket.close(1000)
        }) ?? Effect.void
    )
  }

  /** Closes the WebSocket, and waits until it is closed; but not for long, as the peer may be gone. */
  close(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#buffer.close()
      if (this.#isClosed) return Effect.void
      this.#stay()
      this.#webSocket.close(this.#settings.closeCodes[endOf(exit)] ?? 1000)
      // Interruptible, as a finalizer is not, or the race could not end the one that loses.
      const closed = Effect.interruptible(this.#when(() => this.#isClosed))
      return Effect.map(firstOf(closed, Effect.interruptible(deadline(linger))), () => terminate(this.#webSocket))
    })
  }

  #part(parting: Effect.Effect<void>, clock: Clock.Clock): void {
    this.#parting = Effect.runFork(Effect.withClock(parting, clock))
  }

  #stay(): void {
    this.#parting?.unsafeInterruptAsFork(FiberId.none)
    this.#parting = undefined
    if (this.#watching !== undefined) unwatch(this, this.#watching)
  }

  // No event tells that the peer has said goodbye, and that of the close comes when it closes the connection, which it may
  // never. Once this side has, nothing tells.
  look(): boolean {
    if (this.#hasEnded) return false
    if (!this.#isLeft) {
      this.#isLeft = this.#webSocket.readyState !== OPEN
      return true
    }
    this.#told = { reason: "Failed", detail: "the peer has said goodbye, and does not close the connection" }
    this.#closed(abnormal, "")
    return false
  }

  #opened(): void {
    if (this.#phase === "opening") this.#phase = "open"
    this.#wake?.()
  }

  #received(data: string | ArrayBuffer | Uint8Array): void {
    this.#buffer.offer(typeof data === "string" ? encoder.encode(data) : asBytes(data))
  }

  // It is closed with the connection, once what came before has been read.
  #silent(detail: string): void {
    const closed = new WebSocketClosed({ endpoint: this.#settings.endpoint, code: abnormal, reason: "", detail })
    this.#buffer.end(new TransportError({ reason: "Read", cause: closed }), closed)
  }

  // Mostly there is a close in the same turn, which tells more. Some platforms have none at all, and `ws` waits for the peer.
  #failed(event: unknown): void {
    this.#told = toldBy(event)
    terminate(this.#webSocket)
    nextTurn(() => {
      if (this.#isClosed) return
      this.#closed(abnormal, "")
      this.#webSocket.close()
    })
  }

  #closed(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#stay()
    const { endpoint } = this.#settings
    const { detail } = this.#told
    const closed = new WebSocketClosed({ endpoint, code: code || abnormal, reason, detail })
    this.#phase = this.#phase === "open" ? closed : new WebSocketOpenError({ endpoint, ...this.#told })
    this.#wake?.()
    this.#buffer.end(isNormal(code) ? undefined : new TransportError({ reason: "Read", cause: closed }), this.#phase)
  }

  // Remembered, since not every platform has it in `readyState`.
  get #isClosed(): boolean {
    return typeof this.#phase !== "string"
  }

  // One that was given up is closed only when its reader has come to the end.
  get #isOpen(): boolean {
    return !this.#isClosed && this.#buffer.failure === undefined && this.#webSocket.readyState === OPEN
  }

  // The caller may use the array again, which `ws` would read later in order to compress it. Browsers take none whose
  // memory is shared.
  #kept(chunk: Uint8Array | string): Uint8Array<ArrayBuffer> | string {
    return typeof chunk === "string" || (isUnshared(chunk) && !this.#webSocket.extensions)
      ? chunk
      : new Uint8Array(chunk)
  }

  // Sent one by one, each message would cost a system call, which takes longer than all else that is done with a small
  // one. So those that are written until the fiber waits, or gives way to others, go together.
  #cork(): void {
    if (this.#socket === undefined || this.#isCorked) return
    this.#isCorked = true
    this.#socket.cork()
    queueMicrotask(() => {
      this.#isCorked = false
      this.#socket?.uncork()
    })
  }

  #when(holds: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (holds()) return resume(Effect.void)
      this.#wake = () => {
        if (!holds()) return
        // What has been resumed would keep its fiber.
        this.#wake = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.#wake = undefined
      })
    })
  }

  /** Does something that needs an open WebSocket, and gives the error if it can't be done. */
  #whileOpen(f: () => void): Effect.Effect<never, TransportError> | undefined {
    if (!this.#isOpen) return closed
    try {
      f()
      return undefined
    } catch (cause) {
      return new TransportError({ reason: "Write", cause })
    }
  }

  // No event tells that a WebSocket has sent what it was given.
  get #drained(): Effect.Effect<void, TransportError> {
    if (this.#webSocket.bufferedAmount <= sendBuffer) return Effect.void
    if (!this.#isOpen) return closed
    return Effect.flatMap(sleep(10), () => this.#drained)
  }
}

const OPEN = 1

/** Whether the WebSocket of the platform is that of Node.js. */
const isOfNode = (): boolean =>
  propertyOf(propertyOf(propertyOf(globalThis, "process"), "versions"), "undici") !== undefined

/** The code of a close that has none of its own. Deno has 0 for it. */
const abnormal = 1006

// A turn later: callers that try again without a pause would starve those who are to learn of the close.
const closed: Effect.Effect<never, TransportError> = /* @__PURE__ */ Effect.zipRight(
  turn,
  /* @__PURE__ */ Effect.suspend(() => new TransportError({ reason: "Closed" }))
)

/** Bytes that wait to be sent, above which a write waits. */
const sendBuffer = 1024 * 1024

/** A WebSocket of `ws`, as far as it is more than one of browsers. */
interface Ws {
  binaryType: "arraybuffer" | "nodebuffer"
  readonly once: {
    (event: "upgrade", listener: (response: { readonly socket: Corkable }) => void): unknown
    (event: "silent", listener: (detail: string) => void): unknown
  }
  readonly terminate: () => void
  readonly pause: () => void
  readonly resume: () => void
}

interface Corkable {
  readonly once: (event: "finish", listener: () => void) => unknown
  readonly cork: () => void
  readonly uncork: () => void
}

const isUnshared = (chunk: Uint8Array): chunk is Uint8Array<ArrayBuffer> => chunk.buffer instanceof ArrayBuffer

const asWs = (webSocket: unknown): Ws | undefined => (isWs(webSocket) ? webSocket : undefined)

const isWs = (webSocket: unknown): webSocket is Ws =>
  typeof propertyOf(webSocket, "terminate") === "function" && typeof propertyOf(webSocket, "once") === "function"

const asBytes = (data: ArrayBuffer | Uint8Array): Uint8Array => {
  if (data instanceof Uint8Array) return data
  const chunk = new Uint8Array(data)
  binary.add(chunk)
  return chunk
}

// The bytes of `ws` are Buffers, and the text that the encoder gives is not. Only what else is bytes is remembered, since
// that takes longer than all else that is done with a small message.
const isText = (chunk: Uint8Array): boolean => chunk.constructor === Uint8Array && !binary.has(chunk)

const binary = new WeakSet<Uint8Array>()

const encoder = new TextEncoder()

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

// Also 1005, which stands for a close without a code.
const isNormal = (code: number): boolean => code === 1000 || code === 1005

// Only `ws` can be closed without the peer.
const terminate = (webSocket: globalThis.WebSocket): void => {
  if ("terminate" in webSocket && typeof webSocket.terminate === "function") webSocket.terminate()
}

/** What a platform said of a WebSocket that it could not open. */
interface Told {
  readonly reason: WebSocketOpenReason
  readonly detail?: string | undefined
  readonly status?: number
}

// Only what can't lead to the URL: the code of a system error or of `ws`, and texts that are known to have nothing of it.
const toldBy = (event: unknown): Told => {
  const error = propertyOf(event, "error")
  const code = propertyOf(error, "code") ?? propertyOf(propertyOf(error, "cause"), "code")
  // What Node.js says of an answer that is none of HTTP.
  if (typeof code === "string") return { reason: /^HPE_/.test(code) ? "Handshake" : "Connection", detail: code }
  const message = String(propertyOf(event, "message"))
  const [detail, status] = /^Unexpected server response: (\d+)$/.exec(message) ?? []
  // An answer that agrees, and does not upgrade the connection.
  if (status === "101") return { reason: "Handshake" }
  if (detail !== undefined) return { reason: "Status", detail, status: Number(status) }
  if (/^Server sent .*subprotocol|^Protocol was not set|^Server did not respond with sent protocols/.test(message))
    return { reason: "Subprotocol" }
  // What Node.js says of a peer that breaks the protocol.
  if (/^(Control|Expected|Fragmented|Frame|Invalid (fr|op)|RSV|Received [cip]|Unexpected co)[\w ,.^>-]*$/.test(message))
    return { reason: "Failed", detail: message }
  return {
    reason: /Sec-WebSocket|Upgrade header|an extension|Connection header/.test(message) ? "Handshake" : "Failed"
  }
}

/** What a constructor of the platform means that throws. */
const refusalOf = (error: unknown): Told =>
  /^(Type|Reference)Error$/.test(String(propertyOf(error, "name"))) && globalThis.WebSocket === undefined
    ? { reason: "Unsupported" }
    : { reason: "Failed" }

/** What closes a connection, by how its Scope is closed. */
const endOf = (exit: Exit.Exit<unknown, unknown>): keyof CloseCodes => {
  if (Exit.isSuccess(exit)) return exit.value === replaced ? "reconnect" : "stop"
  if (Cause.isInterruptedOnly(exit.cause)) return "stop"
  // A WebSocket that is closed already is not closed again.
  return /^(HeartbeatTimeout|WebSocketClosed)$/.test(String(propertyOf(Cause.squash(exit.cause), "_tag")))
    ? "heartbeat"
    : "reconnect"
}
