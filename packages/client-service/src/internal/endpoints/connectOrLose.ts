import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { AttemptStatus } from "../connection/attemptStatus.js"
import { ConnectionLost } from "../connectionErrors.js"
import { wait } from "../time/wait.js"
import { withoutStack } from "../withoutStack.js"
import type { Connectable, Signal } from "./connectable.js"

/**
 * Connects, and fails if the connection is lost before: many an endpoint has nothing else to tell that it has failed. The
 * signal hears of the loss of what is connected.
 *
 * Who has told of a loss may still be at connecting, where nothing interrupts it. That is waited for by the Scope alone, once
 * all that was acquired before is released.
 */
export const connectOrLose = <A, E, R>(
  { connect, name: service }: Connectable<A, E, R>,
  signal: Signal<E>
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { attend } = yield* AttemptStatus
      let isConnected = false
      let early: Parameters<Signal<E>["lost"]> | undefined
      let lose = () => {}
      const own: Signal<E> = {
        lost: (...loss) => {
          if (isConnected) return signal.lost(...loss)
          early ??= loss
          lose()
        }
      }
      let connecting: Fiber.RuntimeFiber<A, E> | undefined
      yield* Effect.addFinalizer(() => (connecting === undefined ? Effect.void : Fiber.interrupt(connecting)))
      const fiber = yield* Effect.forkDaemon(restore(Effect.suspend(() => connect(own))))
      connecting = fiber
      attend?.(fiber)
      const settled = wait<A, E, never>((resume) => {
        lose = () => resume(lost)
        if (early !== undefined) lose()
        fiber.addObserver(resume)
        return undefined
      })
      // A step later: who tells of the loss may be about to say more, by failing.
      const lost: Effect.Effect<A, E> = Effect.zipRight(
        Effect.yieldNow(),
        Effect.suspend(() => {
          const exit = fiber.unsafePoll()
          if (exit !== null) return exit
          const [error, detail] = early ?? []
          // As a defect, since none of its errors tells of a loss without one.
          const without = () => new ConnectionLost(detail === undefined ? { service } : { service, detail })
          return Effect.zipRight(
            Fiber.interruptFork(fiber),
            error === undefined ? Exit.die(withoutStack(without)) : Exit.fail(error)
          )
        })
      )
      const connection = yield* Effect.onInterrupt(restore(settled), () => Fiber.interrupt(fiber))
      // What has ended has nothing to be waited for.
      connecting = undefined
      isConnected = true
      if (early !== undefined) signal.lost(...early)
      return connection
    })
  )
