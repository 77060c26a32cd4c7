import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import type * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { ConnectionLost } from "../../ConnectionError.js"
import type { Changes } from "../time/changes.js"
import { type Restore, Suspension } from "../time/wait.js"
import { withoutStack } from "../withoutStack.js"
import type { User as Known } from "./attemptStatus.js"
import { isAwaited } from "./isAwaited.js"

/** Is told of each use, and what it gave at the beginning at the end. */
interface UseMetrics {
  readonly useBegan: () => number
  readonly useEnded: (since: number) => void
}

/**
 * Those who use a connection. Each ends with it, whatever region its fiber is in.
 */
export class Users {
  readonly #service: string
  readonly #changes: Changes
  readonly #metrics: UseMetrics | undefined
  // Linked, since a Set copies itself over and over while calls come and go.
  #last: AnyUser | undefined
  #size = 0

  /** `changes` tells of every user that ends. */
  constructor(service: string, changes: Changes, metrics: UseMetrics | undefined) {
    this.#service = service
    this.#metrics = metrics
    this.#changes = changes
  }

  get size(): number {
    return this.#size
  }

  get all(): ReadonlyArray<Known> {
    return this.#newestFirst()
  }

  /** Whether one of them can't end without a fiber. */
  isHeldUpBy(fiber: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<boolean> {
    const users = this.#newestFirst()
    if (users.some(({ fiberId }) => fiberId === fiber.id())) return Effect.succeed(true)
    return Effect.exists(users, ({ running }) =>
      running === undefined ? Effect.succeed(false) : isAwaited(running, fiber)
    )
  }

  /** Has everybody fail, and tells them why. */
  end(reason: unknown): void {
    if (this.#last === undefined) return
    const end = Exit.fail(withoutStack(() => new ConnectionLost({ service: this.#service, cause: reason })))
    for (const user of this.#newestFirst().reverse()) user.lose(end)
  }

  /**
   * Runs an Effect for a caller whose runtime it is. It runs in a fiber that begins at once, so that what needs not wait costs
   * no more than that; and a fiber of its own, so that only the Effect ends with the connection.
   */
  run<A, E, R>(
    runtime: Runtime.Runtime<R>,
    f: () => Effect.Effect<A, E, R>,
    restore: Restore
  ): Effect.Effect<A, E | ConnectionLost, R> {
    return new FiberUser(this, runtime, f).outcome(restore)
  }

  /** Waits until a function resumes its caller, which takes no fiber. */
  runAsync<P, A, E>(protocol: P, begin: AsyncUse<P, A, E>, restore: Restore): Effect.Effect<A, E | ConnectionLost> {
    const user = new AsyncUser<A, E>(this)
    try {
      const cleanup = begin(protocol, (effect) => user.done(effect))
      if (typeof cleanup === "function") user.begun(cleanup)
    } catch (defect) {
      user.done(Effect.die(defect))
    }
    return user.outcome(restore)
  }

  #newestFirst(): Array<AnyUser> {
    const users: Array<AnyUser> = []
    for (let user: AnyUser | undefined = this.#last; user !== undefined; user = user.previous) users.push(user)
    return users
  }

  add(user: AnyUser): void {
    user.previous = this.#last
    if (this.#last !== undefined) this.#last.next = user
    this.#last = user
    this.#size += 1
    user.since = this.#metrics?.useBegan()
  }

  /** Tells whether the user was still one. */
  remove(user: AnyUser): boolean {
    if (user.isDone) return false
    user.isDone = true
    const { next, previous } = user
    if (next === undefined) this.#last = previous
    else next.previous = previous
    if (previous !== undefined) previous.next = next
    // Whoever still holds this one, such as a promise that never settles, would hold all that came after it.
    user.previous = undefined
    user.next = undefined
    this.#size -= 1
    if (user.since !== undefined) this.#metrics?.useEnded(user.since)
    this.#changes.notify()
    return true
  }
}

/** What all know of each, whatever it is to give. */
interface AnyUser {
  isDone: boolean
  since: number | undefined
  previous: AnyUser | undefined
  next: AnyUser | undefined
  /** The fiber that it has, if it takes one. */
  readonly running?: Fiber.RuntimeFiber<unknown, unknown> | undefined
  /** Of that, which is known earlier. */
  readonly fiberId?: FiberId.FiberId | undefined
  /** The connection has ended. */
  lose(end: Exit.Exit<never, ConnectionLost>): void
}

abstract class User<A, E, R> extends Suspension<A, E | ConnectionLost, R> implements AnyUser {
  isDone = false
  since: number | undefined
  previous: AnyUser | undefined
  next: AnyUser | undefined

  abstract lose(end: Exit.Exit<never, ConnectionLost>): void
}

/** How many fibers of uses that began within each other are on the stack of the engine, which does not take many. */
let depth = 0
const deep = 32

class FiberUser<A, E, R> extends User<A, E, R> {
  fiberId: FiberId.FiberId | undefined
  readonly running: Fiber.RuntimeFiber<Exit.Exit<A, E>> | undefined
  #end: Exit.Exit<never, ConnectionLost> | undefined

  constructor(users: Users, runtime: Runtime.Runtime<R>, f: () => Effect.Effect<A, E, R>) {
    super()
    users.add(this)
    let before: FiberRefs.FiberRefs | undefined
    const isNow = depth < deep
    depth += 1
    const running = Runtime.runFork(
      // The caller may be in an uninterruptible region, and the connection would end without it.
      RuntimeFlags.interruption(runtime.runtimeFlags)
        ? runtime
        : Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption),
      // As an Exit, since a fiber that fails with nobody to join it would be logged for that.
      Effect.exit(isNow ? evaluate(f) : Effect.suspend(f)),
      {
        immediate: isNow,
        updateRefs: (refs, fiberId) => {
          this.fiberId = fiberId
          before = refs
          return refs
        }
      }
    )
    depth -= 1
    this.running = running
    const ended = (ended: Exit.Exit<Exit.Exit<A, E>>) => {
      const exit = Exit.flatten(ended)
      users.remove(this)
      if (this.#end !== undefined) this.resume(this.#end)
      // To inherit costs as much as the rest, and most Effects change nothing.
      else this.resume(areAlike(before, running.getFiberRefs()) ? exit : Effect.zipRight(running.inheritAll, exit))
    }
    const exit = running.unsafePoll()
    if (exit !== null) ended(exit)
    else {
      running.addObserver(ended)
      if (this.#end !== undefined) running.unsafeInterruptAsFork(FiberId.none)
    }
  }

  override get cancel(): Effect.Effect<unknown> {
    return this.running === undefined ? Effect.void : Fiber.interrupt(this.running)
  }

  lose(end: Exit.Exit<never, ConnectionLost>): void {
    this.#end = end
    this.running?.unsafeInterruptAsFork(FiberId.none)
  }
}

const evaluate = <A, E, R>(f: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  try {
    return f()
  } catch (defect) {
    return Effect.die(defect)
  }
}

// A fiber has a new object of them each time that it is asked, and its end is in its flags.
const areAlike = (before: FiberRefs.FiberRefs | undefined, after: FiberRefs.FiberRefs): boolean => {
  if (before?.locals.size !== after.locals.size) return false
  let isAlike = true
  // Not by an iterator, whose entries would be a tenth of what a use allocates.
  after.locals.forEach((stack, ref) => {
    const value = stack[0][1]
    const now = ref === FiberRef.currentRuntimeFlags ? RuntimeFlags.disable(value, RuntimeFlags.WindDown) : value
    if (before.locals.get(ref)?.[0][1] !== now) isAlike = false
  })
  return isAlike
}

class AsyncUser<A, E> extends User<A, E, never> {
  #cleanup: Cleanup | undefined
  #isLost = false
  readonly #users: Users

  constructor(users: Users) {
    super()
    this.#users = users
    users.add(this)
  }

  /** Is told what takes back what has begun: at once, if that was cut short meanwhile. */
  begun(cleanup: Cleanup): void {
    if (this.#isLost) cleanup(true)
    else this.#cleanup = cleanup
  }

  done(effect: Effect.Effect<A, E>): void {
    if (this.#users.remove(this)) this.resume(effect)
  }

  override get cancel(): Effect.Effect<unknown> {
    return Effect.sync(() => {
      if (this.#users.remove(this)) this.#cleanup?.(false)
    })
  }

  lose(end: Exit.Exit<never, ConnectionLost>): void {
    if (!this.#users.remove(this)) return
    this.#isLost = true
    try {
      this.#cleanup?.(true)
      this.resume(end)
    } catch (defect) {
      this.resume(Effect.die(defect))
    }
  }
}

/** Takes back what has begun, since the connection was lost, or else the caller interrupted. */
type Cleanup = (isLost: boolean) => void

/** What begins something that resumes its caller, and gives what takes that back. */
export type AsyncUse<P, A, E> =
  | ((protocol: P, resume: (effect: Effect.Effect<A, E>) => void) => void)
  | ((protocol: P, resume: (effect: Effect.Effect<A, E>) => void) => Cleanup)

/** A call that gives a promise, and what an error of it becomes. */
export interface PromiseUse<in P, out A, out E> {
  readonly try: (protocol: P, signal: AbortSignal) => PromiseLike<A>
  readonly catch: (error: unknown) => E
}

/** The call of a promise as one that calls back. */
export const fromPromise =
  <P, A, E>({ catch: fail, try: evaluate }: PromiseUse<P, A, E>): AsyncUse<P, A, E> =>
  (protocol, resume) => {
    // Most functions declare the protocol alone, and a signal costs as much as the rest.
    const controller = evaluate.length === 1 ? undefined : new AbortController()
    const failed = (error: unknown) => resume(Effect.suspend(() => Effect.fail(fail(error))))
    try {
      evaluate(protocol, controller?.signal ?? neverAborted).then((value) => resume(Exit.succeed(value)), failed)
    } catch (error) {
      failed(error)
    }
    return controller && (() => controller.abort())
  }

/** The one of `Effect.tryPromise` where it is not told what an error becomes. */
export const unknownException = (error: unknown): Cause.UnknownException =>
  new Cause.UnknownException(error, "An unknown error occurred in usePromise")

const neverAborted = /* @__PURE__ */ new AbortController().signal
