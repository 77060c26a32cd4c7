/**
 * A command at each connection, which has it as its standard input and output.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import type { Transport } from "effect-client-service/Transport"
import * as ChildProcessEndpoint from "effect-client-service-node/ChildProcessEndpoint"
import type { ChildProcessError } from "effect-client-service-node/ChildProcessError"
import type { Stderr } from "../report.js"
import { tellingErrors, type Upstream } from "../upstream.js"

export interface CommandAtConnection {
  /** Runs the command on a connection, in the Scope of that. */
  readonly protocol: (
    transport: Transport,
    signal: ConnectionSignal<ChildProcessError>
  ) => Effect.Effect<Transport, ChildProcessError, Scope.Scope>
  /** Completes when a command has ended with exit code 0, and all that it has written is sent. */
  readonly finished: Effect.Effect<void>
}

export const commandAtConnection = (
  command: string,
  { address, endpoint }: Upstream,
  stderr: () => Stderr
): Effect.Effect<CommandAtConnection> =>
  Effect.map(Deferred.make<void>(), (finished) => {
    let generation = 0
    const protocol: CommandAtConnection["protocol"] = (transport, { lost }) =>
      Effect.gen(function* () {
        generation += 1
        const ended = yield* Deferred.make<ChildProcessError | undefined>()
        const processes = tellingErrors(stderr, (onStderr) =>
          ChildProcessEndpoint.make("sh", ["-c", command], {
            // What a shell would say of itself; the command may hold a secret.
            name: "--exec",
            env: {
              KEEPALIVE_SERVICE: endpoint.name,
              KEEPALIVE_ADDRESS: address,
              KEEPALIVE_GENERATION: String(generation)
            },
            // One that does not read any more may still write, and its peer waits for that.
            allowHalfOpen: true,
            onStderr
          })
        )
        const process = yield* processes.connect({ lost: (error) => Deferred.unsafeDone(ended, Effect.succeed(error)) })

        const sending = Effect.gen(function* () {
          yield* Effect.ignore(Stream.runForEach(process.incoming, transport.write))
          const error = yield* Deferred.await(ended)
          if (error?.exitCode !== 0) return lost(error)
          yield* Effect.ignore(transport.end)
          yield* Deferred.succeed(finished, undefined)
        })
        const receiving = Stream.runForEach(transport.incoming, process.write).pipe(
          Effect.catchAll(() => Stream.runDrain(transport.incoming)),
          Effect.ignore,
          Effect.zipRight(Effect.ignore(process.end))
        )
        yield* Effect.forkScoped(Effect.interruptible(sending))
        yield* Effect.forkScoped(Effect.interruptible(receiving))
        return transport
      })
    return { protocol, finished: Deferred.await(finished) }
  })
