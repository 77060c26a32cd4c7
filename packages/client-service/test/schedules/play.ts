import { withoutRealTimers } from "../properties/realTimers.js"
import { Bench } from "../support/bench.js"
import type { Choice, Game, Played, Schedule } from "./explore.js"

/** Plays a schedule from its beginning, and tells what came of it. */
export const play = <Event extends string>(game: Game<Event>, schedule: Schedule<Event>): Played<Event> =>
  withoutRealTimers(() => {
    const choices: Array<Choice<Event>> = [...schedule]
    const steps: Array<Played<Event>["steps"][number]> = []
    let isMade = false
    let step = 0
    let due: Event | undefined
    const bench = new Bench((_, isNote) => {
      if (!isMade) return "goes on"
      step += 1
      const [choice] = choices
      if (choice !== undefined && "step" in choice && choice.step === step) {
        choices.shift()
        if (!("event" in choice)) return "yields"
        due = choice.event
        return "is held"
      }
      if (choices.length === 0 && !isNote) {
        // What can happen is looked at here, and costs nothing: it asks the subject, not the service.
        steps.push({ step, isAlone: bench.scheduler.ready === 0, events: game.events.filter(subject.canHappen) })
      }
      return "goes on"
    })
    const subject = bench.scheduler.undisturbed(() => game.make(bench))
    bench.drain()
    isMade = true
    // The step may have been one of a fiber within another's, which has gone on since.
    let isPossible = true
    const perform = (event: Event) => {
      if (subject.canHappen(event)) subject.perform(event)
      else isPossible = false
    }
    const rest = () => {
      for (;;) {
        bench.drain(() => due !== undefined)
        if (due === undefined) return
        const event = due
        due = undefined
        perform(event)
      }
    }
    try {
      rest()
      for (let choice = choices[0]; choice !== undefined; choice = choices[0]) {
        if ("step" in choice) throw new Error(`there is no step ${choice.step}`)
        choices.shift()
        steps.length = 0
        perform(choice.event)
        rest()
      }
      isMade = false
      const problem = subject.problem()
      const next = game.events.filter(subject.canHappen)
      const fingerprint = subject.fingerprint()
      const after = isPossible ? steps.slice() : []
      return { problem: problem ?? subject.end(), steps: after, next: isPossible ? next : [], fingerprint }
    } finally {
      isMade = false
    }
  })
