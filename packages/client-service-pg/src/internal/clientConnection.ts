import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import type { Client, Notification, QueryConfig, QueryResult, QueryResultRow } from "pg"
import type { PgConnection } from "../PgConnection.js"
import type { PgError } from "../PgError.js"
import { pgFailure } from "./pgFailure.js"

interface Job {
  readonly run: () => Promise<void>
  readonly isForIdle: boolean
}

/**
 * A client of `pg` as a connection.
 *
 * It listens to the client's errors for ever, as one without a listener ends the process.
 */
export class ClientConnection implements PgConnection {
  // Out of reach, so that whoever prints the connection does not print what it logs in with.
  readonly #client: Client
  readonly #address: string
  readonly #signal: ConnectionSignal<PgError>
  readonly #jobs: Array<Job> = []
  #isOpen = false
  #isBusy = false
  #loss: PgError | undefined

  constructor(client: Client, address: string, signal: ConnectionSignal<PgError>) {
    this.#client = client
    this.#address = address
    this.#signal = signal
    client.on("error", (error) => this.#lost(error))
    client.on("end", () => this.#lost(new Error("Connection terminated")))
  }

  /** Connects and logs in. */
  readonly connect: Effect.Effect<PgConnection, PgError> = Effect.async((resume) => {
    this.#client.connect((error: Error | null) => {
      if (error !== null) return resume(Effect.fail(this.#lost(error)))
      this.#isOpen = true
      resume(Effect.succeed(this))
    })
  })

  /** Says goodbye and waits until the server has closed the connection, but no longer than `linger`. */
  readonly close = (linger: Duration.Duration): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isUsable = this.#isOpen && this.#loss === undefined
      return Effect.zipRight(isUsable ? this.#goodbye(linger) : Effect.void, this.#destroy)
    })

  #goodbye(linger: Duration.Duration): Effect.Effect<unknown> {
    return Effect.async<void>((resume) => {
      void this.#client.end().then(() => resume(Effect.void))
    }).pipe(Effect.interruptible, Effect.timeoutOption(linger))
  }

  readonly #destroy = Effect.async<void>((resume) => {
    const { stream } = this.#client.connection
    if (stream.closed) return resume(Effect.void)
    stream.once("close", () => resume(Effect.void))
    stream.destroy()
  })

  readonly query = <Row extends QueryResultRow>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ): Effect.Effect<QueryResult<Row>, PgError> =>
    this.withClient((client) =>
      values === undefined ? client.query<Row>(query) : client.query<Row, Array<unknown>>(query, [...values])
    )

  readonly withClient = <A>(f: (client: Client) => PromiseLike<A>): Effect.Effect<A, PgError> => this.#inTurn(f, false)

  readonly outsideTransaction = <A>(f: (client: Client) => PromiseLike<A>): Effect.Effect<A, PgError> =>
    this.#inTurn(f, true)

  readonly onNotification = (f: (notification: Notification) => void): void => {
    this.#client.on("notification", f)
  }

  #inTurn<A>(f: (client: Client) => PromiseLike<A>, isForIdle: boolean): Effect.Effect<A, PgError> {
    return Effect.async((resume) => {
      const run = async () => {
        try {
          resume(Effect.succeed(await f(this.#client)))
        } catch (error) {
          resume(Effect.fail(this.#failureOf(error)))
        }
      }
      const job: Job = { run, isForIdle }
      this.#jobs.push(job)
      this.#next()
      return Effect.sync(() => {
        const index = this.#jobs.indexOf(job)
        if (index >= 0) this.#jobs.splice(index, 1)
      })
    })
  }

  #next(): void {
    if (this.#isBusy) return
    const isIdle = !inTransaction.has(this.#client.getTransactionStatus())
    const index = this.#jobs.findIndex(({ isForIdle }) => isIdle || !isForIdle)
    if (index < 0) return
    const [job] = this.#jobs.splice(index, 1)
    this.#isBusy = true
    void job?.run().then(() => {
      this.#isBusy = false
      this.#next()
    })
  }

  #failureOf(error: unknown): PgError {
    const failure = this.#loss ?? pgFailure(error, this.#address)
    // To a statement under way `pg` tells it as the answer, and only then that the connection is lost, without a reason.
    return failure.reason === "Terminated" ? this.#lost(failure) : failure
  }

  #lost(error: unknown): PgError {
    if (this.#loss !== undefined) return this.#loss
    this.#loss = pgFailure(error, this.#address)
    this.#signal.lost(this.#loss)
    return this.#loss
  }
}

const inTransaction: ReadonlySet<string | null> = new Set(["T", "E"])
