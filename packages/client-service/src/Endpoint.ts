/**
 * Where a `ClientService` connects to.
 *
 * @since 0.1.0
 */
import * as Socket from "@effect/platform/Socket"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type { EndpointsFailed } from "./EndpointsFailed.js"
import { failover as connectFailover } from "./internal/endpoints/failover.js"
import { race } from "./internal/endpoints/happyEyeballs.js"
import { untilLost } from "./internal/endpoints/untilLost.js"
import * as Validate from "./internal/options.js"
import { socketTransport } from "./internal/transports/socket.js"
import { webSocketTransport } from "./internal/transports/webSocket.js"
import type { Transport, TransportError, WebSocketTransport } from "./Transport.js"
import { type WebSocketError, WebSocketOpenError } from "./WebSocketError.js"

/**
 * How a connection tells its service that it is lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionSignal<in E> {
  /**
   * Reports the loss of the connection. A plain function, to be called at any time and from anywhere; the first call
   * counts, and one that comes after the connection has ended is ignored. Without an error, the service reports a
   * `ConnectionLost`, which has the `detail`: how the connection ended, in words that may be told to anybody.
   */
  readonly lost: (error?: E, detail?: string) => void
}

/**
 * A place to connect to: a name for people to read, and the Effect that makes one connection.
 *
 * `connect` runs afresh at every attempt, so whatever it does, such as resolving a name or fetching credentials, is
 * done again each time. What it acquires belongs to the Scope of the connection, which is closed exactly once, when the
 * connection ends for whatever reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface Endpoint<out A, out E = never, out R = never> extends Pipeable {
  readonly name: string
  /** Where that is in the network, as far as it is known before connecting, for metrics and spans. */
  readonly server?: ServerAddress | undefined
  readonly connect: (signal: ConnectionSignal<E>) => Effect.Effect<A, E, R | Scope.Scope>
}

/**
 * @since 0.1.0
 * @category models
 */
export declare namespace Endpoint {
  /**
   * Any endpoint.
   *
   * @since 0.1.0
   * @category models
   */
  export type Any = Endpoint<unknown, unknown, unknown>

  /**
   * What an endpoint connects to; of a union, what either does.
   *
   * @since 0.1.0
   * @category models
   */
  export type Success<T> = T extends Endpoint<infer A, unknown, unknown> ? A : never

  /**
   * What an endpoint fails with; of a union, what either does.
   *
   * @since 0.1.0
   * @category models
   */
  export type Error<T> = T extends Endpoint<unknown, infer E, unknown> ? E : never

  /**
   * What an endpoint needs; of a union, what either does.
   *
   * @since 0.1.0
   * @category models
   */
  export type Context<T> = T extends Endpoint<unknown, unknown, infer R> ? R : never
}

/**
 * The address of a server, in the words of OpenTelemetry's conventions.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerAddress {
  /** The name of a host, an IP address, or the path of a Unix socket: `server.address`. */
  readonly address: string
  /** The port, if there is one: `server.port`. */
  readonly port?: number | undefined
  /** The transport: `network.transport`. */
  readonly transport?: "pipe" | "quic" | "tcp" | "udp" | "unix" | undefined
}

/**
 * How an endpoint is made.
 *
 * @since 0.1.0
 * @category options
 */
export interface MakeOptions<out A, out E, out R, out ES> {
  /** For logs, spans and messages, so it must not hold a secret. */
  readonly name: string
  /** Where it connects to, for metrics and spans, so it must not hold a secret either. Default: not told. */
  readonly server?: ServerAddress | undefined
  /** Makes one connection, and is given the signal of that connection alone. */
  readonly connect: (signal: ConnectionSignal<ES>) => Effect.Effect<A, E, R | Scope.Scope>
}

