import type * as Net from "node:net"
import * as Effect from "effect/Effect"
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
    Effect.try({ try: () => keepUnread(connect()), catch: (error) => fromNodeError(error, address) }),
    // Also one that whoever has it left open, and one whose attempt was given up.
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(
    Effect.tap((socket) =>
      Effect.async<void, ConnectError>((resume) => {
        // No error event is ever without a listener.
        socket.on("error", () => {})
        socket.once("close", () => resume(fromNodeError(socket.errored ?? undefined, address)))
        socket.once(openEvent, () => {
          if (socket.destroyed) return
          tune(socket)
          resume(Effect.void)
        })
      })
    )
  )

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
