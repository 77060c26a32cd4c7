import { HttpServerResponse } from "@effect/platform"
import { Effect, Option, Ref, Schedule } from "effect"
import type { Connect, Lost } from "../../support/connect.js"

export interface Peer {
  readonly greet: Effect.Effect<string, Lost>
}

export const failing = (connect: Connect<Peer>) =>
  Effect.gen(function* () {
    const current = yield* Ref.make(Option.none<Peer>())
    yield* Effect.gen(function* () {
      const { lost, peer } = yield* connect
      yield* Ref.set(current, Option.some(peer))
      yield* Effect.ensuring(lost, Ref.set(current, Option.none()))
    }).pipe(Effect.scoped, Effect.retry(Schedule.spaced("100 millis")), Effect.forkScoped)

    const handler = Effect.flatMap(
      Ref.get(current),
      Option.match({
        onNone: () => HttpServerResponse.text("try again later", { status: 503 }),
        onSome: ({ greet }) => Effect.flatMap(greet, (text) => HttpServerResponse.text(text))
      })
    )
    return { handler }
  })
