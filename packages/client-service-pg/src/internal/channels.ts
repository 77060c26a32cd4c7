import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Delays from "effect-client-service-driver/Delays"
import type * as Gaps from "effect-client-service-driver/Gaps"
import { type Client, escapeIdentifier } from "pg"
import type { PgConnection } from "../PgConnection.js"
import { PgError } from "../PgError.js"
import { Notification } from "../PgEvent.js"
import { look } from "./sessionState.js"

/** What a listener is told. */
export type PgEvent = Notification | Gap

/**
 * Something may have been missed here, or, if `Started`, before. The server tells of all that is sent after it.
 */
export class Gap extends Data.TaggedClass("Gap")<{ readonly reason: "Started" | Gaps.Reason }> {}

/** Somebody who listens to a channel, on one connection after the other. */
export interface Listener {
  readonly channel: string
  /** How many events wait for it. */
  readonly bufferSize: number
}

/**
 * Who listens to what. Each connection is given to it before it is published, and listens then to all that anybody wants.
 */
export class Channels {
  readonly #listeners = new Set<Listener>()
  readonly #subscriptions = new Map<PgConnection, Subscriptions>()

  /** Adds a listener until the Scope closes. */
  readonly add = (listener: Listener): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => this.#listeners.add(listener)),
      () =>
        Effect.sync(() => {
          this.#listeners.delete(listener)
          for (const subscriptions of this.#subscriptions.values()) subscriptions.remove(listener)
        })
    )

