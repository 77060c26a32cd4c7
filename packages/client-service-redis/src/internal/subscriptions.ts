import { SocketClosedUnexpectedlyError } from "@redis/client"
import * as Duration from "effect/Duration"
import type { Opening, OwnClient, OwnClients } from "./ownClients.js"
import { ping } from "./ping.js"

export type Listener = (message: Buffer, channel: Buffer) => void

/** The commands that subscribe to what is named in full, by a pattern, or in a shard. */
export type Kind = "subscribe" | "pSubscribe" | "sSubscribe"

export interface Subscribed {
  /** Resolves when the server has confirmed it. */
  readonly confirmed: Promise<void>
  /** Resolves when the server knows, or is not there to be told, but not later than the `linger` of the connection. */
  readonly remove: () => Promise<void>
}

interface Subscription {
  readonly listeners: Set<Listener>
  readonly confirmed: Promise<void>
  readonly dispatch: Listener
}

const opposites = { subscribe: "unsubscribe", pSubscribe: "pUnsubscribe", sSubscribe: "sUnsubscribe" } as const

/**
 * The subscriptions beside one connection, which have another for themselves: a server closes one that has subscribed when so
 * much waits for it as it keeps back from others without harm, be it messages or the reply to a command.
 */
export class Subscriptions {
  readonly #own: OwnClients
  readonly #linger: Duration.Duration
  #line: Line | undefined

  constructor(own: OwnClients, linger: Duration.Duration) {
    this.#own = own
    this.#linger = linger
  }

  /** The connection of the moment, or a new one. */
  get line(): Line {
    if (this.#line === undefined || this.#line.isLost) this.#line = new Line(this.#own.open(), this.#linger)
    return this.#line
  }

  /** Resolves when the connection has answered, or when there is none. */
  readonly probe = (): Promise<void> => this.#line?.probe() ?? Promise.resolve()
}

/** How long it may take to be connected, in milliseconds. */
const patience = 30_000

/**
 * The subscriptions of one connection, however many listeners each has.
 *
 * The client counts listeners too, but only those that are confirmed, so that one that leaves while another comes could
 * end the subscription of both. It is given one listener for each name instead.
 */
export class Line {
  readonly #opened: Promise<OwnClient>
  readonly #linger: number
  readonly #byName = {
    subscribe: new Map<string, Subscription>(),
    pSubscribe: new Map<string, Subscription>(),
    sSubscribe: new Map<string, Subscription>()
  }
  #client: OwnClient["client"] | undefined
  #isLost = false
  /** Resolves with why it is lost, or can't be had. */
  readonly lost: Promise<unknown>

  constructor({ client, destroy }: Opening, linger: Duration.Duration) {
    this.#opened = client
    this.#linger = Duration.toMillis(linger)
    this.lost = new Promise((resolve) => {
      const lose = (error: unknown): void => {
        clearTimeout(timer)
        this.#isLost = true
        this.#client = undefined
        destroy()
        resolve(error)
      }
      const timer = setTimeout(() => lose(new Error(`no connection for subscriptions within ${patience} ms`)), patience)
      timer.unref()
      client.then((own) => {
        clearTimeout(timer)
        this.#client = own.client
        own.onLost(lose)
        if (!own.isOpen()) lose(new SocketClosedUnexpectedlyError())
      }, lose)
    })
  }

  get isLost(): boolean {
    return this.#isLost
  }

  add(kind: Kind, name: string, listener: Listener): Subscribed {
    const subscriptions = this.#byName[kind]
    const subscription = subscriptions.get(name) ?? this.#begin(kind, name)
    subscription.listeners.add(listener)
    return {
      confirmed: subscription.confirmed,
      remove: async () => {
        subscription.listeners.delete(listener)
        if (this.#isLost || subscription.listeners.size > 0 || subscriptions.get(name) !== subscription) return
        subscriptions.delete(name)
        await this.#told(this.#opened.then(({ owner }) => owner[opposites[kind]](name, subscription.dispatch, true)))
      }
    }
  }

  // One that is lost meanwhile has that known by itself.
  probe(): Promise<void> {
    return this.#client === undefined ? Promise.resolve() : ping(this.#client.asap(), /^$/).catch(() => {})
  }

  #told(answered: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#linger)
      const done = () => {
        clearTimeout(timer)
        resolve()
      }
      answered.then(done, done)
      void this.lost.then(done)
    })
  }

  #begin(kind: Kind, name: string): Subscription {
    const listeners = new Set<Listener>()
    const dispatch: Listener = (message, channel) => {
      for (const listener of listeners) listener(message, channel)
    }
    const confirmed = this.#opened.then(({ owner }) => owner[kind](name, dispatch, true))
    const subscription = { listeners, dispatch, confirmed }
    this.#byName[kind].set(name, subscription)
    // Whoever waits is told; all may have left.
    subscription.confirmed.catch(() => {})
    return subscription
  }
}
