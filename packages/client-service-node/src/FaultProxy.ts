/**
 * A TCP proxy whose faults a test switches on and off: it stands between a client and a real server, and delays, breaks
 * or withholds what goes through it.
 *
 * @since 0.1.0
 */
import * as Net from "node:net"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Address from "effect-client-service-driver/Address"
import * as Validate from "effect-client-service-driver/Validate"
import { type BothRules, FaultyConnection, type Rules } from "./internal/faultyConnection.js"
import { refuseItself } from "./internal/openSocket.js"

/**
 * A proxy under the control of a test.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaultProxy {
  /** The address that it listens at, which stays the same while it refuses connections. */
  readonly host: string
  readonly port: number
  /**
   * Has these faults, all at once, instead of those before: for the connections that are open and for those to come.
   * Done when they are in force. Fails if the proxy can't listen again after it refused connections; the other faults
   * are in force then. After the Scope has closed, it does nothing.
   */
  readonly set: (...faults: ReadonlyArray<Fault>) => Effect.Effect<void, ListenError>
  /** Has no faults: `set` of none. What was held back comes through. What was broken stays so. */
  readonly heal: Effect.Effect<void, ListenError>
  /** Resets all open connections, once, and waits until they are closed. */
  readonly dropAll: Effect.Effect<void>
  /** How many connections are open, on either side of the proxy. */
  readonly open: Effect.Effect<number>
  /** How many connections it has accepted so far. */
  readonly accepted: Effect.Effect<number>
}

/**
 * The way that bytes go.
 *
 * @since 0.1.0
 * @category models
 */
export type Direction = "ToClient" | "ToServer"

/**
 * The ways that a fault is in. What it limits or counts, it does so for each by itself.
 *
 * @since 0.1.0
 * @category models
 */
export type Directions = Direction | "Both"

/**
 * What is wrong with a connection. Make them by the functions of this module.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = Data.TaggedEnum<{
  Latency: { readonly delay: Duration.Duration; readonly direction: Directions }
  Bandwidth: { readonly bytesPerSecond: number; readonly direction: Directions }
  BlackHole: { readonly direction: Directions }
  Close: { readonly after: number; readonly direction: Directions }
  Reset: { readonly after: number; readonly direction: Directions }
  HalfClose: { readonly direction: Direction }
  SlowClose: { readonly delay: Duration.Duration; readonly direction: Directions }
  LateAccept: { readonly delay: Duration.Duration }
  Refuse: {}
}>

/**
 * The proxy can't listen at its address.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly host: string
  readonly port: number
  /** What Node.js failed with. */
  readonly cause: Error
}> {
  override get message(): string {
    return `${this.host}:${this.port}: the proxy can't listen there: ${this.cause.message}`
  }
}

/**
 * Options of a proxy.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** The server: an address of TCP, or the path of a Unix socket. */
  readonly upstream: { readonly host: string; readonly port: number } | { readonly path: string }
  /** Where to listen. Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** The port to listen on, or 0 for one that is free. Default 0. */
  readonly port?: number | undefined
}

