import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Status } from "../connection/attemptStatus.js"
import { firstOf } from "../time/firstOf.js"
import { monotonic } from "../time/monotonic.js"
import { deadline } from "../time/turn.js"
import { linger } from "../transports/receiveBuffer.js"
import { type Acting, Answered } from "./answered.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** Who was answered on a connection, and is to have the time to act on that when nothing more is read. */
export class Answers {
  readonly #attempt: Pick<Status, "changes" | "isEstablished" | "users">
  readonly #clock: Clock.Clock
  readonly #asking: () => Iterable<AnyFiber>
  readonly #recent: Answered
  /** When somebody was last answered. */
  #last = Number.NEGATIVE_INFINITY
  /** Those who are waited for to act, once nothing more is read. */
  #acting: Acting | undefined
  #look: (() => void) | undefined

  /** Is told who waits for an answer, when that is of interest. */
  constructor(
    attempt: Pick<Status, "changes" | "isEstablished" | "users">,
    clock: Clock.Clock,
    asking: () => Iterable<AnyFiber>
  ) {
    this.#attempt = attempt
    this.#clock = clock
    this.#asking = asking
    this.#recent = new Answered(attempt)
  }

  readonly asks = (fiber: AnyFiber): void => {
    this.#acting?.asks(fiber)
    this.#look?.()
  }

  readonly answered = (fiber: AnyFiber): void => this.add(fiber, monotonic(this.#clock))

  add(fiber: AnyFiber | undefined, now: number): void {
    this.#last = now
    if (fiber !== undefined) this.#recent.add(fiber, now)
  }

  /**
   * Waits until those who were answered have acted on that: the attempt, or whoever uses the connection. But not for long, nor
   * for who asks again, as there will be no answer.
   */
  readonly acted: Effect.Effect<void> = Effect.suspend(() => {
    const now = monotonic(this.#clock)
    const left = this.#last + linger - now
    if (left <= 0) return Effect.void
    const acting = this.#recent.acting(this.#asking(), now)
    if (acting.isOver()) return Effect.void
    this.#acting = acting
    let forget: (() => void) | undefined
    const acted = Effect.async<void>((resume) => {
      const look = () => {
        if (acting.isOver()) resume(Effect.void)
      }
      this.#look = look
      forget = this.#attempt.changes?.subscribe(look)
      look()
    })
    return Effect.ensuring(
      firstOf(acted, deadline(left)),
      Effect.sync(() => forget?.())
    )
  })
}
