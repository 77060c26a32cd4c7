import { Socket } from "@effect/platform"
import { Effect, Fiber, Scope } from "effect"
import { Endpoint, type Transport } from "effect-client-service"
import { makeSocket } from "./memorySocket.js"
import { makePlatform } from "./memoryWebSocket.js"

/** A connection in memory, and what the peer does to it. */
export interface MemoryPeer {
  readonly transport: Transport.Transport
  readonly receive: (...messages: ReadonlyArray<string>) => Effect.Effect<void>
  /** The peer closes, or breaks the connection off. */
  readonly end: Effect.Effect<void>
  readonly fail: Effect.Effect<void>
  /** What the connection was lost with, if it was. */
  readonly losses: ReadonlyArray<unknown>
  readonly scope: Scope.CloseableScope
}

const fromSocket = (options?: { readonly receiveBuffer?: number }) =>
  Effect.gen(function* () {
    const peer = yield* makeSocket()
    const losses: Array<unknown> = []
    const scope = yield* Scope.make()
    const connecting = yield* Endpoint.fromSocket("peer", Effect.succeed(peer.socket), options)
      .connect({ lost: (error) => losses.push(error) })
      .pipe(Scope.extend(scope), Effect.fork)
    yield* peer.open
    const transport = yield* Fiber.join(connecting)
    const made: MemoryPeer = {
      transport,
      receive: peer.receive,
      end: peer.end,
      fail: peer.fail(new Socket.SocketGenericError({ reason: "Read", cause: new Error("reset") })),
      losses,
      scope
    }
    return made
  })

const webSocket = (options?: { readonly receiveBuffer?: number }) =>
  Effect.gen(function* () {
    const platform = yield* makePlatform
    const losses: Array<unknown> = []
    const scope = yield* Scope.make()
    const connecting = yield* Endpoint.webSocket("ws://peer", options)
      .connect({ lost: (error) => losses.push(error) })
      .pipe(platform.provide, Scope.extend(scope), Effect.fork)
    const socket = yield* platform.made
    socket.open()
    const transport = yield* Fiber.join(connecting)
    const made: MemoryPeer = {
      transport,
      receive: (...messages) => Effect.sync(() => socket.receive(...messages)),
      end: Effect.sync(() => socket.closed(1000)),
      fail: Effect.sync(() => socket.closed(1006)),
      losses,
      scope
    }
    return made
  })

/** The endpoints over what a test can do without a network. */
export const memoryPeers = { "Endpoint.fromSocket": fromSocket, "Endpoint.webSocket": webSocket }
