import { type RpcMessage, RpcSerialization } from "@effect/rpc"
import { Effect, Exit, Option, Queue, Stream } from "effect"
import type { Transport } from "effect-client-service"

type Request = RpcMessage.RequestEncoded

/** The other side of a connection in memory, which speaks NDJSON and does what the test says. */
export interface Peer {
  readonly transport: Transport.Transport
  /** Waits for the next message. */
  readonly next: Effect.Effect<RpcMessage.FromClientEncoded>
  /** Waits for the next message, which must be a request. */
  readonly request: Effect.Effect<Request>
  /** The messages that have come and were not waited for. */
  readonly rest: Effect.Effect<ReadonlyArray<RpcMessage.FromClientEncoded>>
  readonly send: (message: RpcMessage.FromServerEncoded) => Effect.Effect<void>
  readonly sendText: (text: string) => Effect.Effect<void>
  /** Answers a request with success. */
  readonly answer: (request: Request, value: unknown) => Effect.Effect<void>
  /** Sends elements of a stream. */
  readonly emit: (request: Request, ...values: readonly [unknown, ...ReadonlyArray<unknown>]) => Effect.Effect<void>
  /** Sends no more, as a clean close does. */
  readonly end: Effect.Effect<void>
  /** Has reading die. */
  readonly die: (defect: unknown) => Effect.Effect<void>
  /** Has every write fail from now on. */
  readonly failWrites: (error: Transport.TransportError) => void
}

export const makePeer: Effect.Effect<Peer> = Effect.gen(function* () {
  const parser = RpcSerialization.ndjson.unsafeMake()
  const received = yield* Queue.unbounded<RpcMessage.FromClientEncoded>()
  const bytes = yield* Queue.unbounded<Exit.Exit<Uint8Array, Option.Option<never>>>()
  let writeError: Transport.TransportError | undefined

  const next = Queue.take(received)
  const sendText = (text: string) => Queue.offer(bytes, Exit.succeed(new TextEncoder().encode(text)))
  const send = (message: RpcMessage.FromServerEncoded) => sendText(`${JSON.stringify(message)}\n`)
  return {
    transport: {
      incoming: Stream.repeatEffectOption(Effect.flatten(Queue.take(bytes))),
      write: (chunk) =>
        Effect.suspend((): Effect.Effect<void, Transport.TransportError> => {
          if (writeError !== undefined) return writeError
          // What a client sends is not malformed.
          const messages = parser.decode(chunk) as ReadonlyArray<RpcMessage.FromClientEncoded>
          return Queue.offerAll(received, messages)
        }),
      end: Effect.void,
      remote: "memory"
    },
    next,
    request: Effect.flatMap(next, (message) =>
      message._tag === "Request" ? Effect.succeed(message) : Effect.dieMessage(`not a request: ${message._tag}`)
    ),
    rest: Effect.map(Queue.takeAll(received), (messages) => [...messages]),
    send,
    sendText,
    answer: ({ id: requestId }, value) => send({ _tag: "Exit", requestId, exit: { _tag: "Success", value } }),
    emit: ({ id: requestId }, ...values) => send({ _tag: "Chunk", requestId, values }),
    end: Queue.offer(bytes, Exit.fail(Option.none())),
    die: (defect) => Queue.offer(bytes, Exit.die(defect)),
    failWrites: (error) => {
      writeError = error
    }
  }
})
