import { expect, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
import { watch } from "../src/internal/watch.js"

it.scopedLive("shows the first state too, however short it is", () =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: Endpoint.make({ name: "s", connect: () => Effect.succeed("connected") })
    })
    const shown: Array<string> = []
    const { caughtUp } = yield* watch(service, ({ _tag }) => Effect.sync(() => shown.push(_tag)))
    yield* service.start
    yield* service.whenConnected()
    yield* caughtUp
    expect(shown).toEqual(["Connecting", "Connected"])
  })
)

it.scopedLive("has nobody wait for what is told by who has failed to tell it", () =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: Endpoint.make({ name: "s", connect: () => Effect.succeed("connected") })
    })
    const failed = yield* Deferred.make<void>()
    const { caughtUp } = yield* watch(service, () =>
      Effect.zipRight(Deferred.succeed(failed, undefined), Effect.die("no"))
    )
    yield* service.start
    yield* Deferred.await(failed)
    yield* service.whenConnected()
    yield* service.stop
    yield* Effect.timeoutFail(caughtUp, { duration: "5 seconds", onTimeout: () => new Error("still waits") })
  })
)
