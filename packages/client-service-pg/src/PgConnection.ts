/**
 * One connection to PostgreSQL.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import type { Client, Notification, QueryConfig, QueryResult, QueryResultRow } from "pg"
import type { PgError } from "./PgError.js"

/**
 * A client of `pg` that is connected. All who use it take turns, as PostgreSQL answers in order.
 *
 * @since 0.1.0
 * @category models
 */
export interface PgConnection {
  /** Where the server is, such as `db.example.com:5432` or the path of a Unix socket. */
  readonly address: string
  /** @internal The name of the endpoint. */
  readonly endpoint: string
  /** @internal How many callers may wait for something on it. */
  readonly maxWaiting: number
  /**
   * Runs a statement. Interrupting it before its turn has come takes it back; after that it is cancelled on the server, by a
   * request on a connection of its own, and the next turn begins when the server has ended it. What was done by then stays
   * done: a statement that had just ended may have been committed.
   *
   * Fails with a `PgError` of reason `Query` if the server refuses it, of `OpenTransaction` if it has left a transaction
   * open, which is rolled back, and otherwise with what lost the connection.
   */
  readonly query: <Row extends QueryResultRow = Record<string, unknown>>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<QueryResult<Row>, PgError>
  /**
   * Has the client of `pg` for itself until the promise settles, for what takes more than one statement, such as a
   * transaction. Whatever the promise is rejected with becomes the `cause` of a `PgError`.
   *
   * A transaction that is open then is rolled back before the next turn, and what had succeeded fails with a `PgError` of
   * reason `OpenTransaction`. Interrupting it once its turn has come cancels the statement under way and rolls back likewise,
   * and the client refuses all that it is asked afterwards, as it does when the promise has settled. It refuses to be ended (`end`).
   *
   * Of a `PgService`, what it has done to the session is undone before the next turn, as the server tells it: settings, roles,
   * what is in the temporary schema, prepared statements, cursors, channels, advisory locks, and how the client reads types, be it that a function or a `DO`
   * block has done it. For that, the server is asked at the end, and at the beginning if others have asked something since.
   * The connection is lost if what is gone can't be brought back, such as a temporary table of `prepare`, or a channel that is
   * listened to, and after `DISCARD ALL` and `DEALLOCATE ALL`. Settings of a name of one's own that a
   * function sets by itself, `DISCARD SEQUENCES`, and what `LOAD` has loaded are not told, and stay.
   *
   * A cursor or a `COPY` that is left in the middle has the connection be lost some seconds later, since the server waits for
   * its client then.
   */
  readonly withClient: <A>(f: (client: Client) => PromiseLike<A>) => Effect.Effect<A, PgError>
  /** Has a function called with each notification, from now on and for as long as the connection lives. */
  readonly onNotification: (f: (notification: Notification) => void) => void
  /** @internal */
  readonly asOwner: <A>(f: (client: Client) => PromiseLike<A>, isBounded?: boolean) => Effect.Effect<A, PgError>
  /**
   * From now on, the session is given back as it is.
   *
   * @internal
   */
  readonly prepared: () => void
  /** @internal When the server last gave a sign of life, by a clock that nobody sets. */
  readonly lastHeard: () => number | undefined
  /**
   * Looks, every so often, whether the server still runs what it was asked, and takes that for a sign of life.
   *
   * @internal
   */
  readonly watchStatement: (every: Duration.Duration) => Effect.Effect<never>
  /** @internal What the server said last: whether it is in no transaction (`I`), in one (`T`), or in one that has failed (`E`). */
  readonly transactionStatus: () => string | null
  /** @internal The channels that its owner has it listen to. */
  readonly listening: Set<string>
  /** @internal */
  readonly isOnOneSession: (client: Client) => Promise<boolean>
  /** @internal */
  readonly openOwn: (
    signal: ConnectionSignal<PgError>,
    linger: Duration.Duration
  ) => Effect.Effect<PgConnection, PgError, Scope.Scope>
  /** @internal */
  readonly begin: <A>(
    f: (client: Client) => PromiseLike<A>,
    resume: (exit: Exit.Exit<A, PgError>) => void
  ) => () => void
}
