import type { ConnectionOptions } from "node:tls"
import { ClientClosedError, createClient, ErrorReply } from "@redis/client"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import { type Client, type RedisConnection, type Session, TypeId } from "../RedisConnection.js"
import { fromClientError, RedisError } from "../RedisError.js"
import { Calls, type Limits } from "./calls.js"
import { type Observer, observe } from "./events.js"
import { type Call, measure, refusalOf, type Sizes, sizesOf } from "./load.js"
import { type Opening, type Others, type OwnClient, OwnClients } from "./ownClients.js"
import { notReady, ping } from "./ping.js"
import { share } from "./sharedClient.js"
import { watchSocket } from "./socketSigns.js"
import { Subscriptions } from "./subscriptions.js"

type ClientOptions = NonNullable<Parameters<typeof createClient>[0]>

export interface Settings extends Limits {
  readonly name: string
  readonly socket: NonNullable<ClientOptions["socket"]>
  readonly username: string | undefined
  readonly database: number | undefined
  readonly clientName: string | undefined
  /** Whether an Effect gives the password, or the options of TLS. */
  readonly isAskedAgain: boolean
  readonly linger: Duration.Duration
}

/** What a client connects and logs in with, which is had for each. */
export interface Login {
  readonly password: string | undefined
  /** Options of TLS, if the socket is to have it. */
  readonly tls: ConnectionOptions
}

/** Connects a client that its callers share, which the Scope closes. It may fail for the role that the server says it has. */
export const connect = (
  settings: Settings,
  login: Effect.Effect<Login, RedisError>,
  signal: ConnectionSignal<RedisError>,
  checkRole: (role: string | ErrorReply | undefined) => RedisError | undefined = () => undefined
): Effect.Effect<RedisConnection, RedisError, Scope.Scope> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime()
    const clock = yield* Effect.clock
    const loginNow: LoginNow = (signal) => Runtime.runPromise(runtime)(Effect.either(login), { signal })
    const { client, end, lastHeard } = yield* opened(settings, login, signal)
    const [role, limits] = yield* Effect.tryPromise({
      // One after the other without waiting. A user may not be permitted to ask.
      try: () =>
        Promise.all([
          client.sendCommand(["ROLE"]).catch((error) => error),
          numberOf(client, "proto-max-bulk-len"),
          numberOf(client, "client-query-buffer-limit"),
          client.info("server").catch(() => undefined),
          ping(client, notReady)
        ]),
      catch: errorOf(settings)
    }).pipe(Effect.map(([role, ...most]) => [roleOf(role), sizesOf(most[0], most[1], most[2])] as const))
    const failure = checkRole(role)
    if (failure !== undefined) return yield* failure
    const failureOf = (error: unknown) => {
      const failure = errorOf(settings)(error)
      // It was another's turn to be the primary. Whoever asked is told first.
      if (failure.code === "READONLY" && role !== "slave") queueMicrotask(() => end(failure))
      return failure
    }
    const others: Others = {
      unblock: (id) => owner.sendCommand<number>(["CLIENT", "UNBLOCK", String(id)]).then((count) => count === 1),
      kill: (id) => void owner.sendCommand(["CLIENT", "KILL", "ID", String(id)]).catch(() => {})
    }
    const own = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const open = (): Opening => openOwn(settings, loginNow, own, limits, { threw: warning(runtime), clock })
        const own: OwnClients = new OwnClients(open, others)
        return own
      }),
      (own) => Effect.sync(() => own.close())
    )
    const spoiled = () => end(new RedisError({ reason: "Lost", endpoint: settings.name, detail: leftOpen }))
    const owner = share(client, own, settings.name, spoiled)
    measure(client, { endpoint: settings.name, limits })
    const calls = new Calls(client, settings, failureOf, settings.name)
    return {
      [TypeId]: TypeId,
      endpoint: settings.name,
      lastHeard,
      client,
      run: calls.run,
      calls,
      reads: new Calls(client, settings, failureOf, settings.name),
      ofGroups: new Calls(client, unlimited, failureOf, settings.name),
      subscriptions: new Subscriptions(own, settings.linger),
      own,
      session: (signal) => session(settings, login, signal, others, limits, failureOf),
      errorOf: failureOf,
      refusalOf: (args) => refusalOf(args, { endpoint: settings.name, limits })
    }
  })

