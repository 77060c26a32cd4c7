import type * as RpcClient from "@effect/rpc/RpcClient"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { TransportError } from "effect-client-service/Transport"
import type { Call, Exchange, Respond } from "./exchange.js"

/** Runs an Effect with a connection, once, and fails if that connection is lost. */
export type Use = (f: (connection: Exchange) => Effect.Effect<void, TransportError>) => Effect.Effect<void, Error>

/**
 * The protocol of `RpcClient` on whatever connections `use` gives, for any number of clients.
 */
export const protocolOver = (use: Use): RpcClient.Protocol["Type"] => {
  const clients = new Set<Respond>()
  const calls = new Map<string, Call>()
  const respond: Respond = (response) => Effect.forEach(clients, (client) => client(response), { discard: true })

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
    Effect.suspend(() => {
      let call: Call | undefined
      return use((connection) => {
        call = connection.begin(request, respond)
        calls.set(request.id, call)
        return call.answered
      }).pipe(
        Effect.mapError((cause) => new RpcClientError({ reason: "Protocol", message: cause.message, cause })),
        Effect.exit,
        // What came before the connection was lost is the caller's.
        Effect.flatMap((exit) => Effect.zipRight(call?.delivered ?? Effect.void, exit)),
        Effect.onInterrupt(() => call?.cancel ?? Effect.void),
        Effect.onError((cause) => (call?.isAnswered ? Effect.void : forget(request.id, cause))),
        Effect.ensuring(
          Effect.sync(() => {
            call?.end()
            calls.delete(request.id)
          })
        )
      )
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
