import type * as RpcClient from "@effect/rpc/RpcClient"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Overloaded } from "../RpcConnectionError.js"
import { Call, type CallError, NotEncodable, type Respond, type Resume } from "./call.js"
import type { Exchange } from "./exchange.js"
import type { Limits } from "./outbox.js"

/** Begins a call on a connection, once, which resumes its caller, and fails if that connection is lost. */
export type Use = (begin: Begin) => Effect.Effect<void, CallError | Error>

export type Begin = (connection: Exchange, resume: Resume) => void

export const defaults: Limits = { maxWaiting: 100_000, maxWaitingBytes: 64 * 1024 * 1024 }

/**
 * The protocol of `RpcClient` on whatever connections `use` gives, for any number of clients.
 */
export const protocolOver = (use: Use, limits: Limits = defaults): RpcClient.Protocol["Type"] => {
  const clients = new Set<Respond>()
  /** Those that are sent have a `Call`. */
  const calls = new Map<string, Call | undefined>()
  const respond: Respond = (response) => {
    const [client] = clients
    // There mostly is one.
    return client !== undefined && clients.size === 1
      ? client(response)
      : Effect.forEach(clients, (client) => client(response), { discard: true })
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

  const call = (request: RpcMessage.RequestEncoded): Effect.Effect<void, RpcClientError> =>
    Effect.uninterruptibleMask((restore) => {
      // Each would have the answer to the other.
      if (calls.has(request.id)) return Effect.dieMessage(`another call of the same id is under way: ${request.id}`)
      calls.set(request.id, undefined)
      let call: Call | undefined
      const answered = use((connection, resume) => {
        if (connection.isFull(limits)) return resume(new Overloaded())
        call = new Call(connection, request, respond, resume)
        calls.set(request.id, call)
        call.begin()
      })
      const ended = (exit: Exit.Exit<void, CallError | Error>): Effect.Effect<void, RpcClientError> => {
        calls.delete(request.id)
        if (Exit.isSuccess(exit)) return Exit.void
        if (Cause.isInterruptedOnly(exit.cause)) call?.cancel()
        else call?.end()
        const cause = causeOf(exit.cause)
        const failure = Exit.failCause(cause)
        return call?.isAnswered === true ? failure : Effect.zipRight(forget(request.id, cause), failure)
      }
      const settled = (exit: Exit.Exit<void, CallError | Error>): Effect.Effect<void, RpcClientError> => {
        if (call?.delivery === undefined) return ended(exit)
        // What came before the connection was lost is the caller's.
        return Effect.flatMap(Effect.exit(restore(Effect.zipRight(call.delivered, exit))), ended)
      }
      return Effect.matchCauseEffect(restore(answered), {
        onFailure: (cause) => settled(Exit.failCause(cause)),
        onSuccess: () => settled(Exit.void)
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
          return call(message)
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
