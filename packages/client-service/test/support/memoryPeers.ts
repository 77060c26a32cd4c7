import { Socket } from "@effect/platform"
import { Effect, Fiber, Queue, Scope } from "effect"
import { Endpoint, type Transport } from "effect-client-service"
import { type MemorySocket, makeSocket } from "./memorySocket.js"
import { makePlatform } from "./memoryWebSocket.js"

/** The peer's end of a connection in memory. */
interface MemoryServed {
  readonly receive: (...messages: ReadonlyArray<string>) => Effect.Effect<void>
  /** The peer closes, or breaks the connection off. */
  readonly end: Effect.Effect<void>
  readonly fail: Effect.Effect<void>
}

/** A connection in memory, and what the peer does to it. */
export interface MemoryPeer extends MemoryServed {
  readonly transport: Transport.Transport
  /** What the connection was lost with, if it was. */
  readonly losses: ReadonlyArray<unknown>
  readonly scope: Scope.CloseableScope
}

interface MemoryEndpoint {
  readonly endpoint: Endpoint.Endpoint<Transport.Transport, unknown>
  /** Takes the next connection. */
  readonly accept: Effect.Effect<MemoryServed>
}

interface Options {
  readonly receiveBuffer?: number
}

const fromSocket = (options?: Options): Effect.Effect<MemoryEndpoint> =>
  Effect.map(Queue.unbounded<MemorySocket>(), (made) => ({
    endpoint: Endpoint.fromSocket(
      "peer",
      Effect.map(
        Effect.tap(makeSocket(), (peer) => Queue.offer(made, peer)),
        ({ socket }) => socket
      ),
      options
    ),
    accept: Effect.tap(Queue.take(made), (peer) => peer.open).pipe(
      Effect.map(({ end, fail, receive }) => ({
        receive,
        end,
        fail: fail(new Socket.SocketGenericError({ reason: "Read", cause: new Error("reset") }))
      }))
    )
  }))

const webSocket = (options?: Options): Effect.Effect<MemoryEndpoint> =>
  Effect.map(makePlatform, (platform) => {
    const { connect, name } = Endpoint.webSocket("ws://peer", options)
    return {
      endpoint: Endpoint.make({
        name,
        connect: (signal: Endpoint.ConnectionSignal<unknown>) => platform.provide(connect(signal))
      }),
      accept: Effect.map(platform.made, (socket) => {
        socket.open()
        return {
          receive: (...messages) => Effect.sync(() => socket.receive(...messages)),
          end: Effect.sync(() => socket.closed(1000)),
          fail: Effect.sync(() => socket.closed(1006))
        }
      })
    }
  })

/** The endpoints over what a test can do without a network. */
export const memoryEndpoints = { "Endpoint.fromSocket": fromSocket, "Endpoint.webSocket": webSocket }

const connectedTo = (make: (options?: Options) => Effect.Effect<MemoryEndpoint>) => (options?: Options) =>
  Effect.gen(function* () {
    const { accept, endpoint } = yield* make(options)
    const losses: Array<unknown> = []
    const scope = yield* Scope.make()
    const connecting = yield* endpoint
      .connect({ lost: (error) => losses.push(error) })
      .pipe(Scope.extend(scope), Effect.fork)
    const served = yield* accept
    const peer: MemoryPeer = { ...served, transport: yield* Fiber.join(connecting), losses, scope }
    return peer
  })

/** One connection of each. */
export const memoryPeers = {
  "Endpoint.fromSocket": connectedTo(fromSocket),
  "Endpoint.webSocket": connectedTo(webSocket)
}
