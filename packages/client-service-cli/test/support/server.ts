/**
 * Servers that the command connects to.
 */
import * as Net from "node:net"
import { Deferred, Effect, type Scope } from "effect"
import { FaultProxy } from "effect-client-service-node"

export interface Listening {
  readonly port: number
}

/** Listens, and closes with the Scope what it has accepted. Which end says that it is done is up to `onSocket`. */
export const listening = (
  where: Net.ListenOptions,
  onSocket: (socket: Net.Socket) => void
): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Listening & { readonly close: () => void }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
        sockets.add(socket.on("error", () => {}))
        onSocket(socket)
      })
      server.listen(where, () => {
        const address = server.address()
        resume(
          Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            close: () => {
              server.close()
              for (const socket of sockets) socket.destroy()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** Sends back what it is sent, until the peer has ended. */
export const echo = (socket: Net.Socket): void => void socket.pipe(socket)

/** A server that reads nothing, and sends as much as is taken: how much that is until it is held back. */
export const flood = Effect.gen(function* () {
  const heldBack = yield* Deferred.make<number>()
  const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => {
    const block = Buffer.alloc(1_000_000)
    let patience: NodeJS.Timeout | undefined
    const send = () => {
      clearTimeout(patience)
      while (socket.bytesWritten < 200_000_000 && socket.write(block)) {}
      const taken = () => socket.bytesWritten - socket.writableLength
      patience = setTimeout(() => Deferred.unsafeDone(heldBack, Effect.sync(taken)), 300)
    }
    socket.pause()
    socket.on("drain", send)
    send()
  })
  return { port, heldBack: Deferred.await(heldBack) }
})

/** A server whose network and process can be made to fail. */
export const faulty = (onSocket: (socket: Net.Socket) => void) =>
  Effect.gen(function* () {
    const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, onSocket)
    const proxy = yield* FaultProxy.make({ upstream: { host: "127.0.0.1", port } })
    return {
      port: proxy.port,
      address: `tcp://127.0.0.1:${proxy.port}`,
      /** Breaks all off, and listens no more. */
      shut: Effect.zipRight(proxy.set(FaultProxy.refuse), proxy.dropAll),
      heal: proxy.heal,
      open: proxy.open,
      accepted: proxy.accepted
    }
  })

export const closedPort = Effect.scoped(
  Effect.map(
    listening({ port: 0, host: "127.0.0.1" }, () => {}),
    ({ port }) => port
  )
)

export interface Client {
  readonly socket: Net.Socket
  readonly text: () => string
  /** Waits until this has come. */
  readonly until: (text: string) => Effect.Effect<void>
  /** Waits for the end: whether it was a clean one, or the code of the error. */
  readonly closed: Effect.Effect<string>
}

/** Connects to a port of this machine. */
export const client = (port: number): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => {
      let all = ""
      let end: string | undefined
      const looks = new Set<() => void>()
      const changed = () => {
        for (const look of looks) look()
      }
      const when = (isIt: () => boolean) =>
        Effect.async<void>((resume) => {
          const look = () => {
            if (isIt()) resume(Effect.void)
          }
          looks.add(look)
          look()
          return Effect.sync(() => looks.delete(look))
        })
      socket.on("data", (chunk: Buffer) => {
        all += chunk.toString()
        changed()
      })
      socket.on("end", () => {
        end ??= "clean"
        changed()
      })
      socket.on("error", (error: NodeJS.ErrnoException) => {
        end ??= error.code ?? "error"
        changed()
      })
      return {
        socket,
        text: () => all,
        until: (text) => when(() => all.includes(text)),
        closed: Effect.map(
          when(() => end !== undefined),
          () => end ?? ""
        )
      }
    }
  )