/**
 * Makes an endpoint.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Endpoint } from "effect-client-service"
 *
 * class Refused extends Error {}
 *
 * const ticker = Endpoint.make({
 *   name: "ticker",
 *   connect: (signal: Endpoint.ConnectionSignal<Refused>) =>
 *     Effect.acquireRelease(
 *       Effect.sync(() => {
 *         const source = new EventTarget()
 *         source.addEventListener("close", () => signal.lost())
 *         source.addEventListener("refused", () => signal.lost(new Refused()))
 *         return source
 *       }),
 *       (source) => Effect.sync(() => source.dispatchEvent(new Event("bye")))
 *     )
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if the name is empty
 */
export function make<A, E = never, ES = never>(options: MakeOptions<A, E, never, ES>): Endpoint<A, E | ES>
// Not one signature with an `Exclude`: around an endpoint that is generic itself, it would become one of another.
export function make<A, E = never, R = never, ES = never>(options: MakeOptions<A, E, R, ES>): Endpoint<A, E | ES, R>
export function make<A, E, R, ES>(options: MakeOptions<A, E, R, ES>): Endpoint<A, E | ES, R> {
  const where = "Endpoint.make"
  const { connect, name, server } = Validate.object(where, "options", options)
  const about = { name: Validate.text(where, "name", name), server }
  return inScope(about, Validate.callback(where, "connect", connect))
}

/**
 * A connection, and the Effect that ends when it is lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection<out A, out E = never, out R = never> {
  /** What the endpoint connects to. */
  readonly value: A
  /** Ends when the connection is lost, as `lostWhen` has it. */
  readonly lost: Effect.Effect<unknown, E, R>
}

/**
 * Makes an endpoint of connections that tell of their loss by an Effect rather than by a signal: `connect` gives a value
 * and the Effect that ends when that is lost, which `lostWhen` explains. `connect` runs at every attempt.
 *
 * @example
 * ```ts
 * import { Effect, type Scope } from "effect"
 * import { Endpoint } from "effect-client-service"
 *
 * interface Feed {
 *   readonly next: Effect.Effect<string>
 *   readonly closed: Promise<void>
 * }
 * declare const openFeed: Effect.Effect<Feed, Error, Scope.Scope>
 *
 * const feed = Endpoint.fromConnection(
 *   "feed",
 *   Effect.map(openFeed, (feed) => ({ value: feed, lost: Effect.tryPromise(() => feed.closed) }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if the name is empty
 */
export const fromConnection = <A, E, R, E2, R2>(
  /** For logs, spans and messages, so it must not hold a secret. */
  name: string,
  connect: Effect.Effect<Connection<A, E2, R2>, E, R>
): Endpoint<A, E | E2, Exclude<R, Scope.Scope> | Exclude<R2, Scope.Scope>> => {
  const where = "Endpoint.fromConnection"
  effect(where, "connect", connect)
  return fromConnect({ name: Validate.text(where, "name", name) }, (_: ConnectionSignal<never>) => connect).pipe(
    lostWhen(({ lost }) => lost),
    map(({ value }) => value)
  )
}

/**
 * Changes what the endpoint connects to, at every connection.
 *
 * @since 0.1.0
 * @category mapping
 */
export const map: {
  <A, B>(f: (a: A) => B): <E, R>(self: Endpoint<A, E, R>) => Endpoint<B, E, R>
  <A, E, R, B>(self: Endpoint<A, E, R>, f: (a: A) => B): Endpoint<B, E, R>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R, B>(self: Endpoint<A, E, R>, f: (a: A) => B): Endpoint<B, E, R> =>
    fromConnect(self, (signal: ConnectionSignal<E>) => Effect.map(self.connect(signal), f))
)

/**
 * Changes what the endpoint connects to by an Effect, which runs as part of every attempt and in the Scope of the
 * connection.
 *
 * @since 0.1.0
 * @category mapping
 */
