import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Told } from "./feed.js"
import { bytesOf, type Readings } from "./readings.js"

export interface Settings {
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
export const events = (readings: Readings, { isOver, search }: Settings): Stream.Stream<Uint8Array> =>
  Stream.unwrapScoped(
    Effect.map(readings.opened, () => {
      let seen: number | undefined
      let told: Told | undefined
      let toldAt = Number.NEGATIVE_INFINITY
      const next = Effect.gen(function* () {
        const reading = yield* readings.after(seen)
        seen = reading.number
        if (isOver()) return yield* Effect.fail(Option.none())
        const { at, now } = reading
        const news = yield* reading.since(told, search)
        told = news.told
        // Those who have the time wrong are put right, too.
        if (news.update === undefined && at - toldAt < silence * 1000) return nothing
        toldAt = at
        return news.update ?? bytesOf(`: still here\nevent: beat\ndata: ${now}\n\n`)
      })
      const updates = Stream.filter(Stream.repeatEffectOption(next), (event) => event !== nothing)
      return Stream.concat(Stream.make(bytesOf("retry: 1000\n\n")), updates)
    })
  )

const nothing = new Uint8Array()
