import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { ConnectionLost } from "effect-client-service/ConnectionError"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import * as OwnConnection from "effect-client-service-driver/OwnConnection"
import type { QueryConfig, QueryResult, QueryResultRow } from "pg"
import type { PgConnection } from "../PgConnection.js"
import { PgError } from "../PgError.js"
import { queryOf } from "./clientConnection.js"
import { TransactionEnd } from "./transactionEnd.js"

/** Statements that are one, on a connection of their own. */
export interface Transaction {
  /**
   * Runs a statement in the transaction, after those that were asked for before. Fails with a `PgError` of reason
   * `EndedTransaction` if it has ended that, such as `COMMIT`, and so does all whose turn comes after it: it would be in no
   * transaction. So does what a fiber, or a finalizer, that has outlived its `savepoint` asks: it would be in what comes next.
   */
  readonly query: <Row extends QueryResultRow = Record<string, unknown>>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<QueryResult<Row>, PgError>
  /**
   * Runs a part of the transaction that is undone alone if it fails or is interrupted. There may be parts within it, and those
   * beside one another take turns, so a part must not wait for one beside it; a statement that is asked for beside it while it
   * runs is undone with it. What `Effect.runPromise` and `Effect.runFork` run is beside it, and what those of
   * `Runtime` run with an `Effect.runtime` of the part is in it. If a statement of it has failed and the Effect
   * succeeds all the same, it is undone, and fails with a `PgError` of reason `RolledBack`.
   */
  readonly savepoint: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | PgError, R>
}

/** Runs an Effect in a transaction, which is committed if it succeeds and rolled back otherwise. */
export const inTransaction = <A, E, R>(
  connection: PgConnection,
  service: string,
  begin: string,
  prepare: (own: PgConnection) => Effect.Effect<unknown, PgError, Scope.Scope>,
  f: (transaction: Transaction) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | PgError | ConnectionLost, R> =>
  OwnConnection.use(
    service,
    (signal: ConnectionSignal<PgError>) => Effect.tap(connection.openOwn(signal, linger), prepare),
    (own) =>
      Effect.gen(function* () {
        yield* own.query(begin)
        const transaction = on(own)
        const value = yield* f(transaction)
        const { command } = yield* transaction.commit
        // That is what the server does to one that has failed, and answers OK.
        if (command !== "COMMIT") return yield* rolledBack(own)
        return value
      })
    // The server rolls back what is left when the connection closes.
  )

const linger = Duration.seconds(1)

const rolledBack = ({ endpoint }: PgConnection) => new PgError({ reason: "RolledBack", endpoint })

/** The transaction, or a savepoint of it, as fibers are in it. */
interface Part {
  /** What is within it begins when what had begun has ended, which would undo it otherwise. */
  readonly turn: Effect.Semaphore
  readonly within?: Part | undefined
  hasEnded: boolean
}

const partOf = (within?: Part): Part => ({ turn: Effect.unsafeMakeSemaphore(1), within, hasEnded: false })

const hasEnded = (part: Part | undefined): boolean => part !== undefined && (part.hasEnded || hasEnded(part.within))

const on = (own: PgConnection): Transaction & { readonly commit: Effect.Effect<QueryResult, PgError> } => {
  let count = 0
  const whole = partOf()
  // Whoever joins a fiber of a part stays in its own.
  const current = FiberRef.unsafeMake(whole, { join: (mine) => mine })
  let end: TransactionEnd | undefined
  // When its turn comes, since a statement that was asked for before may end the transaction, or the part.
  const inside = <Row extends QueryResultRow>(
    part: Part,
    asked: string | QueryConfig<Array<unknown>> | (() => string),
    values: ReadonlyArray<unknown> | undefined,
    { ends = false, isBounded = false }: { readonly ends?: boolean; readonly isBounded?: boolean } = {}
  ): Effect.Effect<QueryResult<Row>, PgError> =>
    own.asOwner(async (client) => {
      end ??= new TransactionEnd(client)
      const ended = new PgError({ reason: "EndedTransaction", endpoint: own.endpoint })
      if (end.hasCome || hasEnded(part)) throw ended
      part.hasEnded = ends
      const query = typeof asked === "function" ? asked() : asked
      end.begin(Predicate.hasProperty(query, "text") ? query.text : query)
      const result = await queryOf<Row>(query, values)(client)
      if (end.hasCome && !(ends && part === whole)) throw ended
      return result
    }, isBounded)
  const query: Transaction["query"] = <Row extends QueryResultRow>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ) => Effect.flatMap(FiberRef.get(current), (part) => inside<Row>(part, query, values, { isBounded: true }))
  const savepoint = <A, E, R>(within: Part, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | PgError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        count += 1
        const name = `savepoint_${count}`
        const part = partOf(within)
        // However many wait, since what is not ended would be committed.
        yield* restore(inside(within, `SAVEPOINT ${name}`, undefined))
        const exit = yield* Effect.exit(restore(Effect.locally(effect, current, part)))
        let isDone = false
        // In its turn, since a statement of the part that still waits may fail.
        const release = () => {
          isDone = Exit.isSuccess(exit) && own.transactionStatus() !== "E"
          return `${isDone ? "" : `ROLLBACK TO SAVEPOINT ${name}; `}RELEASE SAVEPOINT ${name}`
        }
        yield* inside(part, release, undefined, { ends: true })
        return yield* isDone || Exit.isFailure(exit) ? exit : rolledBack(own)
      })
    )
  return {
    query,
    commit: inside(whole, "COMMIT", undefined, { ends: true }),
    savepoint: (effect) =>
      Effect.flatMap(FiberRef.get(current), (within) => within.turn.withPermits(1)(savepoint(within, effect)))
  }
}
