import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type Transport, TransportError } from "../Transport.js"
import * as ReceiveBuffer from "./receiveBuffer.js"

/**
 * Runs the socket in the Scope of the connection, and gives its transport once it is open.
 */
export const socketTransport = (
  socket: Socket.Socket,
  remote: string,
  capacity: number,
  signal: { readonly lost: (error?: Socket.SocketError | TransportError) => void }
): Effect.Effect<Transport, Socket.SocketError | TransportError, Scope.Scope> =>
  Effect.gen(function* () {
    const opened = yield* Deferred.make<void, Socket.SocketError | TransportError>()
    const buffer = ReceiveBuffer.make(capacity)
    let closed = false

    const receive = (data: string | Uint8Array) => {
      if (!buffer.offer(typeof data === "string" ? encoder.encode(data) : data)) {
        signal.lost(new TransportError({ reason: "Overflow" }))
      }
    }

    const ended = (exit: Exit.Exit<void, Socket.SocketError>) => {
      closed = true
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      const socketError = Socket.isSocketError(error) ? error : undefined
      buffer.end(error === undefined ? undefined : new TransportError({ reason: "Read", cause: error }))
      Deferred.unsafeDone(opened, Effect.fail(socketError ?? new TransportError({ reason: "Closed" })))
      signal.lost(socketError)
    }

    const write = yield* socket.writer
    const send = (chunk: Uint8Array | string | Socket.CloseEvent) =>
      Effect.suspend(
        (): Effect.Effect<void, TransportError | Socket.SocketError> =>
          closed ? new TransportError({ reason: "Closed" }) : write(chunk)
      ).pipe(
        // A `send` that throws, as that of a WebSocket may, is a defect of the Socket.
        Effect.sandbox,
        Effect.mapError((cause) => {
          const error = Cause.squash(cause)
          return error instanceof TransportError ? error : new TransportError({ reason: "Write", cause: error })
        })
      )

    yield* socket.runRaw(receive, { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) }).pipe(
      Effect.onExit((exit) => Effect.sync(() => ended(exit))),
      Effect.interruptible,
      Effect.forkScoped
    )
    yield* Deferred.await(opened)

    return {
      incoming: buffer.stream,
      write: send,
      end: send(new Socket.CloseEvent()),
      remote
    }
  })

const encoder = new TextEncoder()
