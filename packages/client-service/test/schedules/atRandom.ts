import { withoutRealTimers } from "../properties/realTimers.js"
import { chances, preemptBy } from "../properties/stepScheduler.js"
import { Bench } from "../support/bench.js"
import type { Game } from "./explore.js"

/** Plays events that a seed chooses, whose fibers it stops between their steps, and tells what is wrong, and since when. */
export const playAtRandom = <Event extends string>(game: Game<Event>, seed: number): string | undefined =>
  withoutRealTimers(() => {
    const chance = chances(seed)
    const bench = new Bench(preemptBy(chances(seed + 1)))
    const subject = bench.scheduler.undisturbed(() => game.make(bench))
    const trace: Array<string> = []
    const problem = () => bench.scheduler.undisturbed(() => subject.problem())
    const told = (problem: string | undefined) =>
      problem === undefined ? undefined : `${game.name} ${seed}: ${problem}\n${trace.join(", ")}`
    for (let events = 0; events < 12; events++) {
      const possible = game.events.filter(subject.canHappen)
      const event = possible[Math.floor(chance() * possible.length)]
      if (event === undefined) break
      subject.perform(event)
      // Half of them come before all that follows of the last has come to rest.
      let tasks = chance() < 0.5 ? Number.POSITIVE_INFINITY : Math.floor(chance() * 10)
      trace.push(tasks === Number.POSITIVE_INFINITY ? event : `${event} (${tasks} tasks)`)
      bench.drain(() => tasks-- <= 0)
      const wrong = tasks === Number.POSITIVE_INFINITY ? problem() : undefined
      if (wrong !== undefined) return told(wrong)
    }
    bench.drain()
    return told(problem() ?? bench.scheduler.undisturbed(() => subject.end()))
  })
