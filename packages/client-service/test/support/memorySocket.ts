import { Socket } from "@effect/platform"
import { Deferred, Effect } from "effect"

type Sent = Uint8Array | string | Socket.CloseEvent

export interface MemorySocket {
  readonly socket: Socket.Socket
  /** Waits until the socket is being run. */
  readonly awaitRun: Effect.Effect<void>
  /** Opens the socket, once it is being run. */
  readonly open: Effect.Effect<void>
  /** Fails to open the socket. */
  readonly refuse: (error: Socket.SocketError) => Effect.Effect<void>
  /** The peer sends. */
  readonly receive: (...messages: ReadonlyArray<string | Uint8Array>) => Effect.Effect<void>
  /** The peer closes. */
  readonly end: Effect.Effect<void>
  readonly fail: (error: Socket.SocketError) => Effect.Effect<void>
  readonly die: (defect: unknown) => Effect.Effect<void>
  /** What was written and accepted, in order. */
  readonly sent: ReadonlyArray<Sent>
  readonly runs: () => number
  readonly closes: () => number
}

/**
 * A Socket in memory, that the test opens, feeds and ends. `write` decides how each write ends; by default it is
 * accepted.
 */
export const makeSocket = (write: (chunk: Sent) => Effect.Effect<void, Socket.SocketError> = () => Effect.void) =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const opening = yield* Deferred.make<void, Socket.SocketError>()
    const ending = yield* Deferred.make<void, Socket.SocketError>()
    const sent: Array<Sent> = []
    let deliver: (message: string | Uint8Array) => void = () => {}
    let runs = 0
    let closes = 0

    const runRaw: Socket.Socket["runRaw"] = (handler, options) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          runs += 1
          deliver = (message) => {
            if (Effect.isEffect(handler(message))) throw new Error("a handler that gives an Effect is not supported")
          }
        }),
        () =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.zipRight(Deferred.await(opening)),
            Effect.zipRight(options?.onOpen ?? Effect.void),
            Effect.zipRight(Deferred.await(ending))
          ),
        () =>
          Effect.sync(() => {
            closes += 1
          })
      )

    const memory: MemorySocket = {
      socket: {
        [Socket.TypeId]: Socket.TypeId,
        runRaw,
        run: (handler, options) =>
          runRaw((message) => handler(typeof message === "string" ? encoder.encode(message) : message), options),
        writer: Effect.succeed((chunk) =>
          Effect.zipRight(
            write(chunk),
            Effect.sync(() => void sent.push(chunk))
          )
        )
      },
      awaitRun: Deferred.await(begun),
      open: Effect.zipRight(Deferred.await(begun), Deferred.succeed(opening, undefined)),
      refuse: (error) => Deferred.fail(opening, error),
      receive: (...messages) =>
        Effect.sync(() => {
          for (const message of messages) deliver(message)
        }),
      end: Deferred.succeed(ending, undefined),
      fail: (error) => Deferred.fail(ending, error),
      die: (defect) => Deferred.die(ending, defect),
      sent,
      runs: () => runs,
      closes: () => closes
    }
    return memory
  })

const encoder = new TextEncoder()
