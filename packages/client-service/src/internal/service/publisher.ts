import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ConnectionState } from "../../ConnectionState.js"
import { type Entry, isLogged, type Journal } from "../telemetry/journal.js"
import type { Current } from "./current.js"

/**
 * Lets the world know of the transitions, in order and one at a time: in the log, to those who watch the states, and in the
 * `SubscriptionRef` of the current protocol.
 */
export class Publisher<P, E> {
  readonly #state: () => ConnectionState<P, E>
  readonly #current: Current<P, E>
  readonly #journal: Journal
  #unpublished: Array<{ readonly state: ConnectionState<P, E> | undefined; readonly entry: Entry }> = []
  #isPublishing = false
  /** Nothing in it is the end. */
  #states: SubscriptionRef.SubscriptionRef<ConnectionState<P, E> | undefined> | undefined
  #isOver = false
  #isEnded = false

  constructor(state: () => ConnectionState<P, E>, current: Current<P, E>, journal: Journal) {
    this.#state = state
    this.#current = current
    this.#journal = journal
  }

  add(state: ConnectionState<P, E> | undefined, entry: Entry): void {
    this.#unpublished.push({ state, entry })
  }

  /** The present state and those that follow, until the service is shut down. */
  get states(): Stream.Stream<ConnectionState<P, E>> {
    return this.#changes(this.#state, this.#watched)
  }

  /** The present protocol and those that follow, likewise. */
  get protocols(): Stream.Stream<Option.Option<P>> {
    return this.#changes(Option.none<P>, Effect.succeed(this.#current.ref))
  }

  /** Has those who watch come to the end, once all that was before is published. */
  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isOver = true
      return this.publish
    })
  }

  // Who comes to watch when it is over gets the last, and so does who was held up until it was.
  #changes<A>(last: () => A, ref: Effect.Effect<SubscriptionRef.SubscriptionRef<A | undefined>>): Stream.Stream<A> {
    const changes = Stream.unwrap(Effect.map(ref, ({ changes }) => (this.#isOver ? Stream.empty : changes)))
    return Stream.orElseIfEmpty(
      Stream.takeWhile(changes, (a): a is A => a !== undefined),
      last
    )
  }

  // Most services have nobody who watches them, so it is made for the first who does.
  get #watched(): Effect.Effect<SubscriptionRef.SubscriptionRef<ConnectionState<P, E> | undefined>> {
    return Effect.suspend(() => {
      if (this.#states !== undefined) return Effect.succeed(this.#states)
      const state = this.#state()
      return Effect.flatMap(SubscriptionRef.make<ConnectionState<P, E> | undefined>(state), (made) => {
        if (this.#states !== undefined || this.#state() !== state) return this.#watched
        // It begins with the present state, and those before are not to follow it.
        this.#unpublished = this.#unpublished.map(({ entry }) => ({ state: undefined, entry }))
        this.#states = made
        return Effect.succeed(made)
      })
    })
  }

  /** Publishes what there is. Whoever comes while another fiber does so leaves it to that one. */
  get publish(): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.withFiberRuntime((fiber) => this.#publish(fiber)))
  }

  #publish(fiber: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<void> {
    if (this.#isPublishing) return Effect.void
    const isWanted = this.#states !== undefined || this.#unpublished.some(({ entry }) => isLogged(fiber, entry))
    if (!isWanted) this.#unpublished = []
    const next = this.#next()
    if (next === undefined) return Effect.void
    this.#isPublishing = true
    return this.#continue(next)
  }

  #continue(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.flatMap(effect, () => {
      const next = this.#next()
      if (next !== undefined) return this.#continue(next)
      // In the step that found nothing more: whoever has something from now on publishes it.
      this.#isPublishing = false
      return Effect.void
    })
  }

  #next(): Effect.Effect<void> | undefined {
    const current = this.#current.publish
    if (current !== undefined) return current
    const next = this.#unpublished.shift()
    if (next === undefined) {
      if (!this.#isOver || this.#isEnded) return undefined
      this.#isEnded = true
      const ended = SubscriptionRef.set(this.#current.ref, undefined)
      return this.#states === undefined ? ended : Effect.zipRight(ended, SubscriptionRef.set(this.#states, undefined))
    }
    const written = this.#journal.write(next.entry)
    if (this.#states === undefined || next.state === undefined) return written
    return Effect.zipRight(SubscriptionRef.set(this.#states, next.state), written)
  }
}
