import { ClientClosedError, SocketClosedUnexpectedlyError } from "@redis/client"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Race from "effect-client-service/Race"
import * as Delays from "effect-client-service-driver/Delays"
import type { Opening, OwnClient, OwnClients } from "./ownClients.js"
import { ping } from "./ping.js"
import { silence } from "./socketSigns.js"

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
  readonly #delays = Delays.make()
  readonly #pauses = new WeakMap<Line, Deferred.Deferred<Duration.Duration>>()
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

  /** The connection of the moment is of use. */
  get began(): Effect.Effect<void> {
    return this.#delays.began
  }

  /** Waits until another is to be made in the place of one that is lost: all who had it as long, and one warning tells of it. */
  pause(line: Line, error: Error): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => {
      const known = this.#pauses.get(line)
      if (known !== undefined) return restore(Effect.flatMap(Deferred.await(known), Effect.sleep))
      const pause = Deferred.unsafeMake<Duration.Duration>(FiberId.none)
      this.#pauses.set(line, pause)
      // The others wait for it, be it that the logger of this one throws.
      const delay = Effect.onExit(this.#delays.next("subscriptions", error), (exit) =>
        Deferred.succeed(
          pause,
          Exit.getOrElse(exit, () => unknownPause)
        )
      )
      return Effect.flatMap(delay, (delay) => restore(Effect.sleep(delay)))
    })
  }

  /** Begins to look whether the connection answers within some time, if there is one. It loses itself if it does not. */
  probe(limit: Duration.DurationInput): Effect.Effect<unknown> {
    return Effect.suspend(() => this.#line?.probe(limit) ?? Effect.void)
  }
}

const unknownPause = Duration.seconds(1)

/** Whatever it is lost for once it was begun, the next one may do. */
class LineLost extends ClientClosedError {
  constructor(cause: unknown) {
    super()
    this.cause = cause
    if (cause instanceof Error) this.message = cause.message
  }
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
  readonly #destroy: () => void
  readonly #patience: NodeJS.Timeout
  /** Who is told of the loss. */
  readonly #told = new Set<(error: unknown) => void>()
  #loss: { readonly error: unknown } | undefined
  #own: OwnClient | undefined
  #isProbed = false

  constructor({ client, destroy }: Opening, linger: Duration.Duration) {
    this.#opened = client
    this.#linger = Duration.toMillis(linger)
    this.#destroy = destroy
    const giveUp = () => this.#lose(new LineLost(new Error(`no connection for subscriptions within ${patience} ms`)))
    this.#patience = setTimeout(giveUp, patience)
    this.#patience.unref()
    const lost = (error: unknown) => this.#lose(new LineLost(error))
    client.then(
      (own) => {
        clearTimeout(this.#patience)
        // It may be lost already, by its patience.
        if (this.isLost) return
        this.#own = own
        own.onLost(lost)
        if (!own.isOpen()) lost(new SocketClosedUnexpectedlyError())
      },
      (error) => this.#lose(error)
    )
  }

  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /**
   * Tells once why it is lost, or what it is refused with: at once if it is already. Gives what has it not tell any more, so that
   * whoever leaves leaves nothing behind.
   */
  onLost(f: (error: unknown) => void): () => void {
    if (this.#loss === undefined) this.#told.add(f)
    else f(this.#loss.error)
    return () => void this.#told.delete(f)
  }

  add(kind: Kind, name: string, listener: Listener): Subscribed {
    const subscriptions = this.#byName[kind]
    const subscription = subscriptions.get(name) ?? this.#begin(kind, name)
    subscription.listeners.add(listener)
    return {
      confirmed: subscription.confirmed,
      remove: async () => {
        subscription.listeners.delete(listener)
        if (this.isLost || subscription.listeners.size > 0 || subscriptions.get(name) !== subscription) return
        subscriptions.delete(name)
        await this.#answered(
          this.#opened.then(({ owner }) => owner[opposites[kind]](name, subscription.dispatch, true))
        )
      }
    }
  }

  // Beside what else has a heartbeat, which is not to wait for it. Whatever comes will do for an answer, which is after all of that.
  probe(limit: Duration.DurationInput): Effect.Effect<unknown> {
    const own = this.#own
    if (own === undefined || this.#isProbed) return Effect.void
    const { client, lastHeard } = own
    this.#isProbed = true
    const answered = Effect.promise(() => ping(client.asap(), /^$/).catch(() => {}))
    return Race.firstOf(
      answered,
      Effect.map(silence(Duration.decode(limit), lastHeard), () =>
        this.#lose(new LineLost(new Error("no answer to a heartbeat")))
      )
    ).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          this.#isProbed = false
        })
      ),
      Effect.forkDaemon
    )
  }

  #lose(error: unknown): void {
    if (this.isLost) return
    clearTimeout(this.#patience)
    this.#loss = { error }
    this.#own = undefined
    this.#destroy()
    for (const f of this.#told) f(error)
    this.#told.clear()
  }

  #answered(answer: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#told.delete(done)
        resolve()
      }
      const timer = setTimeout(done, this.#linger)
      this.#told.add(done)
      answer.then(done, done)
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
