import type * as Net from "node:net"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import { type ConnectError, fromNodeError } from "../ConnectError.js"
import { keepUnread } from "./unread.js"

export interface Settings {
  /** What is tried, for errors. */
  readonly address: string
  /** The event after which the socket can be used. */
  readonly openEvent: "connect" | "secureConnect"
  readonly connect: () => Net.Socket
  /** Sets the options of the open socket. */
  readonly tune: (socket: Net.Socket) => void
}

/** Opens a socket for whoever reads and writes it. It is destroyed when the Scope closes, if it still is there. */
export const openSocket = ({
  address,
  connect,
  openEvent,
  tune
}: Settings): Effect.Effect<Net.Socket, ConnectError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const socket = keepUnread(connect())
        // In one step with the rest: the fiber may give way to others after any.
        const opened = Deferred.unsafeMake<void, ConnectError>(FiberId.none)
        const failed = () => Deferred.unsafeDone(opened, fromNodeError(socket.errored ?? undefined, address))
        // No error event is ever without a listener.
        socket.on("error", () => {}).once("close", failed)
        socket.once(openEvent, () => {
          if (socket.destroyed) return
          tune(socket)
          Deferred.unsafeDone(opened, Exit.void)
        })
        return { opened, socket }
      },
      catch: (error) => fromNodeError(error, address)
    }),
    // Also one that whoever has it left open, and one whose attempt was given up.
    ({ socket }) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.flatMap(({ opened, socket }) => Effect.as(Deferred.await(opened), socket)))

/**
 * Refuses a connection of a socket to itself. A system that connects to a port of its own which nobody listens on may
 * choose that very port for its end too, and then takes what it sends for the answer, while it keeps the port from the
 * server.
 */
export const refuseItself = <S extends Net.Socket>(socket: S): S =>
  socket.once("connect", () => {
    if (socket.localPort === undefined || socket.localPort !== socket.remotePort) return
    if (socket.localAddress !== socket.remoteAddress) return
    const error = new Error("nobody listens there, so that the system connected the socket to itself")
    const destroy = socket.destroy.bind(socket)
    socket.destroy = () => destroy(Object.assign(error, { code: "ECONNREFUSED" }))
    try {
      // After a close that is no reset, the port would be taken for a minute.
      socket.resetAndDestroy()
    } catch {
      // TLS has no reset.
      socket.destroy()
    }
  })
