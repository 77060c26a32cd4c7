import { Effect } from "effect"
import { check, say, tell, type World } from "./world.js"

/** Asks a server, kills it during a call, starts it, and asks again. Fails if any of it is not as it should be. */
export const drive = <A, E, E2, R>(
  world: World,
  server: string,
  ask: Effect.Effect<A, E, R>,
  call: Effect.Effect<unknown, E2, R>,
  isLost: (error: E | E2) => boolean
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    yield* say(`connected, and answered ${yield* ask}`)
    const [error] = yield* Effect.zip(
      Effect.flip(call).pipe(Effect.catchAll(() => Effect.die(new Error("a call was answered by nobody")))),
      Effect.delay(tell(world, server, "kill"), "300 millis"),
      { concurrent: true }
    )
    yield* check(isLost(error), () => `a call failed with ${error}`)
    yield* say("killed, of which the call was told")
    // What was sent before all connections to the server were known to be lost is told of that, too.
    const again = Effect.retry(ask, { while: isLost, times: 1 })
    yield* Effect.zip(again, tell(world, server, "start"), { concurrent: true })
    yield* say("connected again, and answered who had waited")
  })
