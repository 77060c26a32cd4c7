import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import type { Client, Notification, QueryConfig, QueryResult, QueryResultRow } from "pg"
import type { PgConnection } from "../PgConnection.js"
import type { PgError } from "../PgError.js"
import { pgFailure } from "./pgFailure.js"

type Resume<A> = (exit: Exit.Exit<A, PgError>) => void

interface Job {
  readonly run: () => void
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
  readonly #jobs = new Set<Job>()
  #isOpen = false
  #isBusy = false
  #isAdmitting = false
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
  ): Effect.Effect<QueryResult<Row>, PgError> => this.withClient(queryOf<Row>(query, values))

  readonly withClient = <A>(f: (client: Client) => PromiseLike<A>): Effect.Effect<A, PgError> => this.#inTurn(f, false)

  readonly outsideTransaction = <A>(f: (client: Client) => PromiseLike<A>): Effect.Effect<A, PgError> =>
    this.#inTurn(f, true)

  readonly onNotification = (f: (notification: Notification) => void): void => {
    this.#client.on("notification", f)
  }

  /** Has a function called when its turn has come, at once if it has, and gives what takes that back. */
  readonly begin = <A>(f: (client: Client) => PromiseLike<A>, resume: Resume<A>, isForIdle = false): (() => void) => {
    const job: Job = {
      run: () => {
        const failed = (error: unknown) => {
          resume(Exit.fail(this.#failureOf(error)))
          this.#done()
        }
        try {
          f(this.#client).then((value) => {
            resume(Exit.succeed(value))
            this.#done()
          }, failed)
        } catch (error) {
          failed(error)
        }
      },
      isForIdle
    }
    this.#jobs.add(job)
    this.#next()
    return () => {
      this.#jobs.delete(job)
    }
  }

  #inTurn<A>(f: (client: Client) => PromiseLike<A>, isForIdle: boolean): Effect.Effect<A, PgError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Deferred.make<A, PgError>(), (answer) => {
        const takeBack = this.begin(f, (exit) => Deferred.unsafeDone(answer, exit), isForIdle)
        return Effect.onInterrupt(restore(Deferred.await(answer)), () => Effect.sync(takeBack))
      })
    )
  }

  #done(): void {
    this.#isBusy = false
    this.#next()
  }

  // Not within itself, when all whose turn comes have functions that throw.
  #next(): void {
    if (this.#isAdmitting) return
    this.#isAdmitting = true
    while (!this.#isBusy) {
      const job = this.#jobInTurn()
      if (job === undefined) break
      this.#jobs.delete(job)
      this.#isBusy = true
      job.run()
    }
    this.#isAdmitting = false
  }

  #jobInTurn(): Job | undefined {
    const isIdle = !inTransaction.has(this.#client.getTransactionStatus())
    for (const job of this.#jobs) if (isIdle || !job.isForIdle) return job
    return undefined
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

/** A call that runs a statement. */
export const queryOf =
  <Row extends QueryResultRow>(
    query: string | QueryConfig<Array<unknown>>,
    values: ReadonlyArray<unknown> | undefined
  ) =>
  (client: Client): Promise<QueryResult<Row>> =>
    values === undefined ? client.query<Row>(query) : client.query<Row, Array<unknown>>(query, [...values])

const inTransaction: ReadonlySet<string | null> = new Set(["T", "E"])
