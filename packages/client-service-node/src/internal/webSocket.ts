import * as Http from "node:http"
import type * as Net from "node:net"
import * as Socket from "@effect/platform/Socket"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Endpoint from "effect-client-service/Endpoint"
import * as Race from "effect-client-service/Race"
import type { TransportError, WebSocketTransport } from "effect-client-service/Transport"
import { WebSocketClosed, type WebSocketError, WebSocketOpenError } from "effect-client-service/WebSocketError"
import * as Address from "effect-client-service-driver/Address"
import * as Validate from "effect-client-service-driver/Validate"
import { type ClientOptions, WebSocket } from "ws"
import { ConnectError } from "../ConnectError.js"
import { asEffect, type Fresh, isFresh } from "./fresh.js"
import { openSocket } from "./openSocket.js"
import * as OverIp from "./overIp.js"
import * as Secure from "./secure.js"
import { deadline } from "./turn.js"

/** How the socket below a WebSocket is made. */
export interface Network {
  readonly ip: OverIp.Settings
  readonly connection: OverIp.Connection
  readonly tune: (socket: Net.Socket) => void
}

type Headers = Readonly<Record<string, string>>

/** Those of `NodeEndpoint.WebSocketOptions`, but for the network's. */
export interface Options<out EH, out RH, out EP, out RP, out ET, out RT> extends Endpoint.WebSocketOptions<EP, RP> {
  readonly headers?: Fresh<Headers, EH, RH> | undefined
  readonly tls?: Secure.Options<ET, RT> | undefined
  readonly maxPayload?: number | undefined
  readonly perMessageDeflate?: ClientOptions["perMessageDeflate"]
  readonly ping?: PingOptions | undefined
}

interface PingOptions {
  readonly interval?: Duration.DurationInput | undefined
  readonly timeout?: Duration.DurationInput | undefined
}

type Failure = WebSocketError | TransportError

