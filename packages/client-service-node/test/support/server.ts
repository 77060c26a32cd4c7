import { channel } from "node:diagnostics_channel"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Deferred, Effect, Queue, type Scope } from "effect"

export interface Server {
  readonly port: number
  /** The connections, in the order in which they were accepted. */
  readonly accepted: Queue.Dequeue<Net.Socket>
  /** Stops listening and destroys all connections, as the end of its process would. */
  readonly kill: Effect.Effect<void>
}

export interface ServerOptions {
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly allowHalfOpen?: boolean
  readonly tls?: Tls.TlsOptions
}

/** A server on the loopback interface, or of a Unix socket. */
export const listen = (
  onConnection: (socket: Net.Socket) => void = () => {},
  { host = "127.0.0.1", path, port = 0, tls, allowHalfOpen = false }: ServerOptions = {}
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const accepted = yield* Queue.unbounded<Net.Socket>()
      const sockets = new Set<Net.Socket>()
      const accept = (socket: Net.Socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
        socket.on("error", () => {})
        onConnection(socket)
        Queue.unsafeOffer(accepted, socket)
      }
      const server =
        tls === undefined
          ? Net.createServer({ allowHalfOpen }, accept)
          : Tls.createServer({ ...tls, allowHalfOpen }, accept).on("tlsClientError", () => {})
      yield* Effect.async<void>((resume) => {
        const listening = () => resume(Effect.void)
        server.once("error", (error) => resume(Effect.die(error)))
        if (path === undefined) server.listen(port, host, listening)
        else server.listen(path, listening)
      })
      const address = server.address()
      return {
        accepted,
        port: typeof address === "object" && address !== null ? address.port : 0,
        kill: Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
      }
    }),
    (server) => server.kill
  )

export const echo = (socket: Net.Socket): void => {
  socket.pipe(socket)
}

/**
 * Forwards what a socket receives to a port, and the answers back, until it is told to fall silent: then nothing is read
 * or written any more, and nothing closed.
 */
export const forwardTo =
  (port: number) =>
  (socket: Net.Socket): (() => void) => {
    const upstream = Net.connect(port, "127.0.0.1")
    upstream.on("error", () => {})
    socket.on("close", () => upstream.destroy())
    socket.pipe(upstream).pipe(socket)
    return () => {
      socket.unpipe().pause()
      upstream.unpipe().pause()
    }
  }

/** Waits for an event of a socket, such as the close. */
export const eventOf = (emitter: Net.Socket, event: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    const listener = () => resume(Effect.void)
    emitter.once(event, listener)
    return Effect.sync(() => emitter.off(event, listener))
  })

/** Waits until a socket is closed. */
export const closeOf = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.suspend(() => (socket.closed ? Effect.void : eventOf(socket, "close")))

/** A port that nothing listens on. */
export const closedPort: Effect.Effect<number> = Effect.scoped(Effect.map(listen(), ({ port }) => port))

/** The sockets that `node:net` connects while the Scope is open, servers' sockets not among them. */
export const clientSockets: Effect.Effect<Array<Net.Socket>, never, Scope.Scope> = Effect.suspend(() => {
  const sockets: Array<Net.Socket> = []
  const listener = (message: unknown) => {
    if (
      typeof message === "object" &&
      message !== null &&
      "socket" in message &&
      message.socket instanceof Net.Socket
    ) {
      sockets.push(message.socket)
    }
  }
  const created = channel("net.client.socket")
  return Effect.acquireRelease(
    Effect.sync(() => {
      created.subscribe(listener)
      return sockets
    }),
    () => Effect.sync(() => created.unsubscribe(listener))
  )
})

/** Collects what a socket sends, until its end. */
export const receivedBy = (socket: Net.Socket): Effect.Effect<Buffer> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<void>()
    const chunks: Array<Buffer> = []
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("end", () => Deferred.unsafeDone(ended, Effect.void))
    yield* Deferred.await(ended)
    return Buffer.concat(chunks)
  })

/** How many TCP sockets this process has open, those of its servers' connections among them. */
export const openSockets = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

export const listeners = (emitter: Net.Socket): Record<string, number> =>
  Object.fromEntries(emitter.eventNames().map((name) => [name, emitter.listenerCount(name)]))
