import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { ConnectionLost } from "effect-client-service/ConnectionError"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import * as OwnConnection from "effect-client-service-driver/OwnConnection"
import type { QueryConfig, QueryResult, QueryResultRow } from "pg"
import type { PgConnection } from "../PgConnection.js"
import { PgError } from "../PgError.js"

/** Statements that are one, on a connection of their own. */
export interface Transaction {
  /** Runs a statement in the transaction. */
  readonly query: <Row extends QueryResultRow = Record<string, unknown>>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<QueryResult<Row>, PgError>
  /**
   * Runs a part of the transaction that is undone alone if it fails or is interrupted. There may be parts within it, but not
   * two at a time.
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
        const value = yield* f(on(own))
        const { command } = yield* own.query("COMMIT")
        // That is what the server does to one that has failed, and answers OK.
        if (command !== "COMMIT") return yield* new PgError({ reason: "RolledBack", endpoint: own.endpoint })
        return value
      })
    // The server rolls back what is left when the connection closes.
  )

const linger = Duration.seconds(1)

const on = (own: PgConnection): Transaction => {
  let count = 0
  return {
    query: own.query,
    savepoint: (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          count += 1
          const name = `savepoint_${count}`
          yield* restore(own.query(`SAVEPOINT ${name}`))
          const exit = yield* Effect.exit(restore(effect))
          const isDone = Exit.isSuccess(exit)
          yield* own.query(`${isDone ? "" : `ROLLBACK TO SAVEPOINT ${name}; `}RELEASE SAVEPOINT ${name}`)
          return yield* exit
        })
      )
  }
}
