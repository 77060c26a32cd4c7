import type * as RpcClient from "@effect/rpc/RpcClient"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { Overloaded } from "../RpcConnectionError.js"
import { Call, type CallError, NotEncodable, type Respond, type Resume } from "./call.js"
import type { Exchange } from "./exchange.js"
import type { Limits } from "./outbox.js"

/** Begins a call on a connection, which resumes its caller, and fails if that connection is lost once it is sent. */
export type Use = (begin: Begin) => Effect.Effect<void, CallError | Error>

/**
 * Gives what ends a call that is begun, and is told whether the connection was lost, or else the caller interrupted. It tells
 * whether the connection was lost before anything was sent.
 */
export type Begin = (connection: Exchange, resume: Resume) => ((isLost: boolean) => boolean) | undefined

export const defaults: Limits = { maxWaiting: 100_000, maxWaitingBytes: 64 * 1024 * 1024 }

/** Tells which fiber has made a request, once. */
export type TakeCaller = (requestId: string) => Fiber.RuntimeFiber<unknown, unknown> | undefined

/**
 * The protocol of `RpcClient` on whatever connections `use` gives, for any number of clients. Of those of one connection, it
 * is known who has made a request: it is sent by another fiber.
 */
export const protocolOver = (
  use: Use,
  limits: Limits = defaults,
  takeCaller?: TakeCaller
): RpcClient.Protocol["Type"] => {
  const clients = new Set<Respond>()
  /** Those that are sent. */
  const calls = new Map<string, Call>()
  const respond: Respond = (response) => {
    const [only] = clients
    // There mostly is one. All are asked at once, as a schema of theirs may throw.
    return only !== undefined && clients.size === 1
      ? only(response)
      : Effect.all(
          [...clients].map((client) => client(response)),
          { discard: true }
        )
  }

  // A client keeps what it knows of a call until that is answered, and a failure to send it is no answer to it. So it gets
  // one, when it has taken the failure.
  const forget = (requestId: string, cause: Cause.Cause<RpcClientError>) =>
    Effect.forkDaemon(
      Effect.zipRight(
        Effect.yieldNow(),
        respond({
          _tag: "Exit",
          requestId,
          exit: { _tag: "Failure", cause: { _tag: "Die", defect: Cause.squash(cause) } }
        })
      )
    )

  const request = (message: RpcMessage.RequestEncoded): Effect.Effect<void, RpcClientError> =>
    Effect.withFiberRuntime((sender) => {
      const { id } = message
      const caller = takeCaller?.(id) ?? sender
      let call: Call | undefined
      const answered = use((connection, resume) => {
        if (calls.has(id) || connection.isFull(limits)) {
          // Two of the same id would have the answers of each other.
          resume(
            calls.has(id) ? Effect.dieMessage(`another call of the same id is under way: ${id}`) : new Overloaded()
          )
          return undefined
        }
        const resumed: Resume = (effect) => {
          calls.delete(id)
          resume(effect)
        }
        const begun = new Call(connection, message, respond, resumed, caller, takeCaller !== undefined)
        call = begun
        calls.set(id, begun)
        begun.begin()
        return (isLost) => {
          calls.delete(id)
          if (isLost) return begun.lost()
          begun.cancel()
          return false
        }
      })
      return Effect.catchAllCause(answered, (errors) => {
        const cause = causeOf(errors)
        const failed = Effect.suspend(() =>
          call?.isAnswered === true || calls.has(id)
            ? Effect.failCause(cause)
            : Effect.zipRight(forget(id, cause), Effect.failCause(cause))
        )
        // What came before the connection was lost is the caller's.
        return call?.delivery === undefined ? failed : Effect.zipRight(call.delivered, failed)
      })
    })

  return {
    run: (client) =>
      Effect.acquireUseRelease(
        Effect.sync(() => clients.add(client)),
        // `Effect.never` has a timer, which keeps the process alive.
        () => Effect.async<never>(() => {}),
        () => Effect.sync(() => clients.delete(client))
      ),
    send: (message) => {
      switch (message._tag) {
        case "Request":
          return request(message)
        case "Ack":
          return calls.get(message.requestId)?.acknowledge ?? Effect.void
        default:
          // A call that is interrupted has told the server itself.
          return Effect.void
      }
    },
    supportsAck: true,
    supportsTransferables: false
  }
}

const causeOf = (cause: Cause.Cause<CallError | Error>): Cause.Cause<RpcClientError> =>
  Cause.flatMap(cause, (error) =>
    error instanceof NotEncodable
      ? Cause.die(error.defect)
      : Cause.fail(new RpcClientError({ reason: "Protocol", message: error.message, cause: error }))
  )