export const mapEffect: {
  <A, B, E2, R2>(
    f: (a: A) => Effect.Effect<B, E2, R2>
  ): <E, R>(self: Endpoint<A, E, R>) => Endpoint<B, E | E2, R | Exclude<R2, Scope.Scope>>
  <A, E, R, B, E2, R2>(
    self: Endpoint<A, E, R>,
    f: (a: A) => Effect.Effect<B, E2, R2>
  ): Endpoint<B, E | E2, R | Exclude<R2, Scope.Scope>>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R, B, E2, R2>(
    self: Endpoint<A, E, R>,
    f: (a: A) => Effect.Effect<B, E2, R2>
  ): Endpoint<B, E | E2, R | Exclude<R2, Scope.Scope>> =>
    fromConnect(self, (signal: ConnectionSignal<E>) => Effect.flatMap(self.connect(signal), f))
)

/**
 * Changes the errors of the endpoint, both of attempts and of losses.
 *
 * @since 0.1.0
 * @category mapping
 */
export const mapError: {
  <E, E2>(f: (error: E) => E2): <A, R>(self: Endpoint<A, E, R>) => Endpoint<A, E2, R>
  <A, E, R, E2>(self: Endpoint<A, E, R>, f: (error: E) => E2): Endpoint<A, E2, R>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R, E2>(self: Endpoint<A, E, R>, f: (error: E) => E2): Endpoint<A, E2, R> =>
    fromConnect(self, (signal: ConnectionSignal<E2>) =>
      Effect.mapError(self.connect({ lost: (error, detail) => signal.lost(mapped(error, f), detail) }), f)
    )
)

/**
 * Runs an Effect as part of every attempt, in the Scope of the connection. If it fails, so does the attempt.
 *
 * @since 0.1.0
 * @category sequencing
 */
export const tap: {
  <A, X, E2, R2>(
    f: (a: A) => Effect.Effect<X, E2, R2>
  ): <E, R>(self: Endpoint<A, E, R>) => Endpoint<A, E | E2, R | Exclude<R2, Scope.Scope>>
  <A, E, R, X, E2, R2>(
    self: Endpoint<A, E, R>,
    f: (a: A) => Effect.Effect<X, E2, R2>
  ): Endpoint<A, E | E2, R | Exclude<R2, Scope.Scope>>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R, X, E2, R2>(
    self: Endpoint<A, E, R>,
    f: (a: A) => Effect.Effect<X, E2, R2>
  ): Endpoint<A, E | E2, R | Exclude<R2, Scope.Scope>> => mapEffect(self, (a) => Effect.as(f(a), a))
)

/**
 * Runs an Effect beside every connection, whose end is the loss of that: success is a loss without an error, failure one
 * with that error. A defect is a loss without an error too, and logged.
 *
 * It begins when the endpoint has connected, and is interrupted when the connection closes. What it acquires is released
 * when it ends.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Endpoint, type Transport } from "effect-client-service"
 *
 * interface Session {
 *   readonly send: (text: string) => Effect.Effect<void>
 *   readonly run: Effect.Effect<void, Error>
 * }
 * declare const makeSession: (transport: Transport.Transport) => Effect.Effect<Session>
 * declare const tcp: Endpoint.Endpoint<Transport.Transport>
 *
 * const session = tcp.pipe(
 *   Endpoint.mapEffect(makeSession),
 *   Endpoint.lostWhen((session) => session.run)
 * )
 * ```
 *
 * @since 0.1.0
 * @category sequencing
 */
export const lostWhen: {
  <A, X, E2, R2>(
    f: (a: A) => Effect.Effect<X, E2, R2>
  ): <E, R>(self: Endpoint<A, E, R>) => Endpoint<A, E | E2, R | Exclude<R2, Scope.Scope>>
  <A, E, R, X, E2, R2>(
    self: Endpoint<A, E, R>,
    f: (a: A) => Effect.Effect<X, E2, R2>
  ): Endpoint<A, E | E2, R | Exclude<R2, Scope.Scope>>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R, X, E2, R2>(
    self: Endpoint<A, E, R>,
    f: (a: A) => Effect.Effect<X, E2, R2>
  ): Endpoint<A, E | E2, R | Exclude<R2, Scope.Scope>> =>
    fromConnect(self, (signal: ConnectionSignal<E | E2>) =>
      Effect.tap(self.connect(signal), (a) => Effect.forkScoped(untilLost(self.name, () => f(a), signal)))
    )
)

