import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Feed } from "./feed.js"
import type { Begin } from "./model.js"
import type { Reading, Readings } from "./readings.js"

export interface Settings {
  readonly begin: Begin
  /** What the browser looks for. */
  readonly search: string
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
export const events = (readings: Readings, { begin, isOver, search }: Settings): Stream.Stream<string> =>
  Stream.unwrapScoped(
    Effect.map(readings.opened, () => {
      const feed = new Feed(begin)
      let seen: Reading | undefined
      let told = Number.NEGATIVE_INFINITY
      const next = Effect.gen(function* () {
        const reading = yield* readings.after(seen)
        seen = reading
        if (isOver()) return yield* Effect.fail(Option.none())
        const { at, now } = reading
        const update = feed.next(yield* reading.moment(search))
        // Those who have the time wrong are put right, too.
        if (update === undefined && at - told < silence * 1000) return ""
        told = at
        return update === undefined
          ? `: still here\nevent: beat\ndata: ${now}\n\n`
          : `data: ${JSON.stringify(update)}\n\n`
      })
      const updates = Stream.filter(Stream.repeatEffectOption(next), (event) => event !== "")
      return Stream.concat(Stream.make("retry: 1000\n\n"), updates)
    })
  )