/**
 * Makes a proxy, which listens until its Scope closes; then all its connections are destroyed.
 *
 * Each connection of a client has one to the server. If the server can't be connected to, the client's is reset. What is
 * held back, by a delay or a fault, is held in memory up to 1 MiB each way; after that the sender is held back too. All
 * delays are by Effect's `Clock`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ClientService } from "effect-client-service"
 * import { FaultProxy, NodeEndpoint } from "effect-client-service-node"
 *
 * const test = Effect.gen(function* () {
 *   const proxy = yield* FaultProxy.make({ upstream: { host: "127.0.0.1", port: 6379 } })
 *   const service = yield* ClientService.make({
 *     endpoint: NodeEndpoint.tcp({ host: proxy.host, port: proxy.port })
 *   })
 *   yield* service.start
 *   yield* service.whenConnected()
 *
 *   // The server answers late, and in the middle of its 2,000 bytes the connection breaks.
 *   yield* proxy.set(
 *     FaultProxy.latency({ delay: "50 millis", direction: "ToClient" }),
 *     FaultProxy.reset({ after: 2000, direction: "ToClient" })
 *   )
 *   yield* proxy.heal
 *   yield* service.whenConnected()
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = (options: Options): Effect.Effect<FaultProxy, ListenError, Scope.Scope> => {
  const where = "FaultProxy.make"
  const { host: givenHost = "127.0.0.1", port: givenPort = 0, upstream } = options
  const target: Net.NetConnectOpts =
    "path" in upstream
      ? { path: Address.path(where, "upstream.path", upstream.path), allowHalfOpen: true }
      : {
          host: Address.host(where, "upstream.host", upstream.host),
          port: Validate.integer(where, "upstream.port", upstream.port, 1, 65535),
          allowHalfOpen: true,
          noDelay: true
        }
  const host = Address.host(where, "host", givenHost)
  const chosenPort = Validate.integer(where, "port", givenPort, 0, 65535)

  return Effect.gen(function* () {
    const clock = yield* Effect.clock
    const fork = yield* FiberSet.makeRuntime<never, void, never>()
    const gate = yield* Effect.makeSemaphore(1)
    const connections = new Set<FaultyConnection>()
    let rules = rulesOf([])
    let accepted = 0
    let isClosed = false

    const accept = (client: Net.Socket) => {
      accepted += 1
      const connection = new FaultyConnection(client, refuseItself(Net.connect(target)), clock, rules, () => {
        connections.delete(connection)
      })
      connections.add(connection)
      fork(connection.run)
    }
    const close = Effect.sync(() => {
      isClosed = true
      server?.close()
    })
    let server: Net.Server | undefined = yield* Effect.acquireRelease(listen(host, chosenPort, accept), () =>
      gate.withPermits(1)(close)
    )
    const port = portOf(server)

    const set = (...faults: ReadonlyArray<Fault>): Effect.Effect<void, ListenError> =>
      Effect.suspend(() => {
        if (isClosed) return Effect.void
        rules = rulesOf(faults)
        for (const connection of connections) connection.apply(rules)
        if (faults.some((fault) => fault._tag === "Refuse")) {
          server?.close()
          server = undefined
        } else if (server === undefined) {
          return Effect.map(listen(host, port, accept), (listening) => {
            server = listening
          })
        }
        return Effect.void
      }).pipe(gate.withPermits(1), Effect.uninterruptible)

    return {
      host,
      port,
      set,
      heal: set(),
      dropAll: Effect.suspend(() =>
        Effect.forEach(
          [...connections],
          (connection) => {
            connection.reset()
            return connection.closed
          },
          { concurrency: "unbounded", discard: true }
        )
      ),
      open: Effect.sync(() => connections.size),
      accepted: Effect.sync(() => accepted)
    }
  })
}

const listen = (
  host: string,
  port: number,
  accept: (client: Net.Socket) => void
): Effect.Effect<Net.Server, ListenError> =>
  Effect.async((resume) => {
    const server = Net.createServer({ allowHalfOpen: true, noDelay: true }, accept)
    server.on("error", (cause) => resume(new ListenError({ host, port, cause })))
    server.listen({ host, port }, () => resume(Effect.succeed(server)))
  })

const portOf = (server: Net.Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

/**
 * Options of faults that can be in one way alone.
 *
 * @since 0.1.0
 * @category options
 */
export interface DirectionOptions {
  /** The ways that the fault is in. Default `"Both"`. */
  readonly direction?: Directions | undefined
}

/**
 * Options of `latency` and `slowClose`.
 *
 * @since 0.1.0
 * @category options
 */
export interface DelayOptions extends DirectionOptions {
  readonly delay: Duration.DurationInput
}

/**
 * @since 0.1.0
 * @category options
 */
export interface BandwidthOptions extends DirectionOptions {
  /** At least 1. */
  readonly bytesPerSecond: number
}

/**
 * Options of `close` and `reset`.
 *
 * @since 0.1.0
 * @category options
 */
export interface CutOptions extends DirectionOptions {
  /** How many bytes come through before, from when the fault is set or the connection opens. Default 0. */
  readonly after?: number | undefined
}