/**
 * Connects through a `Socket` of `@effect/platform`, such as a WebSocket. The Effect that gives the `Socket` runs at
 * every attempt.
 *
 * Any end of the socket is a loss, a clean one too. A `Socket` can't push its peer back, so what arrives and is not read
 * is kept, up to `receiveBuffer` bytes (16 MiB by default); beyond that, unless a reader waits for it, `incoming` fails with a
 * `TransportError` of reason `Overflow` and the connection is lost. A chunk that waits behind another counts for 512 bytes more, as it takes
 * that much memory.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if the name is empty, or `receiveBuffer` is not a positive integer
 */
export const fromSocket = <E, R>(
  name: string,
  socket: Effect.Effect<Socket.Socket, E, R>,
  options?: { readonly receiveBuffer?: number | undefined; readonly server?: ServerAddress | undefined }
): Endpoint<Transport, E | Socket.SocketError | TransportError, Exclude<R, Scope.Scope>> => {
  const where = "Endpoint.fromSocket"
  const receiveBuffer = receiveBufferOf(where, options)
  effect(where, "socket", socket)
  return fromConnect(
    { name: Validate.text(where, "name", name), server: options?.server },
    (signal: ConnectionSignal<Socket.SocketError | TransportError>) =>
      Effect.flatMap(socket, (socket) => socketTransport(socket, name, receiveBuffer, signal))
  )
}

/**
 * Options of a WebSocket.
 *
 * @since 0.1.0
 * @category options
 */
export interface WebSocketOptions<out E = never, out R = never> {
  /**
   * For logs, spans and errors, so it must not hold a secret. Default: the origin of the URL, such as
   * `wss://example.com:8443`; or `websocket`, if the URL comes from an Effect.
   */
  readonly name?: string | undefined
  /** The subprotocols to offer, the preferred one first. An Effect runs at every attempt. Default: none. */
  readonly protocols?: Protocols | Effect.Effect<Protocols, E, R> | undefined
  /** How many bytes of messages are kept until they are read. Default 16 MiB. */
  readonly receiveBuffer?: number | undefined
  /** The codes to close with: 1000, or one of your own from 3000 to 4999. Default 1000 for each. */
  readonly closeCodes?: CloseCodes | undefined
}

/**
 * The codes that a WebSocket is closed with, by what closes it.
 *
 * @since 0.1.0
 * @category options
 */
export interface CloseCodes {
  /** `stop`, and the end of the owner. */
  readonly stop?: number | undefined
  /** `reconnect`, `maxAge`, and whatever else replaces the connection. */
  readonly reconnect?: number | undefined
  /** A heartbeat without an answer, if the peer still hears of it. */
  readonly heartbeat?: number | undefined
}

/**
 * The subprotocols of a WebSocket.
 *
 * @since 0.1.0
 * @category options
 */
export type Protocols = string | ReadonlyArray<string>

