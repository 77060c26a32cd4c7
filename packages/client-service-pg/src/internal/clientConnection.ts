import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import * as Race from "effect-client-service/Race"
import * as Delays from "effect-client-service-driver/Delays"
import {
  type Client,
  DatabaseError,
  escapeIdentifier,
  type Notification,
  Query,
  type QueryConfig,
  type QueryResult,
  type QueryResultRow
} from "pg"
import type { PgConnection } from "../PgConnection.js"
import { PgError } from "../PgError.js"
import { type Cancel, cancel } from "./cancel.js"
import { type LentClient, lend, ownOf, safe, statementError } from "./lentClient.js"
import { type Config, newClient } from "./newClient.js"
import { OwnSettings } from "./ownSettings.js"
import { pgFailure } from "./pgFailure.js"
import { ask, forget, look, Observer, read, restore, type SessionState } from "./sessionState.js"

/** What gives the config of a connection that is made now. */
export interface Configs {
  readonly now: Effect.Effect<Config, PgError>
  /** Whether what it logs in with is asked for each time. */
  readonly isAskedAgain: boolean
}

/** What a turn is for, which can be failed from outside as well. */
type Turn<A> = (client: Client, failed: (error: unknown) => void) => PromiseLike<A>

type Resume<A> = (exit: Exit.Exit<A, PgError>) => void

interface Place {
  readonly host: string
  /** Where the server is. */
  readonly address: string
  /** The name of the endpoint. */
  readonly endpoint: string
  /** How many may wait for their turn. */
  readonly maxWaiting: number
}

/**
 * A client of `pg` as a connection, which one caller after the other has for a turn. What a turn leaves behind is cleared
 * away before the next: a transaction is rolled back, and what a caller who has left still runs is cancelled.
 *
 * It listens to the client's errors for ever, as one without a listener ends the process.
 */
export class ClientConnection implements PgConnection {
  // Out of reach, so that whoever prints the connection does not print what it logs in with.
  readonly #client: Client
  readonly #config: Config
  readonly #configs: Configs
  readonly address: string
  readonly endpoint: string
  readonly #signal: ConnectionSignal<PgError>
  readonly #turns = new Set<() => void>()
  readonly maxWaiting: number
  readonly #isOwn: boolean
  readonly #owned = new Set<ClientConnection>()
  #isOpen = false
  #isBusy = false
  #isAdmitting = false
  /** What its owner has it listen to. */
  readonly listening = new Set<string>()
  /** What the session has of its own before somebody has its client, unless a statement of others has changed it since. */
  #state: SessionState | undefined
  /** Sees what is done to the session, once it is prepared. */
  #observer: Observer | undefined
  /** The settings of names of one's own that have been set. */
  readonly #own: OwnSettings
  /** Of a turn that has the client: how it has it. */
  #lent: LentClient | undefined
  /** Of a turn that has the client: fails it. */
  #blame: ((error: unknown) => void) | undefined
  /** Is told when the server refuses to write. */
  #onReadOnly: (() => void) | undefined
  /** What the server has ended the connection by, whatever its code. */
  #fatal: DatabaseError | undefined
  #cancelling: Cancel | undefined
  #loss: PgError | undefined
  readonly #clock: Clock.Clock
  /** Whether a probe wants to know when something came. Otherwise, no answer has it look at the clock. */
  #isProbed = false
  #lastHeard: number | undefined

  /**
   * The host is that of the config, as the wire takes it, and `configs` give the config of another connection. Of a connection
   * that `isOwn`, the turns belong to one caller, who has begun a transaction.
   */
  static make(
    config: Config,
    configs: Configs,
    place: Place,
    signal: ConnectionSignal<PgError>,
    isOwn = false
  ): Effect.Effect<ClientConnection, PgError> {
    return Effect.clockWith((clock) =>
      Effect.try({
        try: () => new ClientConnection(config, configs, place, signal, isOwn, clock),
        // `pg` reads the files that a URL names each time, and they may be gone by now.
        catch: (cause) => {
          const detail = cause instanceof Error ? cause.message : undefined
          return new PgError({ reason: "Credentials", endpoint: place.endpoint, detail, cause })
        }
      })
    )
  }

