import type * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import { AttemptStatus, type Status, type User } from "../connection/attemptStatus.js"
import { linger } from "../transports/receiveBuffer.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/**
 * The services of a fiber, under those of each that it comes from, and whose they are: that of the `use` it is part of is
 * among them, though it may have ended itself. It is shared with the fiber, and small.
 */
type Line = ReadonlyArray<readonly [FiberId.FiberId, Context.Context<never>]>

/** So many are remembered, beyond which those who were answered first are forgotten. */
const most = 1024

/** Who was answered of late. */
export class Answered {
  readonly #attempt: Pick<Status, "isEstablished" | "users">
  readonly #lines: Array<Line> = []
  readonly #times: Array<number> = []
  #last = -1
  #lastId: FiberId.FiberId | undefined
  /** Those of the attempt that have not ended. */
  readonly #fibers = new Set<AnyFiber>()

  constructor(attempt: Pick<Status, "isEstablished" | "users">) {
    this.#attempt = attempt
  }

  add(fiber: AnyFiber, now: number): void {
    if (!this.#attempt.isEstablished) {
      if (this.#fibers.has(fiber)) return
      this.#fibers.add(fiber)
      fiber.addObserver(() => this.#fibers.delete(fiber))
      return
    }
    if (!this.#isLast(fiber)) {
      this.#last = this.#last === most - 1 ? 0 : this.#last + 1
      this.#lines[this.#last] = lineOf(fiber)
      this.#lastId = fiber.id()
    }
    this.#times[this.#last] = now
  }

  // Most who ask again and again are one fiber, and to ask it for its line copies all that it keeps.
  #isLast(fiber: AnyFiber): boolean {
    const [own] = this.#lines[this.#last] ?? nobody
    return fiber.id() === this.#lastId && fiber.getFiberRef(FiberRef.currentContext) === own?.[1]
  }

  /** Who acts on an answer, of those who use the connection now, while others ask. */
  acting(askers: Iterable<AnyFiber>, now: number): Acting {
    if (!this.#attempt.isEstablished) return new AttemptActing(this.#attempt, this.#fibers, askers)
    const answered = this.#lines.filter((_, index) => (this.#times[index] ?? 0) + linger > now)
    return new UsersActing(this.#attempt, answered, askers)
  }
}

/** Those who act on an answer, of whom there will be no more. */
export interface Acting {
  /** Who asks has come to the end, as there will be no answer. */
  readonly asks: (fiber: AnyFiber) => void
  readonly isOver: () => boolean
}

class AttemptActing implements Acting {
  readonly #attempt: Pick<Status, "isEstablished">
  readonly #fibers: ReadonlySet<AnyFiber>
  readonly #asking: Set<AnyFiber>

  constructor(attempt: Pick<Status, "isEstablished">, fibers: ReadonlySet<AnyFiber>, askers: Iterable<AnyFiber>) {
    this.#attempt = attempt
    this.#fibers = fibers
    this.#asking = new Set(askers)
  }

  asks(fiber: AnyFiber): void {
    this.#asking.add(fiber)
  }

  isOver(): boolean {
    if (this.#attempt.isEstablished) return true
    // Of those who have ended, there may be others who act for them.
    if (this.#asking.size === 0) return false
    for (const fiber of this.#fibers) if (!this.#asking.has(fiber)) return false
    return true
  }
}

class UsersActing implements Acting {
  readonly #attempt: Pick<Status, "isEstablished">
  readonly #asking = new Set<FiberId.FiberId>()
  /** Those who were answered. */
  readonly #users: Array<User>
  /** Those who have no fiber, and may have been answered. */
  readonly #others: ReadonlyArray<User>
  /** How many ask who are part of no fiber's use. */
  #othersAsking = 0
  readonly #fiberIds: ReadonlySet<FiberId.FiberId | undefined>

  constructor(
    attempt: Pick<Status, "isEstablished" | "users">,
    answered: ReadonlyArray<Line>,
    askers: Iterable<AnyFiber>
  ) {
    this.#attempt = attempt
    const users = attempt.users()
    this.#fiberIds = new Set(users.map(({ fiberId }) => fiberId))
    const ids = new Set(answered.flatMap((line) => line.map(([id]) => id)))
    this.#users = users.filter(({ fiberId }) => fiberId !== undefined && ids.has(fiberId))
    this.#others = answered.some((line) => this.#isOthers(line))
      ? users.filter(({ fiberId }) => fiberId === undefined)
      : []
    for (const asker of askers) this.asks(asker)
  }

  asks(fiber: AnyFiber): void {
    const line = lineOf(fiber)
    for (const [id] of line) this.#asking.add(id)
    if (this.#isOthers(line)) this.#othersAsking += 1
  }

  isOver(): boolean {
    for (let user = this.#users.at(-1); user !== undefined; user = this.#users.at(-1)) {
      if (!user.isDone && (user.fiberId === undefined || !this.#asking.has(user.fiberId))) return false
      this.#users.pop()
    }
    return this.#others.filter(({ isDone }) => !isDone).length <= this.#othersAsking
  }

  // Neither part of the use of a fiber, nor a probe of the connection.
  #isOthers(line: Line): boolean {
    return !line.some(
      ([id, services]) => this.#fiberIds.has(id) || services.unsafeMap.get(AttemptStatus.key) === this.#attempt
    )
  }
}

const nobody: Line = []

const lineOf = (fiber: AnyFiber): Line => fiber.getFiberRefs().locals.get(FiberRef.currentContext) ?? nobody
