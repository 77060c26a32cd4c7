import { ErrorReply } from "@redis/client"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import { EndpointsFailed } from "effect-client-service/EndpointsFailed"
import * as Race from "effect-client-service/Race"
import type { RedisConnection } from "../RedisConnection.js"
import { fromClientError, type Reason, RedisError } from "../RedisError.js"
import { connect, errorOf, type Login, opened, type Settings } from "./connection.js"

export interface Options {
  /** The name of the endpoint. */
  readonly name: string
  /** What the sentinels call the master. */
  readonly master: string
  /** How each of them is connected to. */
  readonly sentinels: ReadonlyArray<Settings>
  /** How long each of them has to answer. */
  readonly timeout: Duration.Duration
  /** How the master is connected to where it is. */
  readonly settingsAt: (host: string, port: number) => Settings
}

type LoginNow = Effect.Effect<Login, RedisError>

/**
 * Connects to the master that the sentinels name. What one of them says may be out of date, so an attempt that fails with that
 * has the next one begin with another.
 */
export const connectToMaster = (
  options: Options
): ((
  login: LoginNow,
  sentinelLogin: LoginNow,
  signal: ConnectionSignal<RedisError>
) => Effect.Effect<RedisConnection, RedisError, Scope.Scope>) => {
  let first = 0
  return (login, sentinelLogin, signal) =>
    Effect.gen(function* () {
      const given = yield* sentinelLogin
      const { host, index, port, sentinel } = yield* firstAnswer(options, given, first)
      // Until it is connected to. An attempt that hangs is interrupted.
      first = index + 1
      const said = `${sentinel} says that the master is ${host}:${port}`
      const settings = options.settingsAt(host, port)
      const connection = yield* Effect.mapError(
        connect(settings, login, signal, (role) => roleFailureOf(role, settings.name)),
        (error) => told(error, said)
      )
      first = index
      return connection
    })
}

interface Answer {
  readonly index: number
  readonly sentinel: string
  readonly host: string
  readonly port: number
}

const firstAnswer = (
  { master, name, sentinels, timeout }: Options,
  login: Login,
  first: number
): Effect.Effect<Answer, RedisError> =>
  Effect.gen(function* () {
    const failures: Array<RedisError> = []
    for (let i = 0; i < sentinels.length; i++) {
      const index = (first + i) % sentinels.length
      const sentinel = sentinels[index]
      if (sentinel === undefined) continue
      const answer = yield* Effect.either(within(timeout, sentinel.name, ask(sentinel, master, login)))
      if (Either.isRight(answer)) return { index, sentinel: sentinel.name, ...answer.right }
      failures.push(answer.left)
    }
    return yield* noAnswer(failures, name)
  })

/** Asks a sentinel where the master is. */
const ask = (
  sentinel: Settings,
  master: string,
  login: Login
): Effect.Effect<{ readonly host: string; readonly port: number }, RedisError> =>
  Effect.scoped(
    Effect.gen(function* () {
      // Its loss fails what it is asked.
      const { client } = yield* opened(sentinel, Effect.succeed(login), { lost: () => {} })
      const answer = yield* Effect.tryPromise({
        try: () => client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master]),
        catch: errorOf(sentinel)
      })
      const [host, port] = Array.isArray(answer) ? answer.map(String) : []
      if (host !== undefined && /^\d+$/.test(port ?? "")) return { host, port: Number(port) }
      return yield* new RedisError({
        reason: "NoMaster",
        endpoint: sentinel.name,
        detail: answer === null ? master : `${master}: ${JSON.stringify(answer)}`
      })
    })
  )

const within = <A>(
  timeout: Duration.Duration,
  endpoint: string,
  self: Effect.Effect<A, RedisError>
): Effect.Effect<A, RedisError> =>
  Race.firstOf(
    Effect.interruptible(self),
    Effect.zipRight(
      Effect.interruptible(Effect.sleep(timeout)),
      new RedisError({ reason: "Unreachable", endpoint, detail: "it does not answer in time" })
    )
  )

const noAnswer = (failures: ReadonlyArray<RedisError>, endpoint: string): RedisError => {
  const cause = new EndpointsFailed({
    failures: failures.map((error) => ({ endpoint: error.endpoint, cause: Cause.fail(error) }))
  })
  const refused = failures.find(({ reason }) => reason === "Authentication")
  return new RedisError({
    reason: reasonOf(failures),
    endpoint,
    code: refused?.code,
    detail: failures.map(({ message }) => message).join("; "),
    cause,
    isAskedAgain: refused?.isAskedAgain
  })
}

// One that can't be reached may yet take the credentials.
const reasonOf = (failures: ReadonlyArray<RedisError>): Reason => {
  if (failures.every(({ reason }) => reason === "Authentication")) return "Authentication"
  return failures.some(({ reason }) => reason === "NoMaster") ? "NoMaster" : "NoSentinel"
}

const roleFailureOf = (role: string | ErrorReply | undefined, endpoint: string): RedisError | undefined => {
  if (role === "master") return undefined
  if (role instanceof ErrorReply) return fromClientError(role, endpoint)
  return new RedisError({ reason: "NotReady", endpoint, detail: `its role is ${role ?? "not known"}` })
}

const told = ({ cause, code, detail, endpoint, isAskedAgain, reason }: RedisError, said: string): RedisError =>
  new RedisError({ reason, endpoint, code, detail: `${said}: ${detail ?? reason}`, cause, isAskedAgain })