/**
 * Connects by a WebSocket, which the platform's `Socket.WebSocketConstructor` makes. The URL can be an Effect, which then
 * runs at every attempt, so that a token in it is a fresh one. Neither the URL nor a part of it but the origin is in any
 * name, error, log or span.
 *
 * - Each element of `incoming` is one message, whole, and an empty one too; text comes as UTF-8. In `messages` text comes
 *   as a string, so that it can be told from bytes. Either ends when the peer
 *   closes with 1000 or without a code, and fails with a `TransportError` for any other close.
 * - A string is sent as one text message, bytes as one binary message. A write completes when no more than 1 MiB waits to
 *   be sent.
 * - `end` closes the WebSocket: there is no closing of one side alone.
 *
 * An attempt fails with a `WebSocketOpenError`, which has the reason as far as the platform tells. Any close is a loss, a
 * clean one too, and its error a `WebSocketClosed` with the code and the reason that the peer gave. Messages that are not
 * read are kept, up to `receiveBuffer` bytes. Beyond
 * that the peer is pushed back by a WebSocket of `ws`; others can't, so `incoming` fails with a `TransportError` of reason
 * `Overflow` and the connection is lost, unless a reader waits for the message. A message that waits behind another counts
 * for 512 bytes more, as it takes that much memory.
 *
 * Closing waits a second for the peer to close as well, and then destroys a WebSocket that has a `terminate`, as those of
 * `ws` and Bun have. Other platforms give no hold of the socket: that of a peer that is mute stays open until the system
 * or the peer gives it up, one for each connection that was lost to its silence. So does that of a peer that has said goodbye
 * and does not close it, whose loss is known a second later with `ws`, and within two seconds with the WebSocket of Node.js;
 * but once this side has said goodbye by `end`, that of Node.js does not tell whether the peer has.
 *
 * @example
 * ```ts
 * import { Socket } from "@effect/platform"
 * import { Effect } from "effect"
 * import { ClientService, Endpoint, RetryPolicy, WebSocketError } from "effect-client-service"
 *
 * declare const fetchToken: Effect.Effect<string>
 *
 * const service = ClientService.make({
 *   endpoint: Endpoint.webSocket(
 *     Effect.map(fetchToken, (token) => `wss://example.com/feed?token=${token}`),
 *     { name: "feed", protocols: "feed.v2" }
 *   ),
 *   // The server closes with 4003 when the account is locked.
 *   retryPolicy: RetryPolicy.fullJitter().pipe(
 *     RetryPolicy.whileError(
 *       (error: unknown) => !(error instanceof WebSocketError.WebSocketClosed && error.code === 4003)
 *     )
 *   )
 * }).pipe(Effect.provide(Socket.layerWebSocketConstructorGlobal))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if a URL that is given as text is not one of `ws:` or `wss:` with the name of a host and without a
 * fragment, a protocol is not a token of HTTP or is there twice, the name is empty, or `receiveBuffer` is not a positive
 * integer
 */
export function webSocket<EP = never, RP = never>(
  url: string,
  options?: WebSocketOptions<EP, RP>
): Endpoint<
  WebSocketTransport,
  Types.NoInfer<EP> | WebSocketError | TransportError,
  Exclude<Types.NoInfer<RP>, Scope.Scope> | Socket.WebSocketConstructor
>
export function webSocket<E = never, R = never, EP = never, RP = never>(
  url: string | Effect.Effect<string, E, R>,
  options?: WebSocketOptions<EP, RP>
): Endpoint<
  WebSocketTransport,
  E | Types.NoInfer<EP> | WebSocketError | TransportError,
  Exclude<R | Types.NoInfer<RP>, Scope.Scope> | Socket.WebSocketConstructor
>
// Without `NoInfer`, what is not given would be inferred from what the caller does with the endpoint.
export function webSocket<E, R, EP, RP>(
  url: string | Effect.Effect<string, E, R>,
  options?: WebSocketOptions<EP, RP>
): Endpoint<
  WebSocketTransport,
  E | EP | WebSocketError | TransportError,
  Exclude<R | RP, Scope.Scope> | Socket.WebSocketConstructor
> {
  const where = "Endpoint.webSocket"
  if (typeof url !== "string" && !Effect.isEffect(url)) refuseUnseen(where, "url", "text, or an Effect of it")
  const known =
    typeof url === "string"
      ? (webSocketUrl(url) ??
        refuseUnseen(where, "url", "a URL of ws: or wss: with the name of a host, and without a fragment"))
      : undefined
  const endpoint = Validate.text(where, "name", options?.name ?? known?.origin ?? "websocket")
  const closeCodes = Validate.object(where, "closeCodes", options?.closeCodes ?? {})
  const protocols = options?.protocols ?? []
  for (const code of Object.values(closeCodes)) {
    if (code !== undefined && code !== 1000) Validate.integer(where, "closeCodes", code, 3000, 4999)
  }
  const offered = Effect.isEffect(protocols)
    ? Effect.map(protocols, protocolsOf)
    : Effect.succeed(protocolsOf(protocols) ?? refuseUnseen(where, "protocols", "tokens of HTTP, each but once"))
  const receiveBuffer = receiveBufferOf(where, options)
  const resolve = typeof url === "string" ? Effect.succeed(known) : Effect.map(url, webSocketUrl)
  const about = { name: endpoint, server: known?.server }
  return fromConnect(about, (signal: ConnectionSignal<WebSocketError | TransportError>) =>
    Effect.flatMap(Effect.all([Socket.WebSocketConstructor, resolve, offered]), ([construct, url, protocols]) => {
      if (url === undefined) return new WebSocketOpenError({ endpoint, reason: "InvalidUrl" })
      if (protocols === undefined)
        return new WebSocketOpenError({ endpoint, reason: "InvalidOption", detail: "protocols" })
      return webSocketTransport(() => construct(url.href, [...protocols]), {
        endpoint,
        origin: url.origin,
        receiveBuffer,
        closeCodes,
        signal
      })
    })
  )
}

