import type { ConnectionState } from "../../ConnectionState.js"
import type { Phase } from "../connection/phase.js"
import type { Instruments } from "./instruments.js"

type Inner = Instruments | undefined

/**
 * Counts what those who look at a list want to know of a service, and passes all on to what measures the service, if anything
 * does.
 */
export class Tally implements Instruments {
  readonly #inner: Inner
  readonly received: Instruments["received"]
  waiters = 0
  uses = 0
  gaps = 0

  constructor(inner: Inner) {
    this.#inner = inner
    this.received = inner?.received
  }

  now(): number {
    return this.#inner?.now() ?? 0
  }

  entered(state: ConnectionState<unknown, unknown> | undefined): void {
    this.#inner?.entered(state)
  }

  changed(before: Phase<unknown, unknown>, after: Phase<unknown, unknown>): void {
    this.#inner?.changed(before, after)
  }

  waiting(more: number): void {
    this.waiters += more
    this.#inner?.waiting(more)
  }

  waited(since: number): void {
    this.#inner?.waited(since)
  }

  waitFailed(...args: Parameters<Instruments["waitFailed"]>): void {
    this.#inner?.waitFailed(...args)
  }

  useBegan(): number {
    this.uses += 1
    return this.#inner?.useBegan() ?? 0
  }

  useEnded(since: number): void {
    this.uses -= 1
    this.#inner?.useEnded(since)
  }

  probed(since: number): void {
    this.#inner?.probed(since)
  }

  gap(): void {
    this.gaps += 1
    this.#inner?.gap()
  }
}
