import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { type Transport, TransportError } from "../../Transport.js"
import { WebSocketClosed, type WebSocketError, WebSocketOpenError } from "../../WebSocketError.js"
import { sleep } from "../time/sleep.js"
import { ReceiveBuffer } from "./receiveBuffer.js"

export interface Settings {
  readonly endpoint: string
  /** The origin of the URL. */
  readonly origin: string
  /** Bytes. */
  readonly receiveBuffer: number
  readonly signal: { readonly lost: (error: WebSocketError | TransportError) => void }
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
): Effect.Effect<Transport, WebSocketError | TransportError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) =>
    Effect.try({
      try: () => new WebSocketTransport(construct(), settings),
      catch: () => new WebSocketOpenError({ endpoint: settings.endpoint, reason: "Failed" })
    }).pipe(
      Effect.tap((webSocket) => Scope.addFinalizerExit(scope, () => webSocket.close)),
      Effect.uninterruptible,
      Effect.flatMap((webSocket) => webSocket.opened)
    )
  )

/**
 * There is one for each connection, and connections are many: what is of no more use is let go of, and Effects and
 * streams are made when they are asked for.
 */
class WebSocketTransport implements Transport {
  readonly #webSocket: globalThis.WebSocket
  readonly #settings: Settings
  readonly #buffer: ReceiveBuffer
  #phase: "opening" | "open" | WebSocketError = "opening"
  #detail: string | undefined
  /** The socket below a WebSocket of `ws`. */
  #socket: Corkable | undefined
  #isCorked = false
  /** Who waits for the WebSocket to open or to close. */
  #wake: (() => void) | undefined

  constructor(webSocket: globalThis.WebSocket, settings: Settings) {
    this.#webSocket = webSocket
    this.#settings = settings
    this.#buffer = new ReceiveBuffer(settings.receiveBuffer)
    // As Blobs, which are the default of browsers, messages could only be read one after the other.
    webSocket.binaryType = "arraybuffer"
    const ws = asWs(webSocket)
    if (ws !== undefined) {
      // It would copy each message into an ArrayBuffer, which takes longer than all else that is done with a small one.
      ws.binaryType = "nodebuffer"
      ws.once("upgrade", ({ socket }) => {
        this.#socket = socket
      })
    }
    webSocket.addEventListener("open", () => this.#opened(), { once: true })
    webSocket.addEventListener("message", ({ data }) => this.#received(data))
    // Always followed by a close, though `ws` may wait for the peer to close as well.
    webSocket.addEventListener("error", (event) => {
      this.#detail = detailOf(event)
      terminate(webSocket)
    })
    webSocket.addEventListener("close", ({ code, reason }) => this.#closed(code, reason))
  }

  get opened(): Effect.Effect<Transport, WebSocketError> {
    return Effect.flatMap(
      this.#when(() => this.#phase !== "opening"),
      (): Effect.Effect<Transport, WebSocketError> =>
        typeof this.#phase === "string" ? Effect.succeed(this) : this.#phase
    )
  }

  get remote(): string {
    return this.#settings.origin
  }

  get incoming(): Transport["incoming"] {
    return this.#buffer.stream
  }

  readonly write = (chunk: Uint8Array | string): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      this.#cork()
      return this.#whileOpen(() => this.#webSocket.send(chunk)) ?? this.#drained
    })

  get end(): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => this.#whileOpen(() => this.#webSocket.close(1000)) ?? Effect.void)
  }

  /** Closes the WebSocket, and waits until it is closed; but not for long, as the peer may be gone. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const isClosed = () => this.#webSocket.readyState === CLOSED
      this.#buffer.end(new TransportError({ reason: "Closed" }))
      if (isClosed()) return Effect.void
      this.#webSocket.close(1000)
      // Interruptible, as a finalizer is not, or the race could not end the one that loses.
      const closed = Effect.interruptible(this.#when(isClosed))
      return Effect.map(Effect.raceFirst(closed, Effect.interruptible(sleep(linger))), () => terminate(this.#webSocket))
    })
  }

  #opened(): void {
    if (this.#phase === "opening") this.#phase = "open"
    this.#wake?.()
  }

  #received(data: string | ArrayBuffer | Uint8Array): void {
    const chunk = typeof data === "string" ? encoder.encode(data) : asBytes(data)
    const overflow = this.#buffer.offer(chunk)
    if (overflow !== undefined) this.#settings.signal.lost(overflow)
  }

  #closed(code: number, reason: string): void {
    const { endpoint, signal } = this.#settings
    const detail = this.#detail
    const closed = new WebSocketClosed({ endpoint, code, reason, detail })
    this.#buffer.end(isNormal(code) ? undefined : new TransportError({ reason: "Read", cause: closed }))
    this.#phase = this.#phase === "open" ? closed : new WebSocketOpenError({ endpoint, reason: "Failed", detail })
    this.#wake?.()
    signal.lost(this.#phase)
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
  #whileOpen(f: () => void): TransportError | undefined {
    if (this.#webSocket.readyState !== OPEN) return new TransportError({ reason: "Closed" })
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
    if (this.#webSocket.readyState !== OPEN) return new TransportError({ reason: "Closed" })
    return Effect.flatMap(sleep(10), () => this.#drained)
  }
}

const OPEN = 1
const CLOSED = 3

/** Milliseconds that the peer has to close as well. */
const linger = 1000

/** Bytes that wait to be sent, above which a write waits. */
const sendBuffer = 1024 * 1024

/** A WebSocket of `ws`, as far as it is more than one of browsers. */
interface Ws {
  binaryType: "arraybuffer" | "nodebuffer"
  readonly once: (event: "upgrade", listener: (response: { readonly socket: Corkable }) => void) => unknown
  readonly terminate: () => void
}

interface Corkable {
  readonly cork: () => void
  readonly uncork: () => void
}

const asWs = (webSocket: unknown): Ws | undefined => (isWs(webSocket) ? webSocket : undefined)

const isWs = (webSocket: unknown): webSocket is Ws =>
  typeof propertyOf(webSocket, "terminate") === "function" && typeof propertyOf(webSocket, "once") === "function"

const asBytes = (data: ArrayBuffer | Uint8Array): Uint8Array =>
  data instanceof Uint8Array ? data : new Uint8Array(data)

const encoder = new TextEncoder()

// Also 1005, which stands for a close without a code.
const isNormal = (code: number): boolean => code === 1000 || code === 1005

// Only `ws` can be closed without the peer.
const terminate = (webSocket: globalThis.WebSocket): void => {
  if ("terminate" in webSocket && typeof webSocket.terminate === "function") webSocket.terminate()
}

// Only what can't lead to the URL: the code of a system error or of `ws`, and the status of an answer.
const detailOf = (event: unknown): string | undefined => {
  const code = propertyOf(propertyOf(event, "error"), "code")
  if (typeof code === "string") return code
  const message = propertyOf(event, "message")
  return typeof message === "string" && /^Unexpected server response: \d+$/.test(message) ? message : undefined
}

const propertyOf = (value: unknown, property: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, property) : undefined
