import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import type { ConnectionSignal, Endpoint } from "../../Endpoint.js"
import { type EndpointRule, EndpointRuleBroken } from "../../EndpointRuleBroken.js"
import { firstOf } from "../time/firstOf.js"
import { monotonic } from "../time/monotonic.js"

export interface Settings<A, E, R, R2, R3> {
  readonly endpoint: Endpoint<A, E, R>
  readonly seed: number
  readonly runs: number
  readonly patience: Duration.Duration
  readonly open: Effect.Effect<number, never, R2>
  readonly use: (connection: A) => Effect.Effect<unknown, unknown, R3>
}

/** An attempt, and the Scope of what comes of it. */
interface Attempt<A, E> {
  readonly fiber: Fiber.RuntimeFiber<Exit.Exit<A, E>>
  readonly scope: Scope.CloseableScope
  isLost: boolean
}

interface Connection<A, E> {
  readonly value: A
  readonly attempt: Attempt<A, E>
}

/**
 * Connects, and then does with the endpoint what a service may do, in an order drawn from the seed.
 */
export const checkEndpoint = <A, E, R, R2, R3>(
  settings: Settings<A, E, R, R2, R3>
): Effect.Effect<void, EndpointRuleBroken, R | R2 | R3> =>
  Effect.gen(function* () {
    const { endpoint, open, patience, runs, seed, use } = settings
    const random = Random.make(seed)
    const history: Array<string> = []
    const attempts = new Set<Attempt<A, E>>()
    // All fibers that the endpoint begins.
    const supervisor = yield* Supervisor.track
    const alreadyOpen = yield* open

    const broken = (rule: EndpointRule, what: string, cause?: Cause.Cause<unknown>) =>
      new EndpointRuleBroken({ endpoint: endpoint.name, rule, what, seed, history: history.slice(), cause })

    const inTime = <B, E2, R4>(effect: Effect.Effect<B, E2, R4>, rule: EndpointRule, what: string) =>
      firstOf(
        effect,
        Effect.flatMap(realSleep(patience), () => broken(rule, `${what} within ${Duration.format(patience)}`))
      )

    const refuseDefects = (exit: Exit.Exit<unknown, unknown>, what: string) =>
      Exit.isFailure(exit) && Cause.isDie(exit.cause) ? broken("Dies", what, exit.cause) : Effect.void

    const begin = Effect.gen(function* () {
      const scope = yield* Scope.make()
      const signal: ConnectionSignal<E> = {
        lost: () => {
          attempt.isLost = true
        }
      }
      const fiber = yield* Effect.suspend(() => endpoint.connect(signal)).pipe(
        Scope.extend(scope),
        Effect.exit,
        Effect.supervised(supervisor),
        Effect.interruptible,
        Effect.forkDaemon
      )
      const attempt: Attempt<A, E> = { fiber, scope, isLost: false }
      attempts.add(attempt)
      return attempt
    }).pipe(Effect.uninterruptible)

    const settled = (rule: EndpointRule, attempt: Attempt<A, E>) =>
      Effect.gen(function* () {
        const exit = Exit.flatten(yield* inTime(Fiber.await(attempt.fiber), rule, "connect does not end"))
        yield* refuseDefects(exit, "connect dies")
        if (Exit.isFailure(exit)) return yield* broken(rule, "connect fails", exit.cause)
        const connection: Connection<A, E> = { attempt, value: exit.value }
        return connection
      })

    const close = (attempt: Attempt<A, E>, exit: Exit.Exit<unknown, unknown> = Exit.void) =>
      Effect.gen(function* () {
        attempts.delete(attempt)
        const closing = yield* Effect.forkDaemon(Effect.exit(Scope.close(attempt.scope, exit)))
        const closed = yield* inTime(Fiber.await(closing), "Closes", "the Scope of a connection does not close")
        yield* refuseDefects(Exit.flatten(closed), "the closing of its Scope dies")
      })

    const checkUp = (rule: EndpointRule, { attempt, value }: Connection<A, E>) =>
      Effect.gen(function* () {
        yield* realSleep(0)
        if (attempt.isLost) return yield* broken(rule, "a connection is lost that nobody touched")
        const using = Effect.exit(Effect.suspend(() => use(value)))
        const used = yield* inTime(using, rule, "the use of a connection does not end")
        if (Exit.isFailure(used)) return yield* broken(rule, "a connection can't be used", used.cause)
      })

    // A peer may take its time to notice, and so may a fiber that is interrupted.
    const released = Effect.gen(function* () {
      let left = { connections: 0, fibers: 0 }
      const look = Effect.gen(function* () {
        const fibers = yield* supervisor.value
        left = { connections: (yield* open) - alreadyOpen, fibers: fibers.length }
        return left.connections === 0 && left.fibers === 0
      })
      const looking = Effect.zipRight(realSleep(0), look).pipe(Effect.repeat({ until: (isReleased) => isReleased }))
      const isReleased = yield* firstOf(looking, Effect.as(realSleep(patience), false))
      if (isReleased) return
      const rest = `${left.connections} connections and ${left.fibers} fibers`
      return yield* broken("Releases", `${rest} are left when all Scopes are closed`)
    })

    let took = 0
    const connectFirst = Effect.gen(function* () {
      history.push("a first connection")
      const began = monotonic(realClock)
      const first = yield* settled("Connects", yield* begin)
      took = monotonic(realClock) - began
      yield* checkUp("StaysUp", first)
      yield* close(first.attempt)
      yield* released
    })

    const connectAndClose = Effect.gen(function* () {
      const isLost = yield* random.nextBoolean
      history.push(isLost ? "a connection that is lost" : "a connection that is closed")
      const connection = yield* settled("ConnectsAgain", yield* begin)
      yield* checkUp("StaysUp", connection)
      yield* close(connection.attempt, isLost ? Exit.fail("lost") : Exit.void)
    })

    const interrupt = Effect.gen(function* () {
      const yields = yield* random.nextIntBetween(0, 10)
      const millis = yield* random.nextIntBetween(0, took + 2)
      history.push(`an attempt that is interrupted after ${millis} ms and ${yields} turns`)
      const attempt = yield* begin
      if (millis > 0) yield* realSleep(millis)
      for (let turn = 0; turn < yields; turn++) yield* Effect.yieldNow()
      yield* Fiber.interruptFork(attempt.fiber)
      const ended = yield* inTime(Fiber.await(attempt.fiber), "Interruptible", "an interrupted attempt does not end")
      yield* refuseDefects(Exit.flatten(ended), "an interrupted attempt dies")
      yield* close(attempt)
    })

    const connectTwo = Effect.gen(function* () {
      const isFirstClosedFirst = yield* random.nextBoolean
      history.push(`two connections, of which the ${isFirstClosedFirst ? "first" : "second"} is closed first`)
      const attempts = [yield* begin, yield* begin] as const
      const one = yield* settled("ConnectsAgain", attempts[0])
      const other = yield* settled("Independent", attempts[1])
      yield* checkUp("Independent", one)
      yield* checkUp("Independent", other)
      const [closed, kept] = isFirstClosedFirst ? [one, other] : [other, one]
      yield* close(closed.attempt)
      yield* checkUp("Independent", kept)
      yield* close(kept.attempt)
    })

    const kinds = [connectAndClose, interrupt, connectTwo]
    const run = Effect.gen(function* () {
      const kind = kinds[yield* random.nextIntBetween(0, kinds.length)] ?? connectAndClose
      yield* kind
      yield* released
    })
    const check = connectFirst.pipe(
      Effect.zipRight(Effect.replicateEffect(run, runs, { discard: true })),
      // Once more, since what came last may have broken it too.
      Effect.zipRight(connectAndClose)
    )

    // What hangs, hangs in fibers of its own.
    const abandon = Effect.suspend(() =>
      Effect.forEach(attempts, ({ fiber, scope }) =>
        Effect.zipRight(Fiber.interruptFork(fiber), Effect.forkDaemon(Scope.close(scope, Exit.void)))
      )
    )
    return yield* Effect.ensuring(check, abandon)
  })

const realClock = Clock.make()

// By real time, since nobody moves a TestClock on.
const realSleep = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.withClock(Effect.sleep(duration), realClock)