/**
 * Everything comes through so much later. An infinite `delay` is a black hole.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const latency = (options: DelayOptions): Fault => ({
  _tag: "Latency",
  delay: Validate.duration("FaultProxy.latency", "delay", options.delay),
  direction: directionOf("FaultProxy.latency", options)
})

/**
 * No more than so many bytes come through in a second, each way.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const bandwidth = (options: BandwidthOptions): Fault => ({
  _tag: "Bandwidth",
  bytesPerSecond: Validate.integer("FaultProxy.bandwidth", "bytesPerSecond", options.bytesPerSecond, 1),
  direction: directionOf("FaultProxy.bandwidth", options)
})

/**
 * Connections are accepted, and nothing comes through: no byte, no end and no reset. A TLS handshake never ends. Since
 * TCP sends again what was lost, what was held back comes through once this fault is over.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const blackHole = (options: DirectionOptions = {}): Fault => ({
  _tag: "BlackHole",
  direction: directionOf("FaultProxy.blackHole", options)
})

/**
 * The connection is closed cleanly on both sides: at once, or when so many bytes more have come through one way, which
 * is in the middle of a frame if `after` is. Each connection has a count of its own.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const close = (options: CutOptions = {}): Fault => ({ _tag: "Close", ...cutOf("FaultProxy.close", options) })

/**
 * The connection is reset on both sides: at once, or when so many bytes more have come through one way. Each connection
 * has a count of its own. A Unix socket, which has no reset, is closed.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const reset = (options: CutOptions = {}): Fault => ({ _tag: "Reset", ...cutOf("FaultProxy.reset", options) })

/**
 * One way is ended, as by a peer that says it will send no more; the other way goes on.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const halfClose = (options: { readonly direction: Direction }): Fault => {
  const { direction } = options
  if (direction === "ToClient" || direction === "ToServer") return { _tag: "HalfClose", direction }
  return Validate.refuse("FaultProxy.halfClose", "direction", direction, '"ToClient" or "ToServer"')
}

/**
 * An end, or a reset, comes through so much later. An infinite `delay` is never.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const slowClose = (options: DelayOptions): Fault => ({
  _tag: "SlowClose",
  delay: Validate.duration("FaultProxy.slowClose", "delay", options.delay),
  direction: directionOf("FaultProxy.slowClose", options)
})

/**
 * Connections are accepted, but nothing comes through before they have been open for so long. An infinite `delay` is
 * never.
 *
 * @since 0.1.0
 * @category faults
 * @throws InvalidOption
 */
export const lateAccept = (options: { readonly delay: Duration.DurationInput }): Fault => ({
  _tag: "LateAccept",
  delay: Validate.duration("FaultProxy.lateAccept", "delay", options.delay)
})

/**
 * Nothing listens: new connections are refused. Those that are open stay so.
 *
 * @since 0.1.0
 * @category faults
 */
export const refuse: Fault = { _tag: "Refuse" }

const directionOf = (where: string, { direction = "Both" }: DirectionOptions): Directions =>
  direction === "Both" || direction === "ToClient" || direction === "ToServer"
    ? direction
    : Validate.refuse(where, "direction", direction, '"ToClient", "ToServer" or "Both"')

const cutOf = (where: string, options: CutOptions) => ({
  after: Validate.integer(where, "after", options.after ?? 0, 0),
  direction: directionOf(where, options)
})

const rulesOf = (faults: ReadonlyArray<Fault>): BothRules => ({
  toClient: faults.reduce(ruledBy("ToClient"), faultless),
  toServer: faults.reduce(ruledBy("ToServer"), faultless)
})

const faultless: Rules = {
  acceptDelay: 0,
  delay: 0,
  closeDelay: 0,
  bytesPerMilli: Number.POSITIVE_INFINITY,
  isHeld: false,
  isEnded: false,
  cut: undefined
}

const ruledBy =
  (way: Direction) =>
  (rules: Rules, fault: Fault): Rules => {
    if ("direction" in fault && fault.direction !== "Both" && fault.direction !== way) return rules
    switch (fault._tag) {
      case "Latency":
        return { ...rules, delay: rules.delay + Duration.toMillis(fault.delay) }
      case "Bandwidth":
        return { ...rules, bytesPerMilli: Math.min(rules.bytesPerMilli, fault.bytesPerSecond / 1000) }
      case "BlackHole":
        return { ...rules, isHeld: true }
      case "Close":
      case "Reset": {
        const { _tag: by, after } = fault
        return rules.cut !== undefined && rules.cut.after <= after ? rules : { ...rules, cut: { after, by } }
      }
      case "HalfClose":
        return { ...rules, isEnded: true }
      case "SlowClose":
        return { ...rules, closeDelay: rules.closeDelay + Duration.toMillis(fault.delay) }
      case "LateAccept":
        return { ...rules, acceptDelay: Math.max(rules.acceptDelay, Duration.toMillis(fault.delay)) }
      case "Refuse":
        return rules
    }
  }
