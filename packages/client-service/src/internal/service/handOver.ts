import * as Channel from "effect/Channel"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { wait } from "../time/wait.js"

/** How many elements wait for a consumer that is slow. */
const capacity = 16

type Read<A, E> = Channel.Channel<Chunk.Chunk<A>, unknown, E, unknown, void>

/**
 * Hands the chunks of a producer over to the consumer of a stream, in another fiber. No more is taken of the producer than is
 * asked for: what a consumer leaves is for the next.
 */
export class HandOver<A, E> {
  readonly #elements: Array<Exit.Exit<Chunk.Chunk<A>, E>> = []
  /** Whether the consumer has asked for more than there is. */
  #isWanted = false
  /** Has the producer look again. */
  #produce: (() => void) | undefined
  /** Has the consumer look again. */
  #consume: (() => void) | undefined

  readonly stream: Stream.Stream<A, E> = Stream.fromChannel(Channel.suspend(() => this.#read()))

  /** Waits until there is room for an element. */
  readonly give = (element: Exit.Exit<Chunk.Chunk<A>, E>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (this.#elements.length < capacity) {
        this.#add(element)
        return Effect.void
      }
      return Effect.zipRight(
        this.#until(() => this.#elements.length < capacity),
        this.give(element)
      )
    })

  /** Waits until more is asked for as well. */
  readonly giveWanted = (element: Exit.Exit<Chunk.Chunk<A>, E>): Effect.Effect<void> =>
    Effect.zipRight(this.give(element), this.#wanted)

  #add(element: Exit.Exit<Chunk.Chunk<A>, E>): void {
    // In this step, since whoever asks in between would be taken to ask for more.
    this.#isWanted = false
    this.#elements.push(element)
    this.#consume?.()
  }

  readonly #wanted = this.#until(() => this.#isWanted)

  #until(holds: () => boolean): Effect.Effect<void> {
    return wait((resume) => {
      if (holds()) {
        resume(Effect.void)
        return undefined
      }
      this.#produce = () => {
        if (holds()) resume(Effect.void)
      }
      return undefined
    })
  }

  // An element is taken by the fiber that reads, and not by what wakes it: an interruption in between loses none.
  readonly #read = (): Read<A, E> => {
    const element = this.#elements.shift()
    if (element === undefined) return Channel.flatMap(Channel.fromEffect(this.#more), this.#read)
    this.#produce?.()
    return Exit.isSuccess(element)
      ? Channel.flatMap(Channel.write(element.value), this.#read)
      : Channel.failCause(element.cause)
  }

  readonly #more: Effect.Effect<void> = wait((resume) => {
    this.#consume = () => {
      this.#consume = undefined
      resume(Effect.void)
    }
    if (this.#elements.length > 0) this.#consume()
    else {
      this.#isWanted = true
      this.#produce?.()
    }
    return undefined
  })
}
