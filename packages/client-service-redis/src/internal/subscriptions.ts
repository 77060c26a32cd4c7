import type { Owner } from "./owner.js"

export type Listener = (message: Buffer, channel: Buffer) => void

/** The commands that subscribe to what is named in full, by a pattern, or in a shard. */
export type Kind = "subscribe" | "pSubscribe" | "sSubscribe"

export interface Subscribed {
  /** Resolves when the server has confirmed it. */
  readonly confirmed: Promise<void>
  readonly remove: () => void
}

interface Subscription {
  readonly listeners: Set<Listener>
  readonly confirmed: Promise<void>
  readonly dispatch: Listener
}

const opposites = { subscribe: "unsubscribe", pSubscribe: "pUnsubscribe", sSubscribe: "sUnsubscribe" } as const

/**
 * The subscriptions of one connection, however many listeners each has.
 *
 * The client counts listeners too, but only those that are confirmed, so that one that leaves while another comes could
 * end the subscription of both. It is given one listener for each name instead.
 */
export class Subscriptions {
  readonly #owner: Owner
  readonly #byName = {
    subscribe: new Map<string, Subscription>(),
    pSubscribe: new Map<string, Subscription>(),
    sSubscribe: new Map<string, Subscription>()
  }

  constructor(owner: Owner) {
    this.#owner = owner
  }

  add(kind: Kind, name: string, listener: Listener): Subscribed {
    const subscriptions = this.#byName[kind]
    const subscription = subscriptions.get(name) ?? this.#begin(kind, name)
    subscription.listeners.add(listener)
    return {
      confirmed: subscription.confirmed,
      remove: () => {
        subscription.listeners.delete(listener)
        if (subscription.listeners.size > 0 || subscriptions.get(name) !== subscription) return
        subscriptions.delete(name)
        this.#owner[opposites[kind]](name, subscription.dispatch, true).catch(() => {})
      }
    }
  }

  #begin(kind: Kind, name: string): Subscription {
    const listeners = new Set<Listener>()
    const dispatch: Listener = (message, channel) => {
      for (const listener of listeners) listener(message, channel)
    }
    const subscription = { listeners, dispatch, confirmed: this.#owner[kind](name, dispatch, true) }
    this.#byName[kind].set(name, subscription)
    // Whoever waits is told; all may have left.
    subscription.confirmed.catch(() => {})
    return subscription
  }
}
