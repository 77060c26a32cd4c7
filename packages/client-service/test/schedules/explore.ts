import type { Bench } from "../support/bench.js"

/** What may happen to a thing, and what has to hold of it. */
export interface Subject<Event extends string> {
  readonly canHappen: (event: Event) => boolean
  readonly perform: (event: Event) => void
  /** Tells what is wrong now that all has come to rest. */
  readonly problem: () => string | undefined
  /** Brings it to an end, and tells what is wrong with that. */
  readonly end: () => string | undefined
  /** What tells the states apart that it may be in when all has come to rest. */
  readonly fingerprint: () => string
}

export interface Game<Event extends string> {
  readonly name: string
  readonly events: ReadonlyArray<Event>
  readonly make: (bench: Bench) => Subject<Event>
}

/**
 * What a schedule does, in order: an event comes when all has come to rest, or a fiber is stopped at a step, counted from
 * the first of the schedule. It either yields to those that are ready, or is held, and an event comes, and all comes to
 * rest before it goes on.
 */
export type Choice<Event extends string> =
  | { readonly event: Event }
  | { readonly step: number }
  | { readonly step: number; readonly event: Event }

export type Schedule<Event extends string> = ReadonlyArray<Choice<Event>>

/** As in `start accept@12 @31`: each event, and the step at which a fiber is stopped. */
export const print = <Event extends string>(schedule: Schedule<Event>): string =>
  schedule
    .map((choice) => ("event" in choice ? choice.event : "") + ("step" in choice ? `@${choice.step}` : ""))
    .join(" ")

export const parse = <Event extends string>(game: Game<Event>, text: string): Schedule<Event> =>
  text
    .split(" ")
    .filter((word) => word !== "")
    .map((word): Choice<Event> => {
      const [name = "", at] = word.split("@")
      const event = game.events.find((event) => event === name)
      if (at === undefined) {
        if (event === undefined) throw new Error(`${word} is no event`)
        return { event }
      }
      const step = Number(at)
      if (!Number.isInteger(step) || (name !== "" && event === undefined)) throw new Error(`${word} is no choice`)
      return event === undefined ? { step } : { step, event }
    })

/** What came of a schedule. */
export interface Played<Event extends string> {
  readonly problem: string | undefined
  /** The steps after the last choice at which a fiber may be stopped, and the events that could come then. */
  readonly steps: ReadonlyArray<{
    readonly step: number
    readonly isAlone: boolean
    readonly events: ReadonlyArray<Event>
  }>
  /** The events that could come now that all has come to rest. */
  readonly next: ReadonlyArray<Event>
  readonly fingerprint: string
}

export interface Limits {
  readonly events: number
  readonly stops: number
  /** Of those that nothing can be added to, which are most, one in so many is played. By default, all are. */
  readonly oneIn?: number
}

/**
 * All schedules within the limits, each once. Those are left out that can do nothing new: to stop a fiber at a step that
 * only notes what is to come next, to have it yield to nobody, and what comes after a rest that differs in nothing that
 * can be observed from one that was gone on from already with at least as much ahead.
 */
export function* explore<Event extends string>(
  play: (schedule: Schedule<Event>) => Played<Event>,
  limits: Limits
): Generator<{ readonly schedule: Schedule<Event>; readonly problem: string | undefined }> {
  const visited = new Map<string, Array<Limits>>()
  const { oneIn = 1 } = limits
  let ends = 0
  const pending = new Pending<Event>(limits)
  pending.add([])
  for (let schedule = pending.next(); schedule !== undefined; schedule = pending.next()) {
    const current = schedule
    const { events, stops } = ahead(current, limits)
    if (events === 0 && stops === 0 && ends++ % oneIn > 0) continue
    const { fingerprint, next, problem, steps } = play(schedule)
    yield { schedule, problem }
    if (problem !== undefined) continue
    const before = visited.get(fingerprint) ?? []
    const isNew = !before.some((other) => other.events >= events && other.stops >= stops)
    if (events > 0 && isNew) {
      visited.set(fingerprint, [...before, { events, stops }])
      for (const event of next) pending.add([...current, { event }])
    }
    if (stops === 0) continue
    for (const { events: possible, isAlone, step } of steps) {
      if (!isAlone) pending.add([...current, { step }])
      if (events > 0) for (const event of possible) pending.add([...current, { step, event }])
    }
  }
}

/** What may be added to a schedule. */
const ahead = <Event extends string>(schedule: Schedule<Event>, limits: Limits): Limits => ({
  events: limits.events - schedule.filter((choice) => "event" in choice).length,
  stops: limits.stops - schedule.filter((choice) => "step" in choice).length
})

/**
 * The schedules that are still to be played: those with the most ahead come first, so that nothing has to be gone on from
 * that one of them goes on from with more. What no event can follow is not gone on from, and comes at once, so that there
 * are never many of them.
 */
class Pending<Event extends string> {
  private readonly last: Array<Schedule<Event>> = []
  private readonly levels = new Map<number, Array<Schedule<Event>>>()

  constructor(private readonly limits: Limits) {}

  add(schedule: Schedule<Event>): void {
    const { events, stops } = ahead(schedule, this.limits)
    if (events === 0) {
      this.last.push(schedule)
      return
    }
    const level = this.levelOf(events, stops)
    const others = this.levels.get(level)
    if (others === undefined) this.levels.set(level, [schedule])
    else others.push(schedule)
  }

  next(): Schedule<Event> | undefined {
    if (this.last.length > 0) return this.last.pop()
    for (let level = this.levelOf(this.limits.events, this.limits.stops); level >= 0; level--) {
      const schedule = this.levels.get(level)?.pop()
      if (schedule !== undefined) return schedule
    }
    return undefined
  }

  private levelOf(events: number, stops: number): number {
    return events * (this.limits.stops + 1) + stops
  }
}