/**
 * Tries the next of several endpoints at each attempt: the first again after a connection that came up (prepared and
 * all), and after a full round. An attempt whose endpoint fails tells which endpoints of the round have failed so far, and
 * why; what made an attempt fail after its endpoint had connected, such as `prepare` or `connectTimeout`, is there as a
 * defect.
 *
 * It keeps the place in the round, so every service needs one of its own.
 *
 * @since 0.1.0
 * @category combining
 * @throws InvalidOption if there is no endpoint
 */
export function failover<T extends Endpoint.Any>(
  endpoints: ReadonlyArray<T>
): Endpoint<Endpoint.Success<T>, Endpoint.Error<T> | EndpointsFailed<Endpoint.Error<T>>, Endpoint.Context<T>>
export function failover<A, E, R>(endpoints: ReadonlyArray<Endpoint<A, E, R>>): Endpoint<A, E | EndpointsFailed<E>, R> {
  const about = aboutAll("Endpoint.failover", endpoints)
  // A copy, since the array is the caller's.
  return inScope(about, connectFailover([...endpoints]))
}

/**
 * Races several endpoints for each connection, as RFC 8305 ("Happy Eyeballs") has it: the next one begins after `delay`,
 * 250 milliseconds by default, or as soon as one has failed, and the first to connect wins. The others are interrupted
 * and closed, even one that connects too late. If all fail, the attempt tells why each did.
 *
 * @example
 * ```ts
 * import { Endpoint, type Transport } from "effect-client-service"
 *
 * declare const near: Endpoint.Endpoint<Transport.Transport, Error>
 * declare const far: Endpoint.Endpoint<Transport.Transport, Error>
 *
 * const nearest = Endpoint.happyEyeballs([near, far], { delay: "100 millis" })
 * ```
 *
 * @since 0.1.0
 * @category combining
 * @throws InvalidOption if there is no endpoint, or `delay` is negative or not a number
 */
export function happyEyeballs<T extends Endpoint.Any>(
  endpoints: ReadonlyArray<T>,
  options?: { readonly delay?: Duration.DurationInput | undefined }
): Endpoint<Endpoint.Success<T>, Endpoint.Error<T> | EndpointsFailed<Endpoint.Error<T>>, Endpoint.Context<T>>
export function happyEyeballs<A, E, R>(
  endpoints: ReadonlyArray<Endpoint<A, E, R>>,
  options?: { readonly delay?: Duration.DurationInput | undefined }
): Endpoint<A, E | EndpointsFailed<E>, R> {
  const where = "Endpoint.happyEyeballs"
  const delay = Duration.toMillis(Validate.duration(where, "delay", options?.delay ?? "250 millis"))
  const about = aboutAll(where, endpoints)
  // A copy, since the array is the caller's.
  const own = [...endpoints]
  return inScope(about, (signal: ConnectionSignal<E>) => race(own, delay, signal))
}

const receiveBufferOf = (where: string, options: { readonly receiveBuffer?: number | undefined } | undefined): number =>
  Validate.integer(where, "receiveBuffer", options?.receiveBuffer ?? 16 * 1024 * 1024, 1)

