import type { ConnectionSignal } from "effect-client-service/Endpoint"

/** Holds back that the peer has ended its side, which is no loss while this side may still send. */
export class HalfOpen<E> implements ConnectionSignal<E> {
  readonly #signal: ConnectionSignal<E>
  #end: { readonly detail: string | undefined } | undefined
  #closed: { readonly error: E | undefined } | undefined

  constructor(signal: ConnectionSignal<E>) {
    this.#signal = signal
  }

  /** The reader has come to the end, or had the time to. */
  readonly lost = (error = this.#closed?.error, detail?: string): void => {
    if (error !== undefined || this.#closed !== undefined) this.#signal.lost(error, detail)
    else this.#end = { detail }
  }

  /** All is over, or has broken, of which the reader may have yet to come to the end. The first tells why. */
  closed(error?: E): void {
    this.#closed ??= { error }
    if (this.#end !== undefined) this.#signal.lost(this.#closed.error, this.#end.detail)
  }
}
