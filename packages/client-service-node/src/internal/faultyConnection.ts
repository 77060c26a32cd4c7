import type * as Net from "node:net"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Race from "effect-client-service/Race"

/** What faults come to, of the bytes that go one way. Times are in milliseconds. */
export interface Rules {
  /** How long nothing of a new connection comes through. */
  readonly acceptDelay: number
  readonly delay: number
  /** How much later an end arrives, or a reset. */
  readonly closeDelay: number
  readonly bytesPerMilli: number
  readonly isHeld: boolean
  readonly isEnded: boolean
  readonly cut: Cut | undefined
}

/** How the connection ends, once so many bytes more have come through. */
export interface Cut {
  readonly after: number
  readonly by: "Close" | "Reset"
}

export interface BothRules {
  readonly toClient: Rules
  readonly toServer: Rules
}

/**
 * The connection of a client and the one to the server that belongs to it, with faults in between.
 *
 * Whatever happens to either, and the end of a delay, has the fiber of `run` look again at what there is to do.
 */
export class FaultyConnection {
  private readonly changed = Effect.unsafeMakeLatch()
  private readonly allClosed = Effect.unsafeMakeLatch()
  private readonly sockets: ReadonlyArray<Net.Socket>
  private readonly toServer: Pipe
  private readonly toClient: Pipe

  constructor(
    client: Net.Socket,
    server: Net.Socket,
    private readonly clock: Clock.Clock,
    rules: BothRules,
    onClosed: () => void
  ) {
    const now = () => this.now
    const cut = (by: Cut["by"]) => (by === "Reset" ? this.reset() : this.close())
    this.toServer = new Pipe(client, server, rules.toServer, { now, cut })
    this.toClient = new Pipe(server, client, rules.toClient, { now, cut })
    this.sockets = [client, server]
    for (const socket of this.sockets) {
      for (const event of ["data", "drain", "end"]) socket.on(event, () => this.changed.unsafeOpen())
      // The close that follows an error tells of it.
      socket.on("error", () => {})
      socket.on("close", () => {
        this.changed.unsafeOpen()
        if (!this.isClosed) return
        onClosed()
        this.allClosed.unsafeOpen()
      })
    }
  }

  /** Forwards until both sockets are closed. To interrupt it destroys them. */
  get run(): Effect.Effect<void> {
    return this.proceed.pipe(
      Effect.interruptible,
      Effect.ensuring(
        Effect.suspend(() => {
          for (const socket of this.sockets) socket.destroy()
          return this.closed
        })
      )
    )
  }

  get closed(): Effect.Effect<void> {
    return this.allClosed.await
  }

  private readonly proceed: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isClosed) return Effect.void
    this.changed.unsafeClose()
    const wait = this.advance()
    const changed = this.changed.await
    return Effect.zipRight(Number.isFinite(wait) ? Race.firstOf(changed, Effect.sleep(wait)) : changed, this.proceed)
  })

  /** Changes the rules, at once, also for what is on its way. */
  apply(rules: BothRules): void {
    this.toServer.apply(rules.toServer)
    this.toClient.apply(rules.toClient)
    this.advance()
    this.changed.unsafeOpen()
  }

  reset(): void {
    this.toServer.breakOff()
    this.toClient.breakOff()
  }

  private close(): void {
    this.toServer.end()
    this.toClient.end()
  }

  private get isClosed(): boolean {
    return this.sockets.every((socket) => socket.closed)
  }

  // Not the wall clock, which somebody may set.
  private get now(): number {
    return Number(this.clock.unsafeCurrentTimeNanos() / 1_000_000n)
  }

  private advance(): number {
    const { now } = this
    return Math.min(this.toServer.advance(now), this.toClient.advance(now))
  }
}

interface Surroundings {
  readonly now: () => number
  readonly cut: (by: Cut["by"]) => void
}

/** What has come from the source, in order. */
interface Arrival {
  readonly at: number
  readonly what: Uint8Array | "End" | "Broken"
}

/** How many bytes a pipe holds back before it holds its source back. */
const most = 1024 * 1024

