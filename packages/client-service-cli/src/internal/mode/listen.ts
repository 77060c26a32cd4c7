/**
 * A local port that stays up while what is behind it comes and goes: each client has a connection of its own.
 */
import * as Net from "node:net"
import * as NodeStream from "@effect/platform-node/NodeStream"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import * as Race from "effect-client-service/Race"
import type { Transport } from "effect-client-service/Transport"
import { codeOfNode, ListenError } from "../listenError.js"
import { errorJson, type Report } from "../report.js"
import { type Patience, serviceOptions, type Upstream } from "../upstream.js"
import { watch } from "../watch.js"

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** How long a client waits for its connection. */
  readonly maxWait: Duration.Duration
  /** How long a client may send nothing whose server has ended. */
  readonly halfOpen: Duration.Duration
  readonly upstream: Upstream
  readonly patience: Patience
  readonly report: Report
}

/** Goes on until it is interrupted. */
export const listen = (options: ListenOptions): Effect.Effect<never, ListenError, Scope.Scope> =>
  Effect.gen(function* () {
    const { host, port, report, upstream } = options
    const runClient = yield* FiberSet.makeRuntime<never>()
    let clients = 0
    const bound = yield* listening({ host, port }, (socket) => {
      clients += 1
      runClient(serve(socket, clients, options))
    })
    yield* report.happened({ event: "listening", service: upstream.endpoint.name, ...bound })
    return yield* Effect.never
  })

const listening = (
  where: { readonly host: string; readonly port: number },
  onClient: (socket: Net.Socket) => void
): Effect.Effect<{ readonly host: string; readonly port: number }, ListenError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Net.Server, ListenError>((resume) => {
      // A client that has said all may still wait for the answer.
      const server = Net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
        // Stays for good: an error that comes late must not end the process.
        socket.on("error", () => {})
        onClient(socket)
      })
      server.once("error", (error) => resume(new ListenError({ ...where, code: codeOfNode(error) })))
      server.listen(where.port, where.host, () => {
        // Such as that there are too many open files: those who come later are served all the same.
        server.on("error", () => {})
        resume(Effect.succeed(server))
      })
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return address === null || typeof address === "string" ? where : { host: address.address, port: address.port }
    })
  )

const serve = (socket: Net.Socket, client: number, options: ListenOptions): Effect.Effect<void> => {
  const { halfOpen, maxWait, patience, report, upstream } = options
  const name = upstream.endpoint.name
  return Effect.gen(function* () {
    yield* report.happened({ event: "accepted", service: name, client, from: remoteOf(socket) })
    const service = yield* ClientService.make({
      endpoint: upstream.endpoint,
      name: `${name} #${client}`,
      ...serviceOptions(patience)
    })
    const { caughtUp } = yield* watch(service, (state) => report.state(state, name, client))
    yield* Effect.addFinalizer(() => Effect.zipRight(service.stop, caughtUp))
    yield* service.start
    const scope = yield* Effect.scope
    let receiving: Fiber.Fiber<void, unknown> | undefined
    const pair = service.use(
      (transport) =>
        Effect.gen(function* () {
          // Outlives the connection: what came before that ended is the client's, however slowly it reads.
          receiving = yield* Effect.forkIn(down(socket, transport), scope)
          const ended = untilLost(Fiber.join(receiving))
          // A server that has ended may still take what its client sends.
          const sending = yield* Effect.fork(up(socket, transport, { ended, halfOpen }))
          yield* ended
          yield* untilLost(Fiber.join(sending))
        }),
      { maxWait }
    )
    yield* Race.firstOf(
      Effect.tapError(pair, () =>
        Effect.suspend(() =>
          receiving === undefined ? Effect.void : Effect.zipRight(service.stop, rest(socket, receiving))
        )
      ),
      gone(socket)
    )
  }).pipe(
    Effect.scoped,
    Effect.matchEffect({
      // What has come to its end is told so; what has not, or has never begun, is not to be taken for it.
      onFailure: (error) =>
        socket.writableEnded
          ? Effect.as(farewell(socket), undefined)
          : Effect.sync(() => {
              socket.resetAndDestroy()
              return errorJson(error)
            }),
      onSuccess: () => Effect.as(farewell(socket), undefined)
    }),
    Effect.flatMap((error) =>
      report.happened({ event: "closed", service: name, client, ...(error === undefined ? {} : { error }) })
    ),
    // One that is cut short, as when the command is told to end, must not look as if it had come to its end.
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        if (!socket.writableEnded) socket.resetAndDestroy()
      })
    ),
    Effect.ensuring(Effect.sync(() => socket.destroy()))
  )
}

// A side that fails is lost, which ends all.
const untilLost = (side: Effect.Effect<void, unknown>): Effect.Effect<void> => Effect.catchAll(side, () => Effect.never)

// To the end of the client, or until it is silent whose server has ended. The server gets that end when it has taken all.
const up = (
  socket: Net.Socket,
  transport: Transport,
  { ended, halfOpen }: { readonly ended: Effect.Effect<void>; readonly halfOpen: Duration.Duration }
): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    let given = 0
    const giving = Stream.runForEach(received(socket), (chunk) =>
      Effect.map(transport.write(chunk), () => {
        given += chunk.length
      })
    )
    // One that is held back, since what it has sent is not taken, is not silent: what it has yet to send would be lost.
    const silence: Effect.Effect<void> = Effect.suspend(() => {
      const before = socket.bytesRead
      return Effect.flatMap(Effect.zipRight(Effect.sleep(halfOpen), turn), () =>
        socket.bytesRead === before && given === before ? Effect.void : silence
      )
    })
    return Effect.zipRight(Race.firstOf(giving, Effect.zipRight(ended, silence)), transport.end)
  })

// What came while the event loop was held up is heard before it is found that nothing came.
const turn: Effect.Effect<void> = Effect.async((resume) => {
  setImmediate(() => resume(Effect.void))
})

const down = (socket: Net.Socket, transport: Transport): Effect.Effect<void, unknown> =>
  Effect.zipRight(
    Stream.runForEach(transport.incoming, (chunk) => write(socket, chunk)),
    Effect.sync(() => socket.end())
  )

// A client that still sends may read only after that, and there is nobody left whom it could be given to.
const rest = (socket: Net.Socket, receiving: Fiber.Fiber<void, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => {
    socket.resume()
    return Effect.asVoid(Fiber.await(receiving))
  })

const received = (socket: Net.Socket): Stream.Stream<Uint8Array, unknown> =>
  NodeStream.fromReadable<unknown, Uint8Array>(
    () => socket,
    (error) => error,
    // What ends is one direction.
    { closeOnDone: false }
  )

// Done when the system has taken it, so that a client that does not read holds its peer back.
const write = (socket: Net.Socket, chunk: Uint8Array): Effect.Effect<void> =>
  Effect.async((resume) => {
    socket.write(chunk, () => resume(Effect.void))
  })

const gone = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.async((resume) => {
    const onClose = () => resume(Effect.void)
    if (socket.destroyed) onClose()
    else socket.once("close", onClose)
    return Effect.sync(() => socket.off("close", onClose))
  })

// Has the client get what was written before it is closed; what it still sends has nobody to go to.
const farewell = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.suspend(() => {
    socket.end()
    socket.resume()
    return Effect.asVoid(Effect.timeoutOption(gone(socket), "1 second"))
  })

const remoteOf = ({ remoteAddress = "unknown", remotePort = 0 }: Net.Socket): string =>
  remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`
