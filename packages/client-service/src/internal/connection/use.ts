import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { ConnectionLost } from "../../ConnectionError.js"
import { Changes } from "../time/changes.js"
import { withoutStack } from "../withoutStack.js"

type Resume<A, E, R> = (effect: Effect.Effect<A, E, R>) => void

interface User {
  readonly lose: () => void
}

/**
 * Those who use a connection. Each ends with it, whatever region its fiber is in.
 */
export class Users {
  readonly changes = new Changes()
  readonly #service: string
  readonly #users = new Set<User>()
  #end: Exit.Exit<never, ConnectionLost> = Exit.die("the connection is up")

  constructor(service: string) {
    this.#service = service
  }

  get size(): number {
    return this.#users.size
  }

  /** Has everybody fail, and tells them why. */
  end(reason: unknown): void {
    if (this.#users.size === 0) return
    this.#end = Exit.fail(withoutStack(() => new ConnectionLost({ service: this.#service, cause: reason })))
    for (const user of this.#users) user.lose()
  }

  /**
   * Runs an Effect for a caller whose runtime it is, and gives what interrupts it. It runs in a fiber that begins at once,
   * so that what needs not wait costs no more than that; and a fiber of its own, so that only the Effect ends with the
   * connection.
   */
  run<A, E, R>(
    runtime: Runtime.Runtime<R>,
    f: () => Effect.Effect<A, E, R>,
    resume: Resume<A, E | ConnectionLost, R>
  ): Effect.Effect<unknown> {
    let isLost = false
    let fiber: Fiber.RuntimeFiber<A, E> | undefined
    let before: FiberRefs.FiberRefs | undefined
    const user: User = {
      lose: () => {
        isLost = true
        fiber?.unsafeInterruptAsFork(FiberId.none)
      }
    }
    this.#users.add(user)
    const running = Runtime.runFork(
      // The caller may be in an uninterruptible region, and the connection would end without it.
      Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption),
      Effect.withFiberRuntime<A, E, R>((fiber) => {
        before = fiber.getFiberRefs()
        return f()
      })
    )
    const ended = (exit: Exit.Exit<A, E>) => {
      this.#remove(user)
      if (isLost) resume(this.#end)
      // To inherit costs as much as the rest, and most Effects change nothing.
      else resume(running.getFiberRefs() === before ? exit : Effect.zipRight(running.inheritAll, exit))
    }
    const exit = running.unsafePoll()
    if (exit !== null) {
      ended(exit)
      return Effect.void
    }
    running.addObserver(ended)
    fiber = running
    if (isLost) running.unsafeInterruptAsFork(FiberId.none)
    return Effect.flatMap(Effect.fiberId, (id) => running.interruptAsFork(id)).pipe(Effect.zipRight(running.await))
  }

  /** Waits for a promise, which takes no fiber, and gives what aborts it. */
  runPromise<P, A, E>(
    protocol: P,
    { catch: fail, try: evaluate }: PromiseUse<P, A, E>,
    resume: Resume<A, E | ConnectionLost, never>
  ): Effect.Effect<unknown> {
    // Most functions do not take the signal, which costs as much as the rest.
    const controller = evaluate.length === 1 ? undefined : new AbortController()
    const user: User = {
      lose: () => {
        if (!this.#remove(user)) return
        resume(this.#end)
        controller?.abort()
      }
    }
    const failed = (error: unknown) => {
      if (this.#remove(user)) resume(Effect.suspend(() => Effect.fail(fail(error))))
    }
    this.#users.add(user)
    try {
      evaluate(protocol, controller?.signal ?? never).then((value) => {
        if (this.#remove(user)) resume(Effect.succeed(value))
      }, failed)
    } catch (error) {
      failed(error)
    }
    return Effect.sync(() => {
      if (this.#remove(user)) controller?.abort()
    })
  }

  #remove(user: User): boolean {
    const isRemoved = this.#users.delete(user)
    if (isRemoved) this.changes.notify()
    return isRemoved
  }
}

/** A call that gives a promise, and what an error of it becomes. */
export interface PromiseUse<in P, out A, out E> {
  readonly try: (protocol: P, signal: AbortSignal) => PromiseLike<A>
  readonly catch: (error: unknown) => E
}

/** The one of `Effect.tryPromise` where it is not told what an error becomes. */
export const unknownException = (error: unknown): Cause.UnknownException =>
  new Cause.UnknownException(error, "An unknown error occurred in usePromise")

const never = new AbortController().signal