const roleOf = (answer: unknown): string | ErrorReply | undefined => {
  if (Array.isArray(answer)) return String(answer[0])
  return answer instanceof ErrorReply ? answer : undefined
}

const leftOpen = "a transaction could be neither run nor discarded"

type LoginNow = (signal: AbortSignal) => Promise<Either.Either<Login, RedisError>>

const unlimited: Limits = {
  maxInFlight: Number.POSITIVE_INFINITY,
  maxInFlightBytes: Number.POSITIVE_INFINITY,
  maxWaiting: 0
}

// A user may not be permitted to ask.
const numberOf = (client: Client, setting: string): Promise<number | undefined> =>
  client.configGet(setting).then(
    (config) => Number(config[setting]) || undefined,
    () => undefined
  )

/** Connects a client that is its caller's alone. */
const session = (
  settings: Settings,
  login: Effect.Effect<Login, RedisError>,
  signal: ConnectionSignal<RedisError>,
  others: Others,
  limits: Sizes,
  failureOf: (error: unknown) => RedisError
): Effect.Effect<Session, RedisError, Scope.Scope> =>
  Effect.gen(function* () {
    const { client } = yield* opened(settings, login, signal)
    const id = yield* Effect.promise(() => idOf(client))
    measure(client, { endpoint: settings.name, isSession: true, limits })
    const calls = new Calls(client, settings, failureOf, settings.name)
    const answers = new Map<Call, Promise<void>>()
    const run: Session["run"] = (f) =>
      Effect.suspend(() => {
        let call: Call | undefined
        const answer = calls.run((client, asked) => {
          call = asked
          const answer = f(client)
          const answered = () => void answers.delete(asked)
          answers.set(asked, answer.then(answered, answered))
          return answer
        })
        // What the session is asked next comes after that.
        return Effect.onInterrupt(answer, () => (call?.isBlocking ? end(answers.get(call)) : Effect.void))
      })
    const end = (answered: Promise<void> | undefined): Effect.Effect<void> => {
      if (answered === undefined) return Effect.void
      // The server is told a connection, not a command: what it answers may be what another call waits for.
      const ended =
        id === undefined || answers.size > 1
          ? Effect.succeed(false)
          : Effect.tryPromise(() => others.unblock(id).then(() => answered)).pipe(
              Effect.interruptible,
              Effect.timeout(settings.linger),
              Effect.isSuccess
            )
      return Effect.map(ended, (isEnded) => {
        if (isEnded) return
        // It may not have read yet what it was sent.
        if (id !== undefined) others.kill(id)
        client.destroy()
      })
    }
    return { client, run }
  })

const idOf = (client: Client): Promise<number | undefined> =>
  client.sendCommand(["CLIENT", "ID"]).then(Number, () => undefined)

export const errorOf =
  ({ isAskedAgain, name }: Settings) =>
  (error: unknown): RedisError => {
    const failure = fromClientError(error, name)
    if (failure.reason !== "Authentication" || !isAskedAgain) return failure
    const { cause, code, detail, endpoint, reason } = failure
    return new RedisError({ reason, endpoint, code, detail, cause, isAskedAgain })
  }

/** Connects a client, which the Scope closes. */
export const opened = (
  settings: Settings,
  login: Effect.Effect<Login, RedisError>,
  signal: ConnectionSignal<RedisError>
) =>
  Effect.gen(function* () {
    const given = yield* login
    const runtime = yield* Effect.runtime()
    const clock = yield* Effect.clock
    const state = { hasConnected: false, hasEnded: false }
    const end = (error: RedisError): void => {
      state.hasEnded = true
      signal.lost(error)
    }

    const { client, lastHeard } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const lost = (error: unknown) => end(errorOf(settings)(error))
        const closed = () => end(new RedisError({ reason: "Lost", endpoint: settings.name }))
        return makeClient(settings, given, { lost, closed, threw: warning(runtime) }, clock)
      }),
      ({ close, destroy }, exit) =>
        Effect.suspend(() => {
          // Of a server that has gone silent, there is nothing to wait for.
          const isOpen = Exit.isSuccess(exit) && state.hasConnected && !state.hasEnded
          state.hasEnded = true
          return isOpen ? Effect.ignore(Effect.timeout(closed(close), settings.linger)) : Effect.void
        }).pipe(Effect.ensuring(Effect.sync(destroy)))
    )
    yield* Effect.tryPromise({ try: () => client.connect(), catch: errorOf(settings) })
    state.hasConnected = true
    return { client, end, lastHeard }
  })

