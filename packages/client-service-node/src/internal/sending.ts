import type { Writable } from "node:stream"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { TransportError, Write } from "effect-client-service/Transport"
import { turn } from "./turn.js"

/** What the stream belongs to. */
export interface Owner {
  /** Whether it is of any use to write. */
  readonly isOpen: boolean
  /** Why it is not. */
  readonly refusal: (operation: "Read" | "Write") => TransportError
}

/** What waits for its turn to write. */
interface Queued {
  readonly write: () => void
  readonly refuse: (refusal: TransportError) => void
}

/**
 * The sending side of a transport, by a stream of Node.js. Writes go out in the order in which they began, and wait while
 * the buffer of the stream is full. It is told of what happens to the stream, and listens to nothing.
 */
export class Sending {
  private readonly queue = new Set<Queued>()

  constructor(
    private readonly stream: Writable,
    private readonly owner: Owner
  ) {}

  readonly write: Write = Object.assign(
    (chunk: Uint8Array | string) =>
      Effect.suspend(() => {
        if (this.isFree) return this.accept(chunk)
        return this.isWritable ? this.inTurn((resume) => resume(this.accept(chunk))) : this.refused
      }),
    { now: (chunk: Uint8Array | string) => this.isFree && Exit.isSuccess(this.accept(chunk)) }
  )

  get end(): Effect.Effect<void, TransportError> {
    return this.inTurn((resume) => {
      this.stream.end(() => {
        resume(this.stream.writableFinished ? Effect.void : this.owner.refusal("Write"))
      })
    })
  }

  /** Lets those who wait write, if there is room, or refuses them if the stream is not to be written any more. */
  settle(): void {
    for (const queued of this.queue) {
      const isWritable = this.isWritable
      if (isWritable && this.stream.writableNeedDrain) return
      this.queue.delete(queued)
      if (isWritable) queued.write()
      else queued.refuse(this.owner.refusal("Write"))
    }
  }

  private accept(chunk: Uint8Array | string): Exit.Exit<void> {
    try {
      // The caller may use the array again, and the stream keeps what the system does not take at once.
      this.stream.write(chunk instanceof Uint8Array ? Buffer.from(chunk) : chunk)
      return Exit.void
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  // What is queued is written by the event that makes room, for writes to keep their order.
  private inTurn(
    write: (resume: (effect: Effect.Effect<void, TransportError>) => void) => void
  ): Effect.Effect<void, TransportError> {
    return Effect.async((resume) => {
      const queued: Queued = { write: () => write(resume), refuse: resume }
      this.queue.add(queued)
      this.settle()
      return Effect.sync(() => {
        this.queue.delete(queued)
      })
    })
  }

  /** Whether nobody waits, nor needs to. */
  private get isFree(): boolean {
    return this.isWritable && this.queue.size === 0 && !this.stream.writableNeedDrain
  }

  private get isWritable(): boolean {
    return this.owner.isOpen && this.stream.writable
  }

  // A turn later: callers that try again without a pause would starve those who are to learn of the end.
  private get refused(): Effect.Effect<never, TransportError> {
    return Effect.flatMap(turn, () => this.owner.refusal("Write"))
  }
}
