import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ClientServices, Listed } from "effect-client-service/ClientServices"
import * as Race from "effect-client-service/Race"
import { type Moment, type Told, toldOf, updateOf } from "./feed.js"

/** What is shown of a list to those who look for a text; to all, if it is empty. */
export type MomentOf = (all: ReadonlyArray<Listed>, now: number, search: string) => Effect.Effect<Moment>

/** How many milliseconds there are between two readings at least; and at most, while somebody waits, as counts change all the time. */
const least = 100
const most = 1000

/**
 * A list as it is read once for all pages that are open, and not at all while there is none, or none has the room to be told.
 */
export class Readings {
  readonly #services: ClientServices
  readonly #momentOf: MomentOf
  #pages = 0
  #fiber: Fiber.RuntimeFiber<void> | undefined
  #latest: Reading | undefined
  #number = 0
  /** Whether something has since. */
  #hasChanged = true
  /** The pages that wait for the next. */
  readonly #waiting = new Set<(reading: Reading) => void>()
  #wake: (() => void) | undefined

  constructor(services: ClientServices, momentOf: MomentOf) {
    this.#services = services
    this.#momentOf = momentOf
  }

  /** Has a page take part until the Scope closes. */
  get opened(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.suspend(() => {
        this.#pages += 1
        if (this.#pages > 1) return Effect.void
        return Effect.map(Effect.forkDaemon(Effect.interruptible(this.#run)), (fiber) => {
          this.#fiber = fiber
        })
      }),
      () =>
        Effect.suspend(() => {
          this.#pages -= 1
          if (this.#pages > 0 || this.#fiber === undefined) return Effect.void
          this.#latest = undefined
          this.#hasChanged = true
          return Fiber.interruptFork(this.#fiber)
        })
    )
  }

  /** Gives a reading that is another than the one that the page has seen, by its number. */
  after(seen: number | undefined): Effect.Effect<Reading> {
    return Effect.flatMap(monotonic, (at) =>
      Effect.async((resume) => {
        const latest = this.#latest
        if (latest !== undefined && latest.number !== seen && !this.#isDue(latest, at))
          return resume(Effect.succeed(latest))
        const take = (reading: Reading) => resume(Effect.succeed(reading))
        this.#waiting.add(take)
        this.#wake?.()
        return Effect.sync(() => this.#waiting.delete(take))
      })
    )
  }

  get #run(): Effect.Effect<void> {
    const noticing = Stream.runForEach(this.#services.all.changes, () => {
      this.#hasChanged = true
      this.#wake?.()
      // However many there are, the list is not asked for all of them.
      return Effect.sleep(least)
    })
    return Effect.zipRight(Effect.fork(noticing), Effect.forever(this.#turn))
  }

  get #turn(): Effect.Effect<void> {
    return Effect.flatMap(Effect.zip(Clock.currentTimeMillis, monotonic), ([now, at]) => {
      if (this.#waiting.size === 0) return this.#awoken(() => this.#waiting.size > 0)
      const latest = this.#latest
      const hasChanged = this.#hasChanged
      const left = latest === undefined ? 0 : latest.at + (hasChanged ? least : most) - at
      if (left > 0)
        return Race.firstOf(
          this.#awoken(() => this.#hasChanged !== hasChanged),
          Effect.sleep(left)
        )
      this.#hasChanged = false
      // The rest of the program has its turn between two readings, however long all the pages take with one.
      return Effect.map(Effect.zipRight(Effect.sleep(0), this.#services.all.get), (all) => {
        this.#number += 1
        const reading = new Reading({ number: this.#number, now, at }, all, this.#momentOf)
        this.#latest = reading
        const waiting = [...this.#waiting]
        this.#waiting.clear()
        for (const take of waiting) take(reading)
      })
    })
  }

  /** Waits to be woken, unless it has come too late for that. */
  #awoken(isLate: () => boolean): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (isLate()) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.#wake = wake
      return Effect.sync(() => {
        // It may be that of the fiber that reads for the next page.
        if (this.#wake === wake) this.#wake = undefined
      })
    })
  }

  #isDue(latest: Reading, at: number): boolean {
    return at >= latest.at + (this.#hasChanged ? least : most)
  }
}

/** Milliseconds by a clock that nobody sets, or a page would wait for as long as it was set back. */
const monotonic = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** What is new to those who have been told the same. */
interface News {
  readonly told: Told
  /** An event, if anything is. */
  readonly update: Uint8Array | undefined
}

interface Look {
  readonly moment: Moment
  readonly told: Told
  /** By what those have been told who look. */
  readonly news: Map<Told | undefined, News>
}

/** The list at one moment. */
export class Reading {
  readonly number: number
  /** In milliseconds, as the clock has it. */
  readonly now: number
  /** By a clock that nobody sets. */
  readonly at: number
  readonly #all: ReadonlyArray<Listed>
  readonly #momentOf: MomentOf
  /** By what is looked for. */
  readonly #looks = new Map<string, Look>()

  constructor(
    { at, now, number }: { readonly number: number; readonly at: number; readonly now: number },
    all: ReadonlyArray<Listed>,
    momentOf: MomentOf
  ) {
    this.number = number
    this.now = now
    this.at = at
    this.#all = all
    this.#momentOf = momentOf
  }

  /** What is new since a page was told something. It is made once for all that have been told the same, and look for the same. */
  since(told: Told | undefined, search: string): Effect.Effect<News> {
    return Effect.map(this.#look(search), (look) => {
      const known = look.news.get(told)
      if (known !== undefined) return known
      const update = updateOf(look.moment, look.told, told)
      const news: News =
        update === undefined && told !== undefined
          ? { told, update: undefined }
          : { told: look.told, update: bytesOf(`data: ${JSON.stringify(update)}\n\n`) }
      look.news.set(told, news)
      return news
    })
  }

  #look(search: string): Effect.Effect<Look> {
    return Effect.suspend(() => {
      const known = this.#looks.get(search)
      if (known !== undefined) return Effect.succeed(known)
      return Effect.map(this.#momentOf(this.#all, this.now, search), (moment) => {
        const look: Look = { moment, told: toldOf(moment), news: new Map() }
        this.#looks.set(search, look)
        return look
      })
    })
  }
}

const encoder = new TextEncoder()

export const bytesOf = (text: string): Uint8Array => encoder.encode(text)