export const webSocketEndpoint = <E, R, EH, RH, EP, RP, ET, RT>(
  where: string,
  url: Fresh<string, E, R>,
  options: Options<EH, RH, EP, RP, ET, RT>,
  { connection, ip, tune }: Network
): Endpoint.Endpoint<WebSocketTransport, E | EH | EP | ET | Failure, Exclude<R | RH | RP | RT, Scope.Scope>> => {
  const { closeCodes } = options
  const headers = options.headers ?? {}
  const protocols = options.protocols ?? []
  const receiveBuffer = options.receiveBuffer ?? 16 * 1024 * 1024
  // Refuses what makes no sense at once.
  const { name: endpoint, server } = Endpoint.webSocket(isFresh(url) ? Effect.succeed("") : url, {
    ...options,
    protocols: isFresh(protocols) ? [] : protocols
  })
  if (!isFresh(url)) {
    const target = targetOf(url)
    if (target === undefined) return refuseUnseen(where, "url", "a URL with the name of a host")
    const problem = OverIp.problemOfVersion(target, ip)
    if (problem !== undefined) return refuseUnseen(where, "url", `one with ${problem}`)
  }
  if (!isFresh(headers)) {
    Validate.object(where, "headers", headers)
    const name = invalidHeader(headers)
    if (name !== undefined)
      Validate.refuse(
        where,
        "headers",
        [name, "(not shown)"],
        "headers of HTTP, and none of those of the handshake, as protocols has the subprotocols"
      )
  }
  const fresh = Effect.all([asEffect(headers), asEffect(url), asEffect(protocols)])
  const secure = Secure.secureOptions(where, Validate.object(where, "tls", options.tls ?? {}), endpoint)
  const ping = pingOf(where, options.ping)
  const perMessageDeflate = options.perMessageDeflate ?? true
  if (typeof perMessageDeflate !== "boolean") {
    const { threshold = 0 } = Validate.object(where, "perMessageDeflate", perMessageDeflate)
    // By an infinite one, nothing that is sent is compressed.
    if (threshold !== Number.POSITIVE_INFINITY) Validate.integer(where, "perMessageDeflate.threshold", threshold, 0)
  }
  const clientOptions: ClientOptions = {
    // `ws` keeps 32 bits of it, and takes what is left for another bound, or for none.
    maxPayload: Math.min(Validate.integer(where, "maxPayload", options.maxPayload ?? receiveBuffer, 1), 2 ** 31 - 1),
    perMessageDeflate
  }
  const failed = (reason: "InvalidUrl" | "InvalidOption" | "Connection", detail?: string, cause?: unknown) =>
    new WebSocketOpenError({ endpoint, reason, detail, cause })

  /** Opens the socket below. */
  const dial = (target: Target) =>
    Effect.gen(function* () {
      const { connect, openEvent } = target.isSecure ? Secure.overTls(yield* secure, target.host) : OverIp.overTcp
      const dialTo: Parameters<typeof OverIp.overIp<Net.Socket>>[2] = (to) => () =>
        openSocket({
          address: OverIp.addressOf(to),
          openEvent,
          connect: () => connect({ ...connection, ...to }),
          tune
        })
      // The WebSocket tells of its loss.
      return yield* OverIp.overIp(target, ip, dialTo)({ lost: () => {} })
    }).pipe(
      Effect.mapError((error) =>
        error instanceof ConnectError ? failed("Connection", error.code ?? error.reason, error) : error
      )
    )

  // The transport is told, not the service, which would close the connection before what came is read.
  const tellOfSilence = (webSocket: WebSocket, { timeout }: Ping, { lost }: Endpoint.ConnectionSignal<Failure>) => {
    const detail = `no pong within ${Duration.format(timeout)}`
    // That of another version may not listen.
    if (!webSocket.emit("silent", detail)) lost(new WebSocketClosed({ endpoint, code: 1006, reason: "", detail }))
  }

  /** Opens the WebSocket over a socket. */
  const open = (
    href: string,
    protocols: Endpoint.Protocols,
    headers: Headers,
    socket: Net.Socket,
    signal: Endpoint.ConnectionSignal<Failure>
  ) => {
    let answer: Http.IncomingHttpHeaders = {}
    let webSocket: WebSocket | undefined
    const construct = (href: string, protocols?: string | Array<string>) => {
      webSocket = new WebSocket(href, protocols, {
        ...clientOptions,
        headers,
        createConnection: () => socket,
        finishRequest: (request) => {
          request.once("response", (response) => {
            answer = response.headers
          })
          request.end()
        }
      })
      return domWebSocket(webSocket)
    }
    const withHeaders = (error: WebSocketError | TransportError) =>
      error instanceof WebSocketOpenError && error.reason === "Status"
        ? new WebSocketOpenError({
            endpoint,
            reason: error.reason,
            detail: error.detail,
            status: error.status,
            headers: telling(answer)
          })
        : error
    // As an Effect, of which what makes no sense fails the attempt.
    const offered = Effect.succeed(protocols)
    return Endpoint.webSocket(Effect.succeed(href), { name: endpoint, protocols: offered, receiveBuffer, closeCodes })
      .pipe(Endpoint.mapError(withHeaders))
      .connect(signal)
      .pipe(
        Effect.provideService(Socket.WebSocketConstructor, construct),
        Effect.tap(() => {
          const opened = webSocket
          if (ping === undefined || opened === undefined) return Effect.void
          const silent = untilSilent(opened, socket, ping)
          return Effect.forkScoped(Effect.map(silent, () => tellOfSilence(opened, ping, signal)))
        })
      )
  }

  return Endpoint.make({
    name: endpoint,
    server,
    connect: (signal: Endpoint.ConnectionSignal<Failure>) => Effect.succeed(signal)
  }).pipe(
    Endpoint.mapEffect((signal) =>
      Effect.flatMap(fresh, ([headers, href, protocols]) => {
        const header = invalidHeader(headers)
        if (header !== undefined) return failed("InvalidOption", `header ${JSON.stringify(header)}`)
        const target = targetOf(href)
        if (target === undefined) return failed("InvalidUrl")
        const problem = OverIp.problemOfVersion(target, ip)
        if (problem !== undefined) return failed("InvalidUrl", `it is to have ${problem}`)
        return Effect.flatMap(dial(target), (socket) => open(href, protocols, headers, socket, signal))
      })
    )
  )
}

