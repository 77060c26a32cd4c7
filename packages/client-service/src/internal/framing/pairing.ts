import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { FrameError } from "../../FrameError.js"
import type { TransportError } from "../../Transport.js"
import type { Encoded } from "./link.js"

export type Resume<A> = (effect: Effect.Effect<A, FrameError | TransportError>) => void

/** A request under way. */
export class Call<in out In> {
  readonly resume: Resume<In>
  /** Who asks. */
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
  encoded: Encoded = ""
  /** Whether the peer may know of it. */
  isSent = false
  hasLeft = false
  /** Of calls in order, those beside it, and how many sent after it have left. */
  previous: Call<In> | undefined
  next: Call<In> | undefined
  skipped = 0
  /** Of calls by id. */
  id = 0

  constructor(resume: Resume<In>, fiber?: Fiber.RuntimeFiber<unknown, unknown>) {
    this.resume = resume
    this.fiber = fiber
  }
}

/** Tells which call a message answers. */
export interface Pairing<in out In, out Out, in Request> {
  /** How many calls wait for their answer. */
  readonly size: number
  /** Adds a call, which is sent after those before it, and gives its message. */
  readonly add: (call: Call<In>, request: Request) => Out
  /** Takes away a call whose caller does not wait any more. */
  readonly leave: (call: Call<In>) => void
  /**
   * Takes away the call that a message answers. Gives `true` if it is an event, and nothing if whoever asked has left. Throws
   * a `FrameError` if nobody has asked.
   */
  readonly answered: (message: In) => Call<In> | true | undefined
  /** The fibers of the calls that wait for their answer. */
  readonly askers: () => Iterable<Fiber.RuntimeFiber<unknown, unknown>>
  /** Takes all calls away. */
  readonly clear: () => ReadonlyArray<Call<In>>
}

/** Linked, so that a caller leaves in constant time; and one that has left is no more than a number. */
export class InOrder<in out In, in out Out> implements Pairing<In, Out, Out> {
  readonly #isEvent: ((message: In) => boolean) | undefined
  /** What comes before the first call. Its `next` is the first, and its `previous` the last. */
  readonly #root = new Call<In>(() => {})
  size = 0

  constructor(isEvent: ((message: In) => boolean) | undefined) {
    this.#isEvent = isEvent
  }

  add(call: Call<In>, request: Out): Out {
    const last = this.#root.previous ?? this.#root
    last.next = call
    call.previous = last
    this.#root.previous = call
    this.size += 1
    return request
  }

  leave(call: Call<In>): void {
    const { next, previous, skipped } = call
    if (previous === undefined) return
    previous.skipped += skipped + (call.isSent ? 1 : 0)
    previous.next = next
    if (next !== undefined) next.previous = previous
    else this.#root.previous = previous === this.#root ? undefined : previous
    call.previous = undefined
    call.next = undefined
    this.size -= 1
  }

  answered(message: In): Call<In> | true | undefined {
    if (this.#isEvent?.(message) === true) return true
    const root = this.#root
    if (root.skipped > 0) {
      root.skipped -= 1
      return undefined
    }
    const call = root.next
    if (call === undefined || !call.isSent) throw new FrameError({ reason: "Unasked" })
    // It has not left, but was answered.
    root.skipped -= 1
    this.leave(call)
    return call
  }

  askers(): Iterable<Fiber.RuntimeFiber<unknown, unknown>> {
    const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
    for (let call = this.#root.next; call !== undefined; call = call.next) {
      if (call.fiber !== undefined) fibers.push(call.fiber)
    }
    return fibers
  }

  clear(): ReadonlyArray<Call<In>> {
    const calls: Array<Call<In>> = []
    for (let call = this.#root.next; call !== undefined; call = this.#root.next) {
      calls.push(call)
      this.leave(call)
    }
    return calls
  }
}

/**
 * An id is in use until its answer has come, whether or not its caller waits for it: a late answer would be taken for that of
 * the next who has it.
 */
export class ById<in out In, in out Out, in out Request> implements Pairing<In, Out, Request> {
  readonly #request: (id: number, request: Request) => Out
  readonly #idOf: (message: In) => number | undefined
  readonly #maxId: number
  readonly #calls = new Map<number, Call<In>>()
  /** The ids of callers who have left without their answer. */
  readonly #left = new Set<number>()
  #last = 0
  /** The highest that was given away. */
  #highest = 0

  constructor(
    request: (id: number, request: Request) => Out,
    idOf: (message: In) => number | undefined,
    maxId: number
  ) {
    this.#request = request
    this.#idOf = idOf
    this.#maxId = maxId
  }

  get size(): number {
    return this.#calls.size
  }

  add(call: Call<In>, request: Request): Out {
    if (this.#calls.size + this.#left.size >= Math.min(this.#maxId, most)) {
      throw new FrameError({ reason: "Unencodable", cause: new Error(`all ${this.#maxId} ids are in use`) })
    }
    do this.#last = this.#last === this.#maxId ? 1 : this.#last + 1
    while (this.#calls.has(this.#last) || this.#left.has(this.#last))
    call.id = this.#last
    this.#highest = Math.max(this.#highest, call.id)
    const message = this.#request(call.id, request)
    this.#calls.set(call.id, call)
    return message
  }

  leave(call: Call<In>): void {
    if (this.#calls.get(call.id) !== call) return
    this.#calls.delete(call.id)
    if (call.isSent) this.#left.add(call.id)
  }

  answered(message: In): Call<In> | true | undefined {
    const id = this.#idOf(message)
    if (id === undefined) return true
    const call = this.#calls.get(id)
    if (call === undefined ? !(Number.isInteger(id) && id > 0 && id <= this.#highest) : !call.isSent) {
      throw new FrameError({ reason: "Unasked" })
    }
    this.#calls.delete(id)
    this.#left.delete(id)
    return call
  }

  askers(): Iterable<Fiber.RuntimeFiber<unknown, unknown>> {
    const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
    for (const { fiber } of this.#calls.values()) if (fiber !== undefined) fibers.push(fiber)
    return fibers
  }

  clear(): ReadonlyArray<Call<In>> {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    this.#left.clear()
    return calls
  }
}

/** More ids than anybody has under way, and half of what a Set holds. */
const most = 2 ** 23
