import type * as Net from "node:net"
import * as Tls from "node:tls"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Transport, TransportError } from "effect-client-service/Transport"
import { type ConnectError, fromNodeError } from "../ConnectError.js"
import { isCutOff } from "./cutOff.js"
import type * as OpenSocket from "./openSocket.js"

export interface Settings extends Omit<OpenSocket.Settings, "connect"> {
  /** How long a close waits for the peer. */
  readonly linger: Duration.Duration
  readonly signal: { readonly lost: (error?: ConnectError) => void }
}

/** What waits for its turn to write. */
interface Queued {
  readonly write: () => void
  readonly refuse: (refusal: TransportError) => void
}

// A pause for each chunk, of 64 KiB at most, would cost a turn of the event loop each.
const maxArrivals = 8

type Incoming = Channel.Channel<Chunk.Chunk<Uint8Array>, unknown, TransportError, unknown, void>

/**
 * A socket as a transport.
 *
 * It listens to each event of the socket once and for ever, so that no error event is ever without a listener, and
 * reading and writing add none.
 */
export class SocketTransport implements Transport {
  readonly remote: string
  private phase: "opening" | "open" | "ended" | "closing" = "opening"
  private isLost = false
  private goodbye: NodeJS.Immediate | undefined
  /** What has left the socket for the reader, and is not taken yet. */
  private readonly arrivals: Array<Uint8Array> = []
  private readonly openers = new Set<() => void>()
  private readonly readers = new Set<() => void>()
  private readonly closers = new Set<() => void>()
  private readonly queue = new Set<Queued>()

