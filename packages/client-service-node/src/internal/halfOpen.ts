import type { ConnectionSignal } from "effect-client-service/Endpoint"

/** Holds back that the peer has ended its side, which is no loss while this side may still send. */
export class HalfOpen<E> implements ConnectionSignal<E> {
  readonly #signal: ConnectionSignal<E>
  #end: { readonly detail: string | undefined } | undefined
  #isClosed = false

  constructor(signal: ConnectionSignal<E>) {
    this.#signal = signal
  }

  /** The reader has come to the end, or had the time to. */
  readonly lost = (error?: E, detail?: string): void => {
    if (error !== undefined || this.#isClosed) this.#signal.lost(error, detail)
    else this.#end = { detail }
  }

  /** All is over, or has broken. */
  closed(error?: E): void {
    this.#isClosed = true
    if (this.#end !== undefined) this.#signal.lost(error, this.#end.detail)
  }
}