interface Target extends OverIp.Target {
  readonly isSecure: boolean
}

const targetOf = (url: string): Target | undefined => {
  try {
    const { hash, hostname, port, protocol } = new URL(url)
    if (/[\t\r\n]/.test(url.trim())) return undefined
    if (!/^wss?:$/.test(protocol) || hash !== "" || port === "0") return undefined
    const isSecure = protocol === "wss:"
    const host = Address.host("NodeEndpoint.webSocket", "url", hostname)
    return { ...OverIp.targetOf(hostname, host, port === "" ? (isSecure ? 443 : 80) : Number(port)), isSecure }
  } catch {
    return undefined
  }
}

/** The name of a header that HTTP does not allow, or the handshake. */
const invalidHeader = (headers: Headers): string | undefined =>
  Object.entries(headers ?? {}).find(([name, value]) => {
    if (ofHandshake.test(name) || typeof value !== "string") return true
    try {
      Http.validateHeaderName(name)
      Http.validateHeaderValue(name, value)
      return false
    } catch {
      return true
    }
  })?.[0]

// The handshake has its own, and the length of a body would have the server take messages for that.
const ofHandshake =
  /^(connection|upgrade|sec-websocket-(key|version|protocol|extensions|accept)|content-length|transfer-encoding|trailer|expect)$/i

/** What an answer tells of when to come again and how to log in: the others may hold secrets. */
const telling = (headers: Http.IncomingHttpHeaders): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      typeof value === "string" && /^(retry-after|www-authenticate|(x-)?ratelimit(-.*)?)$/.test(name)
        ? [[name, value]]
        : []
    )
  )

interface Ping {
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
}

const pingOf = (where: string, option: PingOptions | undefined): Ping | undefined => {
  if (option === undefined || option === null) return undefined
  const { interval, timeout } = Validate.object(where, "ping", option)
  return {
    interval: Validate.positiveDuration(where, "ping.interval", interval ?? "30 seconds"),
    timeout: Validate.positiveDuration(where, "ping.timeout", timeout ?? "10 seconds")
  }
}

/** Pings until there is no pong in time. */
const untilSilent = (webSocket: WebSocket, socket: Net.Socket, ping: Ping): Effect.Effect<void> =>
  Effect.sleep(ping.interval).pipe(
    Effect.zipRight(
      Race.firstOf(
        Effect.as(pong(webSocket), true),
        Effect.as(
          Effect.suspend(() => silent(webSocket, socket, ping)),
          false
        )
      )
    ),
    Effect.flatMap((isAlive) => (isAlive ? untilSilent(webSocket, socket, ping) : Effect.void))
  )

/** Waits until nothing has come for as long as the timeout. A pong comes after what the server has begun to send. */
const silent = (webSocket: WebSocket, socket: Net.Socket, ping: Ping): Effect.Effect<void> => {
  const before = socket.bytesRead
  // The event loop may have been held up, and the pong be in the socket.
  return Effect.flatMap(deadline(ping.timeout), () =>
    // Of one that is held back, since nobody reads what it has sent, nothing can be heard.
    webSocket.isPaused || socket.bytesRead > before ? silent(webSocket, socket, ping) : Effect.void
  )
}

const pong = (webSocket: WebSocket): Effect.Effect<void> =>
  Effect.async((resume) => {
    const heard = () => resume(Effect.void)
    webSocket.once("pong", heard)
    // One that closes tells of its loss.
    if (webSocket.readyState === WebSocket.OPEN) webSocket.ping()
    return Effect.sync(() => {
      webSocket.off("pong", heard)
    })
  })

// Its types differ from those of browsers in what nobody uses here.
const domWebSocket = (webSocket: unknown) => webSocket as globalThis.WebSocket

// What holds credentials is not shown.
const refuseUnseen = (where: string, option: string, expected: string): never =>
  Validate.refuse(where, option, "(not shown)", expected)