  /** Has a new connection listen to all channels, and keeps what it hears for each listener from then on. */
  readonly prepare = (connection: PgConnection): Effect.Effect<void, PgError, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const subscriptions = new Subscriptions(connection)
        this.#subscriptions.set(connection, subscriptions)
        return subscriptions
      }),
      () => Effect.sync(() => this.#subscriptions.delete(connection))
    ).pipe(
      Effect.flatMap((subscriptions) => subscriptions.add([...this.#listeners])),
      // Statements do all the same. Those who listen are told, or ask again.
      Effect.catchIf(
        ({ reason }) => reason === "NotHeard" || reason === "Query" || reason === "Unavailable",
        () => Effect.void
      )
    )

  /**
   * Has a connection answer, and hear what is listened to: what a statement has called may have ended that, which the server
   * does not tell.
   */
  readonly probe = (connection: PgConnection): Effect.Effect<unknown, PgError> =>
    Effect.suspend(() => this.#subscriptions.get(connection)?.probe ?? connection.query("-- heartbeat"))

  /** What a listener hears on a connection, after a beginning that comes once it can hear. What the server refuses for now is asked again. */
  readonly events = (
    connection: PgConnection,
    listener: Listener,
    beginning: Stream.Stream<PgEvent>
  ): Stream.Stream<PgEvent, PgError> =>
    Stream.suspend(() => this.#subscriptions.get(connection)?.events(listener, beginning) ?? Stream.never)
}

type Resume = (answer: Effect.Effect<void, PgError>) => void

/** What one connection listens to. */
class Subscriptions {
  readonly #connection: PgConnection
  /** By channel. */
  readonly #inboxes = new Map<string, Map<Listener, Inbox>>()
  /** The channels that somebody wants and it does not listen to, or the other way round. */
  readonly #changed = new Set<string>()
  /** Those who wait for the step that comes next, if one is to come. */
  #waiting: Set<Resume> | undefined
  /** Whether this connection hears, once somebody has listened. */
  #isHeard: boolean | undefined

  constructor(connection: PgConnection) {
    this.#connection = connection
    connection.onNotification(({ channel, payload = "", processId }) => {
      for (const inbox of this.#inboxes.get(channel)?.values() ?? []) {
        inbox.receive(new Notification({ channel, payload, processId }))
      }
    })
  }

  /** Completes when the server has acknowledged that it will tell of what is sent from now on. */
  add(listeners: ReadonlyArray<Listener>): Effect.Effect<void, PgError> {
    return Effect.suspend(() => {
      for (const listener of listeners) {
        const { channel } = listener
        const inboxes = this.#inboxes.get(channel) ?? new Map<Listener, Inbox>()
        if (!inboxes.has(listener)) this.#inboxes.set(channel, inboxes.set(listener, new Inbox(listener)))
        this.#compare(channel)
      }
      return listeners.length === 0 ? Effect.void : this.#reconciled
    })
  }

  /** Nobody waits for the server to know. */
  remove(listener: Listener): void {
    const { channel } = listener
    const inboxes = this.#inboxes.get(channel)
    if (inboxes?.delete(listener) !== true) return
    if (inboxes.size === 0) this.#inboxes.delete(channel)
    this.#compare(channel)
    if (this.#changed.size > 0) this.#next()
  }

  events(listener: Listener, beginning: Stream.Stream<PgEvent>): Stream.Stream<PgEvent, PgError> {
    const delays = Delays.make()
    const asking: Effect.Effect<void, PgError> = Effect.catchIf(this.add([listener]), isForNow, (error) =>
      Effect.flatMap(delays.next(`listening to ${listener.channel}`, error), (delay) => Effect.delay(asking, delay))
    )
    const arriving = Effect.map(asking, () => {
      const inbox = this.#inboxes.get(listener.channel)?.get(listener)
      // One by one, so that what waits for a slow consumer waits where it is counted.
      return inbox === undefined ? Stream.never : Stream.fromQueue(inbox.queue, { maxChunkSize: 1 })
    })
    return Stream.unwrap(Effect.map(arriving, (arriving) => Stream.concat(beginning, arriving)))
  }

  get probe(): Effect.Effect<unknown, PgError> {
    const { asOwner, listening, query } = this.#connection
    return listening.size === 0 ? query("-- heartbeat") : asOwner((client) => look(client, listening))
  }

  #notHeard(): PgError {
    return new PgError({ reason: "NotHeard", endpoint: this.#connection.endpoint })
  }

  #compare(channel: string): void {
    if (this.#inboxes.has(channel) === this.#connection.listening.has(channel)) this.#changed.delete(channel)
    else this.#changed.add(channel)
  }

  readonly #reconciled: Effect.Effect<void, PgError> = Effect.async((resume) => {
    const waiting = this.#next()
    waiting.add(resume)
    return Effect.sync(() => waiting.delete(resume))
  })

  // All who ask before its turn comes share one step, however many they are.
  #next(): Set<Resume> {
    if (this.#waiting !== undefined) return this.#waiting
    const waiting = new Set<Resume>()
    this.#waiting = waiting
    const step = this.#connection.asOwner((client) => {
      this.#waiting = undefined
      return this.#reconcile(client)
    })
    Effect.runCallback(step, {
      onExit: (exit) => {
        for (const resume of waiting) resume(exit)
      }
    })
    return waiting
  }

  async #reconcile(client: Client): Promise<void> {
    const changed = [...this.#changed]
    const added = changed.filter((channel) => this.#inboxes.has(channel))
    const removed = changed.filter((channel) => !this.#inboxes.has(channel))
    if (this.#inboxes.size > 0 && this.#isHeard === false) throw this.#notHeard()
    if (changed.length === 0) return
    const statements = [
      ...added.map((channel) => `LISTEN ${escapeIdentifier(channel)}`),
      ...removed.map((channel) => `UNLISTEN ${escapeIdentifier(channel)}`)
    ]
    await client.query(statements.join("; "))
    if (added.length > 0) this.#isHeard ??= await this.#connection.isOnOneSession(client)
    if (added.length > 0 && !this.#isHeard) throw this.#notHeard()
    for (const channel of added) this.#connection.listening.add(channel)
    for (const channel of removed) this.#connection.listening.delete(channel)
    // It may have changed again meanwhile, which whoever left has seen nothing of.
    for (const channel of changed) this.#compare(channel)
    if (this.#changed.size > 0) this.#next()
  }
}

// A standby, for one, takes it once it is promoted. What is no statement of a server's stays none.
const isForNow = ({ code = "", reason }: PgError): boolean =>
  reason === "Unavailable" || (reason === "Query" && !/^(0A|42)/.test(code))

/** What has arrived for a listener. */
class Inbox {
  readonly queue: Queue.Queue<PgEvent>

  constructor({ bufferSize }: Listener) {
    this.queue = Effect.runSync(Queue.bounded<PgEvent>(bufferSize))
  }

  receive(notification: Notification): void {
    if (this.queue.unsafeOffer(notification)) return
    // Whoever has missed something reads everything anew, so what waits is of no more use, and the newest is.
    Effect.runSync(Queue.takeAll(this.queue))
    this.queue.unsafeOffer(new Gap({ reason: "Overflow" }))
    this.queue.unsafeOffer(notification)
  }
}
