import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { ClientService, Endpoint } from "effect-client-service"
import * as Progress from "../progress.js"
import { VirtualTime } from "../virtualTime.js"
import { census } from "./census.js"
import type { Sample, Soak } from "./soak.js"

const days = 30
const minute = 60_000
const day = 24 * 60 * minute

// The default delay is 15 seconds on average, once it has grown up.
const attemptsInADay = Math.round((day / 15_000) * 1.1)

export const longOutage: Soak = {
  name: "a service that is down for 30 days",
  operations: "attempts",
  samples: Effect.gen(function* () {
    const { sample, supervised } = yield* census
    const time = new VirtualTime()
    const log = watchWarnings(time)
    let attempts = 0
    const endpoint = Endpoint.make({
      name: "down",
      connect: () =>
        Effect.suspend(() => {
          attempts += 1
          return Effect.fail("refused")
        })
    })
    const owner = yield* Effect.acquireRelease(Scope.make(), (owner) =>
      Effect.sync(() => time.run(Scope.close(owner, Exit.void)))
    )
    time.run(
      supervised(ClientService.make({ endpoint })).pipe(
        Effect.flatMap(({ start }) => start),
        Effect.withRandom(Random.make("outage")),
        Logger.withMinimumLogLevel(LogLevel.Warning),
        Effect.provide(Logger.replace(Logger.defaultLogger, log.logger)),
        Scope.extend(owner)
      )
    )

    const samples: Array<Sample> = []
    let all = 0
    while (samples.length < days) {
      Progress.round(samples.length + 1, days)
      attempts = 0
      log.forget()
      time.pass(day)
      all += attempts
      const { constant, ...found } = yield* sample(all)
      samples.push({
        ...found,
        constant: { ...constant, timers: time.sleeping },
        bounded: {
          "attempts in a day": { value: attempts, atMost: attemptsInADay },
          "warnings in a day": { value: log.warnings(), atMost: day / minute },
          "seconds between warnings": { value: log.shortestPause() / 1000, atLeast: minute / 1000 }
        }
      })
    }
    return samples
  })
}

const watchWarnings = (time: VirtualTime) => {
  let warnings = 0
  let last = Number.NEGATIVE_INFINITY
  let shortestPause = Number.POSITIVE_INFINITY
  return {
    logger: Logger.make(({ logLevel }) => {
      if (LogLevel.lessThan(logLevel, LogLevel.Warning)) return
      warnings += 1
      shortestPause = Math.min(shortestPause, time.now - last)
      last = time.now
    }),
    warnings: () => warnings,
    shortestPause: () => shortestPause,
    forget: () => {
      warnings = 0
      shortestPause = Number.POSITIVE_INFINITY
    }
  }
}
