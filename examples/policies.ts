/**
 * Retry policies: those there are, and how they are put together.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Data, Effect, Schedule } from "effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"

class WrongPassword extends Data.TaggedError("WrongPassword") {
  override readonly message = "the vault does not take this password"
}

// #region readme
const policies = {
  // The default: uniform from 0 to 500 ms, 1 s, 2 s ... 30 s, without end.
  byDefault: RetryPolicy.fullJitter(),
  // Uniform from 0 to the time that the connection has been away: after short outages sooner back.
  proportional: RetryPolicy.proportional({ initialDelay: "500 millis", maxDelay: "30 seconds" }),
  // Twisted's: 1 s, 1.5 s, 2.25 s ... 60 s, and up to a second on top.
  twisted: RetryPolicy.backoff({ initialDelay: "1 second", maxDelay: "60 seconds", factor: 1.5 }),
  // Any function of the failures in a row, and any Schedule.
  linear: RetryPolicy.fromFunction((failures) => `${Math.min(failures, 10)} seconds`),
  fixed: Schedule.spaced("5 seconds"),
  // Gives up after 10 failures in a row: everyone who waits gets RetriesExhausted, with the last cause.
  limited: { times: 10 },
  // Gives up at once on an error that trying again does not mend.
  unlessFatal: {
    schedule: Schedule.spaced("1 second"),
    while: (error: { readonly _tag: string }) => error._tag !== "WrongPassword"
  }
}

// REDIS_INITIAL_DELAY and the like, with `ConfigProvider.constantCase`; what makes no sense is a ConfigError.
const configured = Config.nested(RetryPolicy.fromConfig, "redis")
// #endregion

const program = Effect.gen(function* () {
  yield* configured
  const service = yield* ClientService.make({
    endpoint: Endpoint.make({ name: "vault", connect: () => new WrongPassword() }),
    retryPolicy: policies.unlessFatal
  })
  yield* service.start
  yield* Console.log(String(yield* Effect.flip(service.whenConnected())))
})

NodeRuntime.runMain(Effect.scoped(program))