/** How many milliseconds a rate is kept over: what comes through at once, and what the lateness of a timer is made up for. */
const slice = 20

class Pipe {
  private readonly acceptedAt: number
  private readonly arrivals: Array<Arrival> = []
  private held = 0
  private forwarded = 0
  /** When the bytes that were forwarded are through, as the rate has it. */
  private freeAt = 0
  /** Whether what comes now comes to nothing. */
  private isOver = false

  constructor(
    private readonly source: Net.Socket,
    private readonly destination: Net.Socket,
    private rules: Rules,
    private readonly surroundings: Surroundings
  ) {
    this.acceptedAt = surroundings.now()
    source.on("data", (chunk: Uint8Array) => this.arrived(chunk))
    source.on("end", () => this.arrived("End"))
    source.on("close", (isBroken) => {
      if (isBroken) this.arrived("Broken")
    })
  }

  apply(rules: Rules): void {
    // Of a connection that is open, only the end of the fault matters.
    this.rules = { ...rules, acceptDelay: Math.min(this.rules.acceptDelay, rules.acceptDelay) }
    this.forwarded = 0
    this.freeAt = 0
  }

  /** Ends this way of the connection. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.destination.end()
  }

  /** Breaks the destination off. One that is not connected yet is, as soon as it is. */
  breakOff(): void {
    this.isOver = true
    breakOff(this.destination)
  }

  /** Does what is due, and gives the time until there is more to do if nothing happens before. */
  advance(now: number): number {
    if (this.rules.isEnded) this.end()
    this.cutIfDue()
    for (let arrival = this.arrivals[0]; arrival !== undefined; arrival = this.arrivals[0]) {
      const wait = this.dueTime(arrival) - now
      if (wait > 0) return wait
      if (typeof arrival.what === "string") {
        this.arrivals.shift()
        if (arrival.what === "End") this.end()
        else this.breakOff()
      } else {
        if (this.destination.writableNeedDrain) break
        this.forward(arrival.what, now)
      }
    }
    return Number.POSITIVE_INFINITY
  }

  private arrived(what: Arrival["what"]): void {
    this.arrivals.push({ at: this.surroundings.now(), what })
    if (typeof what === "string") return
    this.held += what.length
    if (this.held >= most) this.source.pause()
  }

  private dueTime({ at, what }: Arrival): number {
    const { acceptDelay, closeDelay, delay, isHeld } = this.rules
    if (isHeld) return Number.POSITIVE_INFINITY
    return Math.max(
      this.acceptedAt + acceptDelay,
      at + delay + (typeof what === "string" ? closeDelay : 0),
      this.freeAt
    )
  }

  private forward(chunk: Uint8Array, now: number): void {
    // As a system does that is sent something for a connection that it has closed.
    if (this.destination.destroyed) breakOff(this.source)
    if (this.destination.destroyed || this.isOver) {
      this.take(chunk, chunk.length)
      return
    }
    const { bytesPerMilli, cut } = this.rules
    const share = Math.max(1, Math.floor(bytesPerMilli * slice))
    const size = Math.min(chunk.length, share, cut === undefined ? chunk.length : cut.after - this.forwarded)
    this.take(chunk, size)
    this.destination.write(chunk.subarray(0, size))
    this.forwarded += size
    this.freeAt = (now - this.freeAt > slice ? now : this.freeAt) + size / bytesPerMilli
    this.cutIfDue()
  }

  private take(chunk: Uint8Array, size: number): void {
    const first = this.arrivals.shift()
    if (first !== undefined && size < chunk.length) this.arrivals.unshift({ ...first, what: chunk.subarray(size) })
    this.held -= size
    if (this.held < most) this.source.resume()
  }

  private cutIfDue(): void {
    const { cut } = this.rules
    if (cut !== undefined && this.forwarded >= cut.after) this.surroundings.cut(cut.by)
  }
}

const breakOff = (socket: Net.Socket): void => {
  // After an end there is no reset, and only TCP has one.
  if (socket.writableEnded) socket.destroy()
  else
    try {
      socket.resetAndDestroy()
    } catch {
      socket.destroy()
    }
}
