import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ClientServices } from "effect-client-service/ClientServices"
import { Feed, type Moment } from "./feed.js"
import type { Begin } from "./model.js"

export interface Settings {
  readonly begin: Begin
  readonly moment: (services: ClientServices) => Effect.Effect<Moment>
  /** Whether nobody is to be told any more. */
  readonly isOver: () => boolean
}

/** How many seconds of silence a browser, or what is between, is left with. */
const silence = 15

/**
 * Server-sent events of what changes, for one browser: at once, but not more than ten a second, and counts once a second.
 *
 * Each is made when it can be sent. What happens until then makes it longer, as far as the list remembers, but never the number
 * of those that wait.
 */
export const events = (services: ClientServices, { begin, isOver, moment }: Settings): Stream.Stream<string> =>
  Stream.suspend(() => {
    const feed = new Feed(begin)
    let told = Number.NEGATIVE_INFINITY
    const next = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const update = feed.next(yield* moment(services))
      // Those who have the time wrong are put right, too.
      if (update === undefined && now - told < silence * 1000) return Option.none()
      told = now
      return Option.some(
        update === undefined ? `: still here\nevent: beat\ndata: ${now}\n\n` : `data: ${JSON.stringify(update)}\n\n`
      )
    })
    const changes = Stream.map(services.all.changes, () => undefined)
    const updates = Stream.merge(changes, Stream.tick("1 second")).pipe(
      Stream.rechunk(1),
      Stream.takeWhile(() => !isOver()),
      Stream.throttle({ cost: () => 1, units: 1, duration: "100 millis", strategy: "shape" }),
      Stream.mapEffect(() => next),
      Stream.filterMap((event) => event)
    )
    return Stream.concat(Stream.make("retry: 1000\n\n"), updates)
  })
