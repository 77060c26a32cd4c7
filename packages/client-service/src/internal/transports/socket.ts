import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Incoming from "../../Incoming.js"
import { type Transport, TransportError } from "../../Transport.js"
import { makeFork } from "../fork.js"
import { Changes } from "../time/changes.js"
import { firstOf } from "../time/firstOf.js"
import { turn } from "../time/turn.js"
import { within } from "../time/within.js"
import { linger } from "./receiveBuffer.js"

/**
 * Runs the socket in the Scope of the connection, and gives its transport once it is open.
 */
export const socketTransport = (
  socket: Socket.Socket,
  remote: string,
  capacity: number,
  signal: { readonly lost: (error?: Socket.SocketError | TransportError, detail?: string) => void }
): Effect.Effect<Transport, Socket.SocketError | TransportError, Scope.Scope> =>
  Effect.gen(function* () {
    const opened = yield* Deferred.make<void, Socket.SocketError | TransportError>()
    const buffer = yield* Incoming.make<Socket.SocketError | TransportError>({ capacity, linger, lost: signal.lost })
    const fork = yield* makeFork<never>()
    const closing = new Changes()
    let isClosed = false
    let isEnding = false

    const ended = (exit: Exit.Exit<void, Socket.SocketError>) => {
      isClosed = true
      closing.notify()
      const error = Exit.isFailure(exit) ? lossOf(exit.cause) : undefined
      buffer.end(Socket.isSocketError(error) ? new TransportError({ reason: "Read", cause: error }) : error, error)
      Deferred.unsafeDone(opened, Effect.fail(error ?? new TransportError({ reason: "Closed" })))
    }

    const write = yield* socket.writer
    const closed = Effect.flatMap(
      within(fork, Number.POSITIVE_INFINITY, () => isClosed, closing),
      () => new TransportError({ reason: "Closed" })
    )
    const send = (chunk: Uint8Array | string | Socket.CloseEvent) =>
      Effect.suspend(
        (): Effect.Effect<void, TransportError | Socket.SocketError> =>
          isClosed || isEnding || buffer.failure !== undefined
            ? Effect.zipRight(turn, new TransportError({ reason: "Closed" }))
            : // A Socket has a write wait for the next connection, which comes with another transport.
              firstOf(write(chunk instanceof Uint8Array ? new Uint8Array(chunk) : chunk), Effect.interruptible(closed))
      ).pipe(
        // A `send` that throws, as that of a WebSocket may, is a defect of the Socket.
        Effect.sandbox,
        Effect.mapError((cause) => {
          const error = Cause.squash(cause)
          return error instanceof TransportError ? error : new TransportError({ reason: "Write", cause: error })
        })
      )

    yield* socket
      .run((data) => buffer.offer(data), { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) })
      .pipe(
        Effect.onExit((exit) => Effect.sync(() => ended(exit))),
        Effect.interruptible,
        Effect.forkScoped
      )
    yield* Effect.flatMap(Effect.scope, (scope) =>
      Scope.addFinalizer(
        scope,
        Effect.sync(() => buffer.close())
      )
    )
    yield* Deferred.await(opened)

    return {
      incoming: buffer.stream,
      get lastReceived() {
        return buffer.lastReceived
      },
      write: send,
      end: Effect.suspend(() => {
        const sent = send(new Socket.CloseEvent())
        return Effect.tap(sent, () => {
          isEnding = true
        })
      }),
      remote
    }
  })

const lossOf = (cause: Cause.Cause<Socket.SocketError>): Socket.SocketError | TransportError => {
  if (Cause.isInterruptedOnly(cause)) return new TransportError({ reason: "Closed" })
  const error = Cause.squash(cause)
  return Socket.isSocketError(error) ? error : new TransportError({ reason: "Read", cause: error })
}