  private constructor(
    config: Config,
    configs: Configs,
    { address, endpoint, host, maxWaiting }: Place,
    signal: ConnectionSignal<PgError>,
    isOwn: boolean,
    clock: Clock.Clock
  ) {
    this.#clock = clock
    // Listeners are those of whoever has the client.
    const thrown = (error: unknown) => (this.#blame === undefined ? this.#lost(error) : this.#blame(error))
    const client = newClient(config, host, thrown, () => {
      if (this.#isProbed) this.#heard()
    })
    this.#client = client
    this.#own = new OwnSettings(client)
    this.#config = config
    this.#configs = configs
    this.address = address
    this.endpoint = endpoint
    this.maxWaiting = maxWaiting
    this.#isOwn = isOwn
    this.#signal = signal
    client.connection.on("errorMessage", (error: unknown) => {
      if (error instanceof DatabaseError && /^(FATAL|PANIC)$/.test(error.severity ?? "")) this.#fatal = error
    })
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
      const end = () => void this.#client.end().then(() => resume(Effect.void))
      // The server would go on with what it runs until it has something to tell.
      if (this.#cancelling === undefined) end()
      else void this.#cancelling.done.then(end)
    }).pipe(Effect.interruptible, Effect.timeoutOption(linger))
  }

  /** Another connection to the same server, for one caller. It ends with this one. */
  readonly openOwn = (
    signal: ConnectionSignal<PgError>,
    linger: Duration.Duration
  ): Effect.Effect<PgConnection, PgError, Scope.Scope> =>
    Effect.flatMap(this.#configs.now, (config) =>
      Effect.acquireRelease(
        Effect.suspend(() => {
          const { address, endpoint } = this
          const place = { address, endpoint, host: this.#client.host, maxWaiting: this.maxWaiting }
          return Effect.tap(ClientConnection.make(config, this.#configs, place, signal, true), (own) => {
            own.onReadOnly(() => this.#onReadOnly?.())
            this.#owned.add(own)
          })
        }),
        (own) =>
          Effect.ensuring(
            own.close(linger),
            Effect.sync(() => this.#owned.delete(own))
          )
      )
    ).pipe(Effect.flatMap((own) => own.connect))

  readonly #destroy = Effect.async<void>((resume) => {
    for (const own of this.#owned) own.#client.connection.stream.destroy()
    this.#cancelling?.destroy()
    const { stream } = this.#client.connection
    if (stream.closed) return resume(Effect.void)
    stream.once("close", () => resume(Effect.void))
    stream.destroy()
  })

  readonly query = <Row extends QueryResultRow>(
    query: string | QueryConfig<Array<unknown>>,
    values?: ReadonlyArray<unknown>
  ): Effect.Effect<QueryResult<Row>, PgError> => this.#inTurn(queryOf<Row>(query, values), () => {}, false)

  readonly withClient = <A>(f: (client: Client) => PromiseLike<A>): Effect.Effect<A, PgError> =>
    Effect.suspend(() => {
      const lent = lend(this.#client)
      const turn = async (client: Client, failed: (error: unknown) => void): Promise<A> => {
        this.#blame = failed
        if (this.#observer !== undefined) {
          this.#state ??= await read(client, this.#own)
          if (lent.isRevoked()) throw new Error("The turn of this caller is over")
          this.#observer.reset()
          this.#own.reset()
          this.#lent = lent
          lent.keep()
        }
        return f(lent.client)
      }
      return Effect.ensuring(this.#inTurn(turn, lent.revoke), Effect.sync(lent.revoke))
    })

  readonly asOwner = <A>(f: (client: Client) => PromiseLike<A>, isBounded = false): Effect.Effect<A, PgError> =>
    this.#inTurn(
      async (client) => {
        try {
          return await f(client)
        } finally {
          // It knows what it has changed.
          this.#observed()
        }
      },
      () => {},
      isBounded
    )

  /** Whether all statements are run by one process of the server, as they are not behind a pooler of transactions. */
  readonly isOnOneSession = async (client: Client): Promise<boolean> => {
    const process = await processOf(client)
    // A pooler makes up what it is called.
    if (process === Reflect.get(client, "processID")) return true
    // One that lends its connections for a transaction at a time lends another the one that was free.
    const config = await this.#configNow()
    const other = newClient(config, this.#client.host, () => other.connection.stream.destroy())
    other.on("error", () => {})
    try {
      const isElsewhere = await this.#isElsewhere(other, process)
      return isElsewhere && (await processOf(client)) === process
    } finally {
      void other.end().catch(() => {})
    }
  }

  /** Has another client hold a process of the server, and tells whether it is none other. */
  async #isElsewhere(other: Client, process: number | undefined): Promise<boolean> {
    try {
      await other.connect()
      await other.query("BEGIN")
      return (await processOf(other)) !== process
    } catch (error) {
      // Nothing is wrong with this connection.
      const { cause, code, detail, endpoint } = pgFailure(error, this.endpoint)
      throw new PgError({ reason: "Unavailable", endpoint, code, detail, cause })
    }
  }

  readonly lastHeard = (): number | undefined => this.#lastHeard

  readonly watchStatement = (every: Duration.Duration): Effect.Effect<never> => {
    const look = Effect.map(Race.firstOf(this.#isAtWork, Effect.as(Effect.sleep(every), false)), (isAtWork) => {
      if (isAtWork) this.#heard()
    })
    const setProbed = (isProbed: boolean) =>
      Effect.sync(() => {
        this.#isProbed = isProbed
      })
    return Effect.acquireUseRelease(
      setProbed(true),
      () => Effect.forever(Effect.zipRight(Effect.sleep(every), look)),
      () => setProbed(false)
    )
  }

  #heard(): void {
    this.#lastHeard = Delays.monotonic(this.#clock)
  }

  /** Whether the server says, on another connection, that it still runs what it was asked on this one. */
  readonly #isAtWork: Effect.Effect<boolean> = Effect.suspend(() => {
    if (!this.#isBusy || this.#isReady) return Effect.succeed(false)
    return Effect.flatMap(
      Effect.promise(() => this.#configNow()),
      (config) =>
        Effect.acquireUseRelease(
          Effect.sync((): Client => {
            const other = newClient(config, this.#client.host, () => other.connection.stream.destroy())
            return other.on("error", () => {})
          }),
          (other) => Effect.promise(() => isActive(other, Reflect.get(this.#client, "processID")).catch(() => false)),
          (other) => Effect.sync(() => other.connection.stream.destroy())
        )
      // `pg` reads files for a client, which may be gone by now.
    ).pipe(Effect.catchAllDefect(() => Effect.succeed(false)))
  })

  readonly transactionStatus = (): string | null => this.#client.getTransactionStatus()

  readonly prepared = (): void => {
    this.#observer ??= new Observer(this.#client)
  }

  /** Has a function called when the server refuses to write: it may be one that others write to no more. */
  readonly onReadOnly = (f: () => void): void => {
    this.#onReadOnly = f
  }

  readonly onNotification = (f: (notification: Notification) => void): void => {
    this.#client.on("notification", f)
  }

  /** Has a function called when its turn has come, at once if it has, and gives what takes that back. */
  readonly begin = <A>(f: Turn<A>, resume: Resume<A>, isBounded = true): (() => void) => {
    if (isBounded && this.#isBusy && this.#turns.size >= this.maxWaiting) {
      const detail = "maxWaiting wait for their turn"
      resume(Exit.fail(new PgError({ reason: "Overloaded", endpoint: this.endpoint, detail })))
      return () => {}
    }
    let isOver = false
    const turn = () => {
      const end = (exit: Exit.Exit<A, PgError>) => {
        if (isOver) return
        isOver = true
        this.#end(exit, resume)
      }
      const failed = (error: unknown) => end(Exit.fail(this.#failureOf(error)))
      try {
        f(this.#client, failed).then((value) => end(Exit.succeed(value)), failed)
      } catch (error) {
        failed(error)
      }
    }
    this.#turns.add(turn)
    this.#next()
    return () => {
      if (isOver) return
      isOver = true
      if (!this.#turns.delete(turn)) void this.#cancel(0).then(() => this.#done())
    }
  }

  #inTurn<A>(f: Turn<A>, revoke: () => void, isBounded = true): Effect.Effect<A, PgError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Deferred.make<A, PgError>(), (answer) => {
        const takeBack = this.begin(f, (exit) => Deferred.unsafeDone(answer, exit), isBounded)
        return Effect.onInterrupt(restore(Deferred.await(answer)), () =>
          Effect.sync(() => {
            revoke()
            takeBack()
          })
        )
      })
    )
  }

  #end<A>(exit: Exit.Exit<A, PgError>, resume: Resume<A>): void {
    if (this.#loss !== undefined || (this.#isReady && !this.#hasOpenTransaction && !this.#hasLeftSomething)) {
      this.#observed()
      resume(exit)
      this.#done()
      return
    }
    const isStuck = !this.#isReady && (Exit.isFailure(exit) || this.#isReading)
    const clearing = isStuck ? this.#cancel(patience) : this.#clear()
    void clearing.then((left) => {
      resume(left === undefined ? exit : Exit.zipRight(exit, Exit.fail(left)))
      this.#done()
    })
  }

  #done(): void {
    this.#blame = undefined
    this.#isBusy = false
    this.#next()
  }

  // Not within itself, when all whose turn comes have functions that throw.
  #next(): void {
    if (this.#isAdmitting) return
    this.#isAdmitting = true
    while (!this.#isBusy) {
      const [turn] = this.#turns
      if (turn === undefined) break
      this.#turns.delete(turn)
      this.#isBusy = true
      turn()
    }
    this.#isAdmitting = false
  }

  // Whether all that was asked is answered. After a refusal, its error comes first.
  get #isReady(): boolean {
    return Reflect.get(this.#client, "readyForQuery") === true
  }

  get #hasOpenTransaction(): boolean {
    return !this.#isOwn && this.#client.getTransactionStatus() !== "I"
  }

  /** Whether a turn may have left something of it in the session. */
  get #hasLeftSomething(): boolean {
    return this.#lent !== undefined || this.#observer?.seen.hasTaken === true
  }

  /** What a statement alone has changed is so for all. */
  #observed(): void {
    if (this.#observer?.seen.mayHaveChanged) this.#state = undefined
    this.#observer?.reset()
  }

  // What somebody else than `pg` has made, such as a cursor, may wait for its user to go on.
  get #isReading(): boolean {
    const active: unknown = Reflect.get(this.#client, "_activeQuery")
    return active instanceof Object && !(active instanceof Query)
  }

  /** Rolls back the transaction that a turn has left open, if any, and tells of it; and has the session be as it was. */
  async #clear(): Promise<PgError | undefined> {
    try {
      // What was asked without waiting for the answer is answered before.
      if (!this.#isReady) await this.#run("-- ready")
      const lent = this.#lent
      this.#lent = undefined
      lent?.giveBack()
      const seen = this.#observer?.seen
      const isOpen = this.#hasOpenTransaction
      if (isOpen) await this.#run("ROLLBACK")
      if (this.#hasOpenTransaction) throw new Error("A transaction can't be rolled back")
      if (seen?.hasSpent) throw new Error("A turn has ended what others have of the session")
      if (lent !== undefined && this.#own.isUnclear) {
        throw new Error("A turn may have set settings by names that can't be told")
      }
      if (lent === undefined) {
        if (seen?.hasTaken) await look(this.#client, this.listening)
        this.#observed()
      } else if (seen?.mayHaveChanged && this.#state !== undefined) await restore(this.#client, this.#state, this.#own)
      this.#observer?.reset()
      return isOpen ? new PgError({ reason: "OpenTransaction", endpoint: this.endpoint }) : undefined
    } catch (error) {
      return this.#lost(error)
    }
  }

  /** Ends what somebody who has left, or has failed, still runs, and clears away what that leaves. */
  async #cancel(patience: number): Promise<PgError | undefined> {
    if (this.#loss !== undefined) return
    let isAnswered = this.#isReady
    const done = () => {
      isAnswered = true
    }
    const answered = isAnswered ? undefined : this.#run("-- ready").then(done, done)
    const mostRequests = this.#isReading ? 2 : 10
    let requests = 0
    for (let wait = patience; !isAnswered && this.#loss === undefined; wait = patienceBetween) {
      await within(wait, answered)
      if (isAnswered) break
      // A server that waits for its client, as in the middle of a cursor or of COPY, does not look at them.
      if (++requests > mostRequests) return this.#lost(new Error("What a turn has left running can't be cancelled"))
      this.#cancelling = this.#askToCancel()
      await this.#cancelling.done
    }
    this.#cancelling = undefined
    return this.#clear()
  }

  async #run(statement: string): Promise<void> {
    try {
      await ask(this.#client, statement)
    } catch (error) {
      // Cancelled in the place of another.
      if (!(error instanceof DatabaseError) || error.code !== queryCanceled) throw error
      await ask(this.#client, statement)
    }
  }

  // At once, though what it connects with may take a while: whoever closes this connection waits for it.
  #askToCancel(): Cancel {
    let asked: Cancel | undefined
    let isGivenUp = false
    const done = this.#configNow().then((config) => {
      if (isGivenUp) return
      asked = cancel(this.#client, config)
      return asked.done
    })
    const destroy = () => {
      isGivenUp = true
      asked?.destroy()
    }
    return { done, destroy }
  }

  // That of this connection has to do if another can't be had at once.
  #configNow(): Promise<Config> {
    const now = Effect.timeoutOption(Effect.disconnect(this.#configs.now), patience)
    return Effect.runPromise(Effect.catchAllCause(Effect.flatten(now), () => Effect.succeed(this.#config)))
  }

  #failureOf(error: unknown): PgError {
    const failure = this.#loss ?? pgFailure(error, this.endpoint)
    if (failure.code === readOnly) this.#onReadOnly?.()
    if (error === this.#fatal) return this.#lost(error)
    // To a statement under way `pg` tells it as the answer, and only then that the connection is lost, without a reason.
    return failure.reason === "Terminated" ? this.#lost(failure) : failure
  }

  #lost(error: unknown): PgError {
    if (this.#loss !== undefined) return this.#loss
    const failure = pgFailure(error, this.endpoint)
    // Of an attempt, the code tells more. The server may say it while nothing is asked, too.
    const isEnded = this.#isOpen && error === this.#fatal
    const loss = isEnded ? new PgError({ ...failure, reason: "Terminated" }) : failure
    const isAskedAgain = loss.reason === "Authentication" && this.#configs.isAskedAgain
    this.#loss = isAskedAgain ? askedAgain(loss) : loss
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
  (client: Client): Promise<QueryResult<Row>> => {
    const refused = statementError(query)
    if (refused !== undefined) return Promise.reject(refused)
    const asked = values === undefined ? safe(query) : ownOf(query)
    const run = () =>
      values === undefined ? client.query<Row>(asked) : client.query<Row, Array<unknown>>(asked, [...values])
    const name = typeof query === "string" ? undefined : query.name
    return name === undefined ? run() : run().catch((error) => preparedAnew(client, name, error).then(run))
  }

/** Fails with an error that is not for that what is prepared by a name is not there any more, or of no use. */
const preparedAnew = async (client: Client, name: string, error: unknown): Promise<void> => {
  if (!(error instanceof DatabaseError)) throw error
  // A table has other columns meanwhile.
  const isOutdated = error.routine === "RevalidateCachedQuery"
  if (!isOutdated && error.code !== noSuchStatement) throw error
  if (client.getTransactionStatus() !== "I") throw error
  // None of it has been run.
  if (isOutdated) await client.query(`DEALLOCATE ${escapeIdentifier(name)}`)
  forget(client, name)
}

const noSuchStatement = "26000"
const queryCanceled = "57014"
const readOnly = "25006"

// The answer to what has failed comes by itself, but for those statements that it was not waited for.
const patience = 1000

// A request that comes before its statement has no effect, and each ends one statement of several.
const patienceBetween = 500

const within = (millis: number, settled: Promise<void> | undefined): Promise<void> => {
  if (millis === 0) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis)
    void settled?.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

const askedAgain = ({ cause, code, detail, endpoint, reason }: PgError): PgError =>
  new PgError({ reason, endpoint, code, detail, cause, isAskedAgain: true })

// One that waits for its client, to read or to send more, may wait for what is gone.
const active = `SELECT FROM pg_stat_activity
  WHERE pid = $1 AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'`

const isActive = async (client: Client, process: unknown): Promise<boolean> => {
  await client.connect()
  const { rowCount } = await client.query(active, [process])
  await client.end()
  return rowCount === 1
}

const processOf = async (client: Client): Promise<number | undefined> => {
  const { rows } = await client.query<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid")
  return rows[0]?.pid
}
