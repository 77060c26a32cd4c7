import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { FrameError } from "../../FrameError.js"
import { TransportError } from "../../Transport.js"
import { firstOf } from "../time/firstOf.js"
import { monotonic } from "../time/monotonic.js"
import { deadline } from "../time/turn.js"
import { wait } from "../time/wait.js"
import { linger } from "../transports/receiveBuffer.js"

type Failure = FrameError | TransportError
type Read<A> = Channel.Channel<Chunk.Chunk<A>, unknown, Failure, unknown, void>

/** What an event takes besides its bytes. */
const overhead = 512

/** Events that wait for their reader. */
export class Events<in out A> {
  readonly capacity: number
  readonly #clock: Clock.Clock
  /** Is told when one is taken. */
  readonly #taken: () => void
  /** What has come since the reader had taken all, in order. */
  #arrived: Array<readonly [event: A, weight: number]> = []
  /** What the reader takes from, the first at the end. */
  #left: Array<readonly [event: A, weight: number]> = []
  #bytes = 0
  #isRead = false
  #end: { readonly error: Failure | undefined } | undefined
  #wake: (() => void) | undefined
  /** When the reader was last heard of, or began to be waited for. */
  #since = Number.NEGATIVE_INFINITY
  /** Whether the reader has come to the end. */
  #isReadOut = false
  #onReadOut: (() => void) | undefined

  constructor(capacity: number, clock: Clock.Clock, taken: () => void) {
    this.capacity = capacity
    this.#clock = clock
    this.#taken = taken
  }

  get isFull(): boolean {
    return this.#bytes >= this.capacity
  }

  /** Whether there is so much room that reading goes on. */
  get hasRoom(): boolean {
    return this.#bytes <= this.capacity / 2
  }

  add(event: A, bytes: number): void {
    const weight = bytes + overhead
    this.#arrived.push([event, weight])
    this.#bytes += weight
    this.#wake?.()
  }

  /** Nothing more comes. The first end counts. */
  end(error: Failure | undefined): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    if (this.#isRead || this.#bytes > 0) this.#since = monotonic(this.#clock)
    this.#wake?.()
  }

  /** Waits until the reader has come to the end, or has not come back for too long. */
  get readOut(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = this.#isReadOut ? 0 : this.#since + linger - monotonic(this.#clock)
      if (left <= 0) return Effect.void
      const reached = Effect.async<void>((resume) => {
        this.#onReadOut = () => resume(Effect.void)
        if (this.#isReadOut) resume(Effect.void)
      })
      return Effect.zipRight(firstOf(reached, deadline(left)), this.readOut)
    })
  }

  get stream(): Stream.Stream<A, Failure> {
    return Stream.fromChannel(
      Channel.suspend((): Read<A> => {
        if (this.#isRead) return Channel.fail(new TransportError({ reason: "Busy" }))
        this.#isRead = true
        return Channel.ensuring(
          this.#read(),
          Effect.sync(() => {
            this.#isRead = false
          })
        )
      })
    )
  }

  // One at a time, since a consumer that stops within several would lose the rest.
  readonly #read = (): Read<A> => {
    if (this.#left.length === 0) {
      this.#left = this.#arrived.reverse()
      this.#arrived = []
    }
    const first = this.#left.pop()
    if (first !== undefined) {
      this.#bytes -= first[1]
      this.#since = monotonic(this.#clock)
      this.#taken()
      return Channel.flatMap(Channel.write(Chunk.of(first[0])), this.#read)
    }
    if (this.#end === undefined) return Channel.flatMap(Channel.fromEffect(this.#arrival), this.#read)
    this.#isReadOut = true
    this.#onReadOut?.()
    return this.#end.error === undefined ? Channel.void : Channel.fail(this.#end.error)
  }

  get #arrival(): Effect.Effect<void> {
    return wait((resume) => {
      if (this.#arrived.length > 0 || this.#end !== undefined) {
        resume(Effect.void)
        return undefined
      }
      const wake = () => {
        this.#wake = undefined
        resume(Effect.void)
      }
      this.#wake = wake
      return {
        cancel: Effect.sync(() => {
          if (this.#wake === wake) this.#wake = undefined
        })
      }
    })
  }
}
