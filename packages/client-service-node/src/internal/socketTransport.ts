import type * as Net from "node:net"
import * as Tls from "node:tls"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Incoming from "effect-client-service/Incoming"
import { type Transport, TransportError, type Write } from "effect-client-service/Transport"
import { type ConnectError, fromNodeError } from "../ConnectError.js"
import { isCutOff } from "./cutOff.js"
import type { HalfOpen } from "./halfOpen.js"
import { hiddenReset } from "./hiddenReset.js"
import type * as OpenSocket from "./openSocket.js"
import { type Owner, Sending } from "./sending.js"
import { within } from "./turn.js"
import { keepUnread } from "./unread.js"

export interface Settings extends Omit<OpenSocket.Settings, "connect"> {
  /** How long a close waits for the peer, and a loss for the reader. */
  readonly linger: Duration.Duration
  readonly incoming: Incoming.Incoming<ConnectError>
  /** Of a connection that goes on when the peer has ended its side. */
  readonly halfOpen: HalfOpen<ConnectError> | undefined
}

/**
 * A socket as a transport.
 *
 * It listens to each event of the socket once and for ever, so that no error event is ever without a listener, and
 * reading and writing add none.
 */
export class SocketTransport implements Transport, Owner {
  readonly remote: string
  readonly write: Write
  private phase: "opening" | "open" | "ended" | "closing" = "opening"
  private readonly received: Incoming.Incoming<ConnectError>
  /** Why it goes on no more. */
  private error: Error | null = null
  private readonly openers = new Set<() => void>()
  private readonly closers = new Set<() => void>()
  private readonly sending: Sending

  constructor(
    private readonly socket: Net.Socket,
    private readonly settings: Settings
  ) {
    this.remote = settings.address
    this.received = settings.incoming
    this.received.from(socket)
    this.sending = new Sending(socket, this)
    this.write = this.sending.write
    keepUnread(socket, () => this.endedBefore())
    // Or its own side would end before it is known how the other has.
    socket.allowHalfOpen = true
    socket.on(settings.openEvent, () => this.opened())
    socket.on("data", (chunk) => this.received.offer(chunk))
    socket.on("drain", () => this.sending.settle())
    socket.on("end", () => this.ended())
    socket.on("error", (error) => this.failed(error))
    socket.on("close", () => this.closed())
  }

  /** The application protocol that TLS has agreed on. */
  get alpnProtocol(): string | undefined {
    const { socket } = this
    return socket instanceof Tls.TLSSocket && typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined
  }

  /** Waits until the socket is open. Interrupting it destroys the socket. */
  get whenOpen(): Effect.Effect<SocketTransport, ConnectError> {
    return Effect.async((resume) => {
      const settle = () => {
        if (this.phase === "open") resume(Effect.succeed(this))
        else if (this.phase !== "opening" || this.socket.destroyed) {
          resume(fromNodeError(this.socket.errored ?? undefined, this.settings.address))
        } else this.openers.add(settle)
      }
      settle()
      return Effect.sync(() => {
        this.openers.delete(settle)
        this.socket.destroy()
      })
    })
  }

  get incoming(): Transport["incoming"] {
    return this.received.stream
  }

  get lastReceived(): number | undefined {
    return this.received.lastReceived
  }

  /** What an end was that came without a goodbye. */
  private get cutOff(): ConnectError | undefined {
    if (!isCutOff(this.socket)) return undefined
    const error = new Error("the connection ended before TLS did")
    return fromNodeError(Object.assign(error, { code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING" }), this.settings.address)
  }

  /** What the peer ends it by. */
  private get goodbye(): string {
    if (this.socket instanceof Tls.TLSSocket) return " (close_notify)"
    return this.socket.remoteFamily === undefined ? "" : " (FIN)"
  }

  get end(): Effect.Effect<void, TransportError> {
    return this.sending.end
  }

  get isOpen(): boolean {
    return this.phase === "open" && this.error === null && this.received.failure === undefined
  }

  // A socket that is destroyed knows its error before it tells; but TLS that is broken does not keep it.
  refusal(operation: "Read" | "Write"): TransportError {
    const cause = this.socket.errored ?? this.error ?? this.received.failure?.cause
    return cause === undefined || this.phase === "closing"
      ? new TransportError({ reason: "Closed" })
      : new TransportError({ reason: operation, cause })
  }

  private opened(): void {
    if (this.phase !== "opening" || this.socket.destroyed) return
    this.phase = "open"
    this.settings.tune(this.socket)
    wake(this.openers)
  }

  private ended(): void {
    if (this.phase === "open" && this.settings.halfOpen === undefined) this.phase = "ended"
    this.settle()
    const { cutOff, settings, socket } = this
    const end = (cause: unknown, loss: ConnectError | undefined) => {
      if (loss !== undefined) this.received.end(new TransportError({ reason: "Read", cause }), loss)
      else this.endCleanly()
    }
    if (socket instanceof Tls.TLSSocket) end(cutOff, cutOff)
    else hiddenReset(socket, (reset) => end(reset, reset && fromNodeError(reset, settings.address)))
    if (settings.halfOpen === undefined) socket.end()
  }

  private endCleanly(): void {
    this.received.end(undefined, undefined, `the peer ended it cleanly${this.goodbye}`)
  }

  /** The peer had ended its side before a write failed. */
  private endedBefore(): void {
    if (this.phase !== "open") return
    if (this.settings.halfOpen === undefined) this.phase = "ended"
    this.endCleanly()
  }

  private failed(error: Error): void {
    this.error = error
    this.settle()
    // How it has ended is told by then.
    if (this.phase === "opening" || this.phase === "ended") return
    // What it has read before the error was sent before it. Where TLS breaks, `read` would tell of it as well.
    this.socket.removeAllListeners("data")
    for (let chunk = this.socket.read(); chunk !== null; chunk = this.socket.read()) this.received.offer(chunk)
    const loss = fromNodeError(error, this.settings.address)
    // How the peer has ended is told by this error too, to a reader that has still to learn of it.
    if (!this.socket.readableEnded) this.received.end(this.refusal("Read"), loss)
    this.settings.halfOpen?.closed(loss)
    // What breaks TLS does not end the socket.
    this.socket.destroy()
  }

  private closed(): void {
    this.settle()
    wake(this.closers)
    if (this.phase === "open") this.received.end(this.refusal("Read"))
    this.settings.halfOpen?.closed()
  }

  /** Lets everything that waits look again. */
  private settle(): void {
    wake(this.openers)
    this.sending.settle()
  }

  /**
   * Sends what was written, then closes, and waits for the peer to do the same, but no longer than `linger`.
   */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { linger } = this.settings
    const { phase, socket } = this
    this.phase = "closing"
    this.settle()
    this.received.close()
    const isDone = phase === "opening" || (phase === "ended" && socket.writableLength === 0)
    if (isDone || socket.destroyed) {
      socket.destroy()
      return Effect.void
    }
    socket.end()
    return Effect.ensuring(
      within(this.whenClosed, linger),
      Effect.sync(() => socket.destroy())
    )
  })

  private get whenClosed(): Effect.Effect<void> {
    return Effect.async((resume) => {
      const settle = () => resume(Effect.void)
      if (this.socket.closed) settle()
      else this.closers.add(settle)
      return Effect.sync(() => {
        this.closers.delete(settle)
      })
    })
  }
}

const wake = (waiting: Set<() => void>): void => {
  for (const resume of [...waiting]) {
    waiting.delete(resume)
    resume()
  }
}