interface WebSocketUrl {
  readonly href: string
  readonly origin: string
  readonly server: ServerAddress
}

// Not the URL itself, which takes much more memory.
const webSocketUrl = (text: string): WebSocketUrl | undefined => {
  try {
    const { hash, hostname, href, origin, port, protocol } = new URL(text)
    // A URL leaves them out, so that it would be another host or port.
    if (/[\t\r\n]/.test(text.trim())) return undefined
    if (!/^wss?:$/.test(protocol) || hash !== "" || port === "0" || !host.test(hostname)) return undefined
    const server: ServerAddress = {
      address: hostname.replace(/^\[|[\].]$/g, ""),
      port: Number(port) || (protocol === "ws:" ? 80 : 443),
      transport: "tcp"
    }
    return { href, origin, server }
  } catch {
    return undefined
  }
}

// A URL takes more for a host than there can be in the DNS, such as an empty label.
const host = /^(\[.*\]|(?=.{1,253}\.?$)[\w-]{1,63}(\.[\w-]{1,63})*\.?)$/

const protocolsOf = (option: Protocols): ReadonlyArray<string> | undefined => {
  const protocols = typeof option === "string" ? [option] : option
  if (!Array.isArray(protocols) || new Set(protocols).size !== protocols.length) return undefined
  return protocols.every((protocol) => typeof protocol === "string" && token.test(protocol))
    ? [...protocols]
    : undefined
}

const token = /^[\w!#$%&'*+.^`|~-]+$/

const effect = <A, E, R>(where: string, option: string, value: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.isEffect(value) ? value : refuseUnseen(where, option, "an Effect")

// What holds credentials is not shown.
const refuseUnseen = (where: string, option: string, expected: string): never =>
  Validate.refuse(where, option, "(not shown)", expected)

/** What is known of several endpoints as of one: of their server, what they have in common. */
const aboutAll = (where: string, endpoints: ReadonlyArray<Endpoint<unknown, unknown, unknown>>): About => {
  if (!Array.isArray(endpoints)) return refuseUnseen(where, "endpoints", "a list of endpoints")
  if (endpoints.length === 0) return Validate.refuse(where, "endpoints", endpoints, "one endpoint or more")
  for (const [place, endpoint] of endpoints.entries()) {
    Validate.callback(where, `endpoints[${place}].connect`, endpoint?.connect)
  }
  const name = endpoints.map(({ name }) => name).join(", ")
  const common = <A>(of: (server: ServerAddress | undefined) => A): A | undefined => {
    const [first, ...others] = endpoints.map(({ server }) => of(server))
    return others.every((other) => other === first) ? first : undefined
  }
  const address = common((server) => server?.address)
  if (address === undefined) return { name, server: undefined }
  return {
    name,
    server: { address, port: common((server) => server?.port), transport: common((server) => server?.transport) }
  }
}

type About = Pick<Endpoint<unknown>, "name" | "server">

const inScope = <A, E, R, ES>(
  { name, server }: About,
  connect: (signal: ConnectionSignal<ES>) => Effect.Effect<A, E, R | Scope.Scope>
): Endpoint<A, E | ES, R> => ({
  name,
  server,
  connect,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

// Whoever runs an endpoint gives it the Scope of the connection, so that its `R` need not ask for it.
function fromConnect<A, E, R, ES>(
  about: About,
  connect: (signal: ConnectionSignal<ES>) => Effect.Effect<A, E, R>
): Endpoint<A, E | ES, Exclude<R, Scope.Scope>>
function fromConnect<A, E, R, ES>(
  about: About,
  connect: (signal: ConnectionSignal<ES>) => Effect.Effect<A, E, R>
): Endpoint<A, E | ES, R> {
  return inScope(about, connect)
}

// `lost` is called by sockets' event listeners, where a throw would be an uncaught exception.
const mapped = <E, E2>(error: E | undefined, f: (error: E) => E2): E2 | undefined => {
  if (error === undefined) return undefined
  try {
    return f(error)
  } catch {
    return undefined
  }
}
