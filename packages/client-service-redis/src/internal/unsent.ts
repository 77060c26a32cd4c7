import type { RedisClientType } from "@redis/client"

type Listener = Parameters<AbortSignal["addEventListener"]>[1]

/**
 * Tells the client to take back what it has not sent yet.
 *
 * It is as much of an `AbortSignal` as the client looks at. A real one costs more than all else of a call, and few calls are
 * ever taken back.
 */
export class Unsent implements AbortSignal {
  aborted = false
  reason: unknown
  readonly onabort = null
  // Of a call that is one command, as most are, there is one.
  #listener: Listener | undefined
  #others: Set<Listener> | undefined

  abort(): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = new Error("the caller has left")
    this.dispatchEvent(new Event("abort"))
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  addEventListener(_type: string, listener: Listener): void {
    if (this.#listener === undefined) this.#listener = listener
    else {
      this.#others ??= new Set()
      this.#others.add(listener)
    }
  }

  removeEventListener(_type: string, listener: Listener): void {
    if (this.#listener === listener) this.#listener = undefined
    else this.#others?.delete(listener)
  }

  dispatchEvent(event: Event): boolean {
    for (const listener of [this.#listener, ...(this.#others ?? [])]) {
      if (typeof listener === "function") listener.call(this, event)
      else listener?.handleEvent(event)
    }
    return true
  }
}

/** Tells the client so when either of two does. */
export class EitherSignal implements AbortSignal {
  readonly onabort = null

  constructor(
    readonly first: AbortSignal,
    readonly second: AbortSignal
  ) {}

  get aborted(): boolean {
    return this.first.aborted || this.second.aborted
  }

  get reason(): unknown {
    return this.first.aborted ? this.first.reason : this.second.reason
  }

  throwIfAborted(): void {
    this.first.throwIfAborted()
    this.second.throwIfAborted()
  }

  // With each, so that nothing is left with a signal that outlives the other.
  addEventListener(type: string, listener: Listener): void {
    this.first.addEventListener(type, listener)
    this.second.addEventListener(type, listener)
  }

  removeEventListener(type: string, listener: Listener): void {
    this.first.removeEventListener(type, listener)
    this.second.removeEventListener(type, listener)
  }

  dispatchEvent(): boolean {
    return true
  }
}

/** The same for commands of which all are taken back or none, since the server would wait for the rest. */
export class UnsentChain extends Unsent {
  #isSent = false

  override abort(): void {
    if (!this.#isSent) super.abort()
  }

  // The client looks at no command any longer that it sends.
  override removeEventListener(type: string, listener: Listener): void {
    this.#isSent = true
    super.removeEventListener(type, listener)
  }
}

/**
 * A client whose options have all the keys that those of a call have. The client lays the options of a call over its own, and to
 * copy a key costs much less than to add one.
 */
export const withAllOptions = (client: RedisClientType): RedisClientType => client.withAbortSignal(new Unsent())