const warning =
  (runtime: Runtime.Runtime<never>): Observer["threw"] =>
  (error) =>
    void Runtime.runFork(runtime)(Effect.logWarning("a listener of a client has thrown", Cause.die(error)))

const openOwn = (
  settings: Settings,
  login: LoginNow,
  own: OwnClients,
  limits: Sizes,
  { clock, threw }: Pick<Observer, "threw"> & { readonly clock: Clock.Clock }
): Opening => {
  let made: ReturnType<typeof makeClient> | undefined
  const over = new AbortController()
  const open = async (): Promise<OwnClient> => {
    const given = await login(over.signal).catch((error) => {
      throw over.signal.aborted ? new ClientClosedError() : error
    })
    if (over.signal.aborted) throw new ClientClosedError()
    if (Either.isLeft(given)) throw given.left
    let lost = (_: unknown): void => {}
    made = makeClient(settings, given.right, { lost: (error) => lost(error), closed: () => {}, threw }, clock)
    const { client, destroy, lastHeard } = made
    await client.connect()
    const id = await idOf(client)
    let isSpoiled = false
    const spoil = () => {
      isSpoiled = true
    }
    const owner = share(client, own, settings.name, spoil)
    measure(client, { endpoint: settings.name, limits })
    const onLost: OwnClient["onLost"] = (f) => {
      lost = f
    }
    const state = { isOpen: () => client.isOpen, isSpoiled: () => isSpoiled, lastHeard }
    return { client, owner, id, ...state, spoil, onLost, destroy }
  }
  const destroy = () => {
    over.abort()
    made?.destroy()
  }
  return { client: open(), destroy }
}

const makeClient = (settings: Settings, { password, tls }: Login, observer: Observer, clock: Clock.Clock) => {
  // Destroying a client leaves a socket that is not connected yet as it is; aborting it does not.
  const socket = new AbortController()
  const options: ClientOptions = {
    socket: {
      ...(settings.socket.tls === true ? { ...tls, ...settings.socket } : settings.socket),
      reconnectStrategy: false,
      // The limit is the service's, which ends the attempt.
      connectTimeout: 0,
      // The types of node:tls don't know it, though node:tls does.
      ...{ signal: socket.signal }
    },
    RESP: 3,
    disableOfflineQueue: true,
    maintNotifications: "disabled",
    // Without this, every command that is not sent within 5 seconds fails, by a timer of its own.
    commandOptions: { timeout: 0 },
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(password === undefined ? {} : { password }),
    ...(settings.database === undefined ? {} : { database: settings.database }),
    ...(settings.clientName === undefined ? {} : { name: settings.clientName })
  }
  // The client takes an empty text for no login at all, by which whoever is to be another would be the default user.
  if (!password && settings.username) Reflect.set(options, "password", Buffer.alloc(0))
  const client: Client = createClient({ ...options, RESP: 3 })
  observe(client, observer)
  const { lastHeard } = watchSocket(client, clock)
  // Those who share it are refused both.
  const [close, destroyClient] = [client.close.bind(client), client.destroy.bind(client)]
  const destroy = (): void => {
    socket.abort()
    destroyClient()
  }
  return { client, close, destroy, lastHeard }
}

// A finalizer is not interruptible, nor would this be in it.
const closed = (close: () => Promise<void>): Effect.Effect<void> =>
  Effect.interruptible(
    Effect.async<void>((resume) => {
      close().then(
        () => resume(Effect.void),
        () => resume(Effect.void)
      )
    })
  )
