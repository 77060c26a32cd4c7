import { explore, type Game, type Limits, parse, print, type Schedule } from "./explore.js"
import { map } from "./map.js"
import { play } from "./play.js"
import { service } from "./service.js"

/** All schedules of one thing within some limits. */
export interface Exploration {
  readonly name: string
  /** One after the other: what is wrong with it, and how to repeat it. */
  readonly problems: (limits: Limits) => Iterable<string | undefined>
  readonly repeat: (text: string) => string
}

const explorationOf = <Event extends string>(game: Game<Event>): Exploration => {
  const told = (schedule: Schedule<Event>, problem: string) =>
    `${game.name} ${print(schedule)}: ${problem}\nnpm run test:schedules -- --game ${game.name} --schedule "${print(schedule)}" repeats it`
  return {
    name: game.name,
    *problems(limits) {
      for (const { problem, schedule } of explore((schedule: Schedule<Event>) => play(game, schedule), limits)) {
        yield problem === undefined ? undefined : told(schedule, problem)
      }
    },
    repeat: (text) => {
      const schedule = parse(game, text)
      const { fingerprint, problem } = play(game, schedule)
      return problem === undefined ? `nothing is wrong; it ends as ${fingerprint}` : told(schedule, problem)
    }
  }
}

export const explorations: ReadonlyArray<Exploration> = [explorationOf(service), explorationOf(map)]
