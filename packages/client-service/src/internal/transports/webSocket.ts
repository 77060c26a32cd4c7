import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import { type Transport, TransportError } from "../../Transport.js"
import { WebSocketClosed, type WebSocketError, WebSocketOpenError } from "../../WebSocketError.js"
import { Changes, waitUntil } from "../time/changes.js"
import { sleep } from "../time/sleep.js"
import * as ReceiveBuffer from "./receiveBuffer.js"

export interface Settings {
  readonly endpoint: string
  readonly url: URL
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
      Effect.tap((webSocket) => Scope.addFinalizer(scope, webSocket.close)),
      Effect.uninterruptible,
      Effect.flatMap((webSocket) => webSocket.opened)
    )
  )

class WebSocketTransport implements Transport {
  readonly incoming: Transport["incoming"]
  readonly remote: string
  readonly opened: Effect.Effect<Transport, WebSocketError>
  readonly #webSocket: globalThis.WebSocket
  readonly #closing = new Changes()
  readonly #buffer: ReceiveBuffer.ReceiveBuffer

  constructor(webSocket: globalThis.WebSocket, settings: Settings) {
    const { endpoint, signal, url } = settings
    const opened = Deferred.unsafeMake<void, WebSocketError>(FiberId.none)
    const buffer = ReceiveBuffer.make(settings.receiveBuffer)
    this.#webSocket = webSocket
    this.#buffer = buffer
    this.incoming = buffer.stream
    this.remote = url.origin
    this.opened = Effect.as(Deferred.await(opened), this)

    let isOpened = false
    let detail: string | undefined
    // As Blobs, which are the default of browsers, messages could only be read one after the other.
    webSocket.binaryType = "arraybuffer"
    webSocket.addEventListener("open", () => {
      isOpened = true
      Deferred.unsafeDone(opened, Effect.void)
    })
    webSocket.addEventListener("message", ({ data }) => {
      const overflow = buffer.offer(typeof data === "string" ? encoder.encode(data) : new Uint8Array(data))
      if (overflow !== undefined) signal.lost(overflow)
    })
    // Always followed by a close, though `ws` may wait for the peer to close as well.
    webSocket.addEventListener("error", (event) => {
      detail = detailOf(event)
      terminate(webSocket)
    })
    webSocket.addEventListener("close", ({ code, reason }) => {
      const closed = new WebSocketClosed({ endpoint, code, reason, detail })
      buffer.end(isNormal(code) ? undefined : new TransportError({ reason: "Read", cause: closed }))
      const error = isOpened ? closed : new WebSocketOpenError({ endpoint, reason: "Failed", detail })
      Deferred.unsafeDone(opened, Effect.fail(error))
      this.#closing.notify()
      signal.lost(error)
    })
  }

  readonly write = (chunk: Uint8Array | string): Effect.Effect<void, TransportError> =>
    Effect.zipRight(
      this.#whileOpen(() => this.#webSocket.send(chunk)),
      this.#drained
    )

  readonly end: Effect.Effect<void, TransportError> = Effect.suspend(() =>
    this.#whileOpen(() => this.#webSocket.close(1000))
  )

  /** Closes the WebSocket, and waits until it is closed; but not for long, as the peer may be gone. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const isClosed = () => this.#webSocket.readyState === CLOSED
    this.#buffer.end(new TransportError({ reason: "Closed" }))
    if (isClosed()) return Effect.void
    this.#webSocket.close(1000)
    // Interruptible, as a finalizer is not, or the race could not end the one that loses.
    const closed = Effect.interruptible(waitUntil(this.#closing, isClosed))
    return Effect.map(Effect.raceFirst(closed, Effect.interruptible(sleep(linger))), () => terminate(this.#webSocket))
  })

  #whileOpen(f: () => void): Effect.Effect<void, TransportError> {
    return Effect.try({
      try: () => {
        if (this.#webSocket.readyState !== OPEN) throw new TransportError({ reason: "Closed" })
        f()
      },
      catch: (error) =>
        error instanceof TransportError ? error : new TransportError({ reason: "Write", cause: error })
    })
  }

  // No event tells that a WebSocket has sent what it was given.
  get #drained(): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => {
      if (this.#webSocket.bufferedAmount <= sendBuffer) return Effect.void
      if (this.#webSocket.readyState !== OPEN) return new TransportError({ reason: "Closed" })
      return Effect.zipRight(sleep(10), this.#drained)
    })
  }
}

const OPEN = 1
const CLOSED = 3

/** Milliseconds that the peer has to close as well. */
const linger = 1000

/** Bytes that wait to be sent, above which a write waits. */
const sendBuffer = 1024 * 1024

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