  constructor(
    private readonly socket: Net.Socket,
    private readonly settings: Settings
  ) {
    this.remote = settings.address
    socket.on(settings.openEvent, () => this.opened())
    // It flows from when a reader waits until enough has arrived.
    socket.pause()
    socket.on("data", (chunk) => this.arrived(chunk))
    socket.on("drain", () => this.drained())
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

  // A chunk is taken by the fiber that reads, and not by the event that wakes it: an interruption in between loses none.
  private readonly read = (): Incoming => {
    if (this.phase === "closing") return this.endOfIncoming
    const chunk = this.take()
    // One at a time, since a consumer that stops within several would lose the rest.
    if (chunk !== null) return Channel.flatMap(Channel.write(Chunk.of(chunk)), this.read)
    return this.isReadOut ? this.endOfIncoming : Channel.flatMap(this.whenReadable, this.read)
  }

  get incoming(): Stream.Stream<Uint8Array, TransportError> {
    return Stream.fromChannel(Channel.suspend(this.read))
  }

  // Also after an error: what came before it was sent before it.
  private take(): Uint8Array | null {
    const chunk = this.arrivals.shift() ?? this.takeFromSocket()
    if (this.socket.readableEnded) this.ended()
    else if (this.socket.closed) this.lostSoon()
    return chunk
  }

  // What the socket gives by being read is an arrival as well, unless the socket is closed.
  private takeFromSocket(): Uint8Array | null {
    if (this.socket.readableLength === 0) return null
    const chunk = this.socket.read()
    this.arrivals.length = 0
    return chunk
  }

  private readonly whenReadable: Effect.Effect<void> = Effect.async((resume) => {
    const settle = () => resume(Effect.void)
    if (this.isReadOut || this.arrivals.length > 0) return settle()
    this.readers.add(settle)
    this.socket.resume()
    return Effect.sync(() => {
      this.readers.delete(settle)
    })
  })

  /** What an end was that came without a goodbye. */
  private get cutOff(): ConnectError | undefined {
    if (!isCutOff(this.socket)) return undefined
    const error = new Error("the connection ended before TLS did")
    return fromNodeError(Object.assign(error, { code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING" }), this.settings.address)
  }

  private get isReadOut(): boolean {
    return this.phase === "ended" || this.phase === "closing" || this.socket.destroyed
  }

  private get endOfIncoming(): Incoming {
    if (this.phase !== "ended") return Channel.fail(this.refusal("Read"))
    const cause = this.cutOff
    return cause === undefined ? Channel.void : Channel.fail(new TransportError({ reason: "Read", cause }))
  }

  readonly write = (chunk: Uint8Array | string): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      if (!this.isWritable) return this.refusal("Write")
      if (this.queue.size === 0 && !this.socket.writableNeedDrain) return this.accept(chunk)
      return this.inTurn((resume) => resume(this.accept(chunk)))
    })

  get end(): Effect.Effect<void, TransportError> {
    return this.inTurn((resume) => {
      this.socket.end(() => {
        resume(this.socket.writableFinished ? Effect.void : this.refusal("Write"))
      })
    })
  }

  private accept(chunk: Uint8Array | string): Effect.Effect<void> {
    try {
      this.socket.write(chunk)
      return Effect.void
    } catch (defect) {
      return Effect.die(defect)
    }
  }

  // What is queued is written by the event that makes room, for writes to keep their order.
  private inTurn(
    write: (resume: (effect: Effect.Effect<void, TransportError>) => void) => void
  ): Effect.Effect<void, TransportError> {
    return Effect.async((resume) => {
      const queued: Queued = { write: () => write(resume), refuse: resume }
      this.queue.add(queued)
      this.drained()
      return Effect.sync(() => {
        this.queue.delete(queued)
      })
    })
  }

  private get isWritable(): boolean {
    return this.phase === "open" && this.socket.writable
  }

  // A socket that is destroyed knows its error before it tells.
  private refusal(operation: "Read" | "Write"): TransportError {
    const cause = this.socket.errored
    return cause === null || this.phase === "closing"
      ? new TransportError({ reason: "Closed" })
      : new TransportError({ reason: operation, cause })
  }

  private opened(): void {
    if (this.phase !== "opening" || this.socket.destroyed) return
    this.phase = "open"
    // A paused socket does not begin to read by itself, and would not notice an end.
    this.socket.read(0)
    this.settings.tune(this.socket)
    wake(this.openers)
  }

  private arrived(chunk: Uint8Array): void {
    if (this.phase === "closing") return
    this.arrivals.push(chunk)
    if (this.arrivals.length >= maxArrivals) this.socket.pause()
    wake(this.readers)
  }

  private drained(): void {
    for (const queued of this.queue) {
      const isWritable = this.isWritable
      if (isWritable && this.socket.writableNeedDrain) return
      this.queue.delete(queued)
      if (isWritable) queued.write()
      else queued.refuse(this.refusal("Write"))
    }
  }

  private ended(): void {
    // The reader comes to the end only after what has arrived.
    if (this.arrivals.length > 0) return
    if (this.phase === "open") this.phase = "ended"
    this.settle()
    this.lostSoon()
  }

  private failed(error: Error): void {
    const wasOpen = this.phase === "open" || this.phase === "ended"
    this.settle()
    if (wasOpen) this.lost(fromNodeError(error, this.settings.address))
  }

  private closed(): void {
    this.settle()
    wake(this.closers)
    this.lostSoon()
  }

  /** Lets everything that waits look again. */
  private settle(): void {
    wake(this.openers)
    wake(this.readers)
    this.drained()
  }

  // A turn of the event loop later, in which the reader can act on the last bytes, such as a refusal to log in. They
  // say more than that the connection is lost.
  private lostSoon(): void {
    if (this.phase === "opening" || this.phase === "closing" || this.isLost || this.arrivals.length > 0) return
    this.goodbye ??= setImmediate(() => this.lost(this.cutOff))
  }

  private lost(error?: ConnectError): void {
    if (this.isLost) return
    this.isLost = true
    this.settings.signal.lost(error)
  }

  /**
   * Sends what was written, then closes, and waits for the peer to do the same, but no longer than `linger`.
   */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { linger } = this.settings
    const { phase, socket } = this
    this.phase = "closing"
    clearImmediate(this.goodbye)
    this.settle()
    const isDone = phase === "opening" || (phase === "ended" && socket.writableLength === 0)
    if (isDone || socket.destroyed) {
      socket.destroy()
      return Effect.void
    }
    socket.end()
    // An end of the incoming bytes is not noticed as long as there are unread ones.
    socket.resume()
    return this.whenClosed.pipe(
      Effect.interruptible,
      Effect.timeoutOption(linger),
      Effect.ensuring(Effect.sync(() => socket.destroy()))
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
