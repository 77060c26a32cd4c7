import * as Channel from "effect/Channel"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { wait } from "../time/wait.js"

/** A connection is not begun on while more elements than this, of those that were lost, wait for a consumer that is slow. */
const most = 14

type Element<A, E> = Exit.Exit<Chunk.Chunk<A>, E>

type Read<A, E> = Channel.Channel<Chunk.Chunk<A>, unknown, E, unknown, void>

/**
 * Hands the chunks of a producer over to the consumer of a stream, in another fiber. It is no queue, which hands an element to a
 * taker that waits, and that loses it if it is interrupted then.
 */
export class HandOver<A, E> {
  readonly #elements: Array<Element<A, E>> = []
  /** Whether the consumer has asked for more than there is. */
  #isWanted = false
  #isOver = false
  #wakeProducer: (() => void) | undefined
  #wakeConsumer: (() => void) | undefined

  readonly stream: Stream.Stream<A, E> = Stream.fromChannel(Channel.suspend(() => this.#read()))

  /** Waits until there is room for a gap and for what comes first after it, which would be lost with the connection otherwise. */
  readonly room: Effect.Effect<void> = this.#until(() => this.#elements.length <= most)

  add(element: Element<A, E>): void {
    // In this step, since whoever asks in between would be taken to ask for more.
    this.#isWanted = false
    this.#elements.push(element)
    this.#wakeConsumer?.()
  }

  /** Adds a chunk, and waits until more is asked for: what a consumer leaves is for the next. */
  give(chunk: Chunk.Chunk<A>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.add(Exit.succeed(chunk))
      return this.#wanted
    })
  }

  /** Nobody adds any more. Who waits is interrupted. */
  readonly end: Effect.Effect<void> = Effect.sync(() => {
    this.#isOver = true
    this.#wakeConsumer?.()
  })

  readonly #wanted = this.#until(() => this.#isWanted)

  #until(holds: () => boolean): Effect.Effect<void> {
    return wait((resume) => {
      if (holds()) resume(Effect.void)
      else {
        this.#wakeProducer = () => {
          if (holds()) resume(Effect.void)
        }
      }
      return undefined
    })
  }

  // An element is taken by the fiber that reads, and not by what wakes it: an interruption in between loses none.
  readonly #read = (): Read<A, E> => {
    const element = this.#elements.shift()
    if (element === undefined) {
      return this.#isOver
        ? Channel.fromEffect(Effect.interrupt)
        : Channel.flatMap(Channel.fromEffect(this.#more), this.#read)
    }
    this.#wakeProducer?.()
    return Exit.isSuccess(element)
      ? Channel.flatMap(Channel.write(element.value), this.#read)
      : Channel.failCause(element.cause)
  }

  readonly #more: Effect.Effect<void> = wait((resume) => {
    this.#wakeConsumer = () => {
      this.#wakeConsumer = undefined
      resume(Effect.void)
    }
    if (this.#elements.length > 0 || this.#isOver) this.#wakeConsumer()
    else {
      this.#isWanted = true
      this.#wakeProducer?.()
    }
    return undefined
  })
}
