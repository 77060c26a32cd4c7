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
   * transaction.
   */
  readonly query: <Row extends QueryResultRow = Record<string, unknown>>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<QueryResult<Row>, PgError>
  /**
   * Runs a part of the transaction that is undone alone if it fails or is interrupted. There may be parts within it, and those
   * beside one another take turns, so a part must not wait for one beside it, nor for one that it runs by `Effect.runPromise`; a
   * statement that is asked for beside it while it runs is undone with it. If a statement of it has failed and the Effect
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

const isEnded = ({ hasCome }: TransactionEnd): boolean => hasCome

const rolledBack = ({ endpoint }: PgConnection) => new PgError({ reason: "RolledBack", endpoint })

const on = (own: PgConnection): Transaction & { readonly commit: Effect.Effect<QueryResult, PgError> } => {
  let count = 0
  // Of the part that a fiber is in: what is within it begins when what had begun has ended, which would undo it otherwise.
  const turn = FiberRef.unsafeMake(Effect.unsafeMakeSemaphore(1))
  let end: TransactionEnd | undefined
  // When its turn comes, since a statement that was asked for before may end the transaction.
  const inside = <Row extends QueryResultRow>(
    query: string | QueryConfig<Array<unknown>>,
    values: ReadonlyArray<unknown> | undefined,
    isOver: (end: TransactionEnd) => boolean,
    isBounded: boolean
  ): Effect.Effect<QueryResult<Row>, PgError> =>
    own.asOwner(async (client) => {
      end ??= new TransactionEnd(client)
      const ended = new PgError({ reason: "EndedTransaction", endpoint: own.endpoint })
      if (end.hasCome) throw ended
      end.begin(Predicate.hasProperty(query, "text") ? query.text : query)
      const result = await queryOf<Row>(query, values)(client)
      if (isOver(end)) throw ended
      return result
    }, isBounded)
  const query: Transaction["query"] = <Row extends QueryResultRow>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ) => inside<Row>(query, values, isEnded, true)
  // However many wait, since what is not ended would be committed.
  const mark = (text: string) => inside(text, undefined, isEnded, false)
  const part: Transaction["savepoint"] = (effect) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        count += 1
        const name = `savepoint_${count}`
        yield* restore(mark(`SAVEPOINT ${name}`))
        const exit = yield* Effect.exit(restore(effect))
        const isDone = Exit.isSuccess(exit) && own.transactionStatus() !== "E"
        yield* mark(`${isDone ? "" : `ROLLBACK TO SAVEPOINT ${name}; `}RELEASE SAVEPOINT ${name}`)
        return yield* isDone || Exit.isFailure(exit) ? exit : rolledBack(own)
      })
    )
  return {
    query,
    commit: inside("COMMIT", undefined, () => false, false),
    savepoint: (effect) =>
      Effect.flatMap(FiberRef.get(turn), (mine) =>
        mine.withPermits(1)(part(Effect.locally(effect, turn, Effect.unsafeMakeSemaphore(1))))
      )
  }
}
