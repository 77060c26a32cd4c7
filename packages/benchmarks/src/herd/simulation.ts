import { setImmediate } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { ClientService, Endpoint, type RetryPolicy } from "effect-client-service"
import { VirtualTime } from "../virtualTime.js"

/** How the clients came back. */
export interface Recovery {
  /** How many attempts were made since the loss, failed ones and others, by client. */
  readonly attemptsPerClient: number
  /** The milliseconds from the server's return to each client's new connection, in order: one for every client. */
  readonly admissions: ReadonlyArray<number>
}

export interface Options {
  readonly policy: RetryPolicy.RetryPolicy<unknown>
  readonly clients: number
  /** How many milliseconds the server is down. It refuses all attempts at once while it is. */
  readonly outage: number
  readonly seed: string
  /** Default: `VirtualTime`. TestClock waits for some real milliseconds at every wake-up. */
  readonly time?: Time | undefined
}

/** A clock that moves when it is told to. */
export interface Time {
  readonly now: number
  readonly run: (effect: Effect.Effect<void>) => void | Promise<void>
  /** Lets so many milliseconds pass. */
  readonly pass: (millis: number) => void | Promise<void>
}

// They have been connected for long enough to begin their delays afresh.
const calm = 60_000

const patience = 3_600_000

/** Has services lose their server, all at one instant, and lets time pass until all of them have it back. */
export const recover = async (options: Options): Promise<Recovery> => {
  const { clients, outage, policy, seed, time = new VirtualTime() } = options
  const owner = Effect.runSync(Scope.make())
  const connections: Array<Endpoint.ConnectionSignal<never>> = []
  const admissions: Array<number> = []
  let attempts = 0
  let returnsAt = 0

  const endpoint = Endpoint.make({
    name: "herd",
    connect: (signal: Endpoint.ConnectionSignal<never>) =>
      Effect.suspend(() => {
        attempts += 1
        if (time.now < returnsAt) return Effect.fail("refused")
        admissions.push(time.now - returnsAt)
        connections.push(signal)
        return Effect.succeed(signal)
      })
  })
  const service = ClientService.make({ endpoint, retryPolicy: policy }).pipe(
    Effect.flatMap(({ start }) => start),
    Scope.extend(owner)
  )
  await time.run(
    Effect.replicateEffect(service, clients, { discard: true }).pipe(
      Effect.withRandom(Random.make(seed)),
      Logger.withMinimumLogLevel(LogLevel.None)
    )
  )
  await time.pass(calm)

  returnsAt = time.now + outage
  attempts = 0
  admissions.length = 0
  for (const connection of connections.splice(0)) connection.lost()
  await time.pass(0)
  while (admissions.length < clients) {
    if (time.now > returnsAt + patience) throw new Error(`${clients - admissions.length} clients are still away`)
    await time.pass(1000)
    // It is long work, and not the only one of the process.
    await setImmediate()
  }
  await time.run(Scope.close(owner, Exit.void))
  return { attemptsPerClient: attempts / clients, admissions }
}

/** The largest share of the clients that are admitted within any so many milliseconds, whenever these begin. */
export const peakShare = ({ admissions }: Recovery, window: number): number => {
  let most = 0
  let first = 0
  admissions.forEach((admission, last) => {
    while (admission - (admissions[first] ?? admission) >= window) first += 1
    most = Math.max(most, last - first + 1)
  })
  return most / admissions.length
}

/** The milliseconds within which such a share of the clients are back. */
export const backWithin = ({ admissions }: Recovery, share: number): number =>
  admissions[Math.ceil(share * admissions.length) - 1] ?? Number.NaN
