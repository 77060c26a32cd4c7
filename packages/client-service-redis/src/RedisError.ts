/**
 * Why a server could not be connected to, a connection was lost, or a command failed.
 *
 * @since 0.1.0
 */
import {
  AbortError,
  ClientClosedError,
  ClientOfflineError,
  DisconnectsClientError,
  ErrorReply,
  MultiErrorReply,
  SocketClosedUnexpectedlyError,
  WatchError
} from "@redis/client"
import * as Data from "effect/Data"
import type { EndpointsFailed } from "effect-client-service/EndpointsFailed"
import * as DriverError from "effect-client-service-driver/DriverError"
import * as Refusal from "effect-client-service-driver/Refusal"

/**
 * The kinds of failures.
 *
 * - `Authentication`: the server does not take the credentials, or demands some.
 * - `Credentials`: they could not be had from where they are kept.
 * - `NoDatabase`: the server has no database of that number, or none but the first, as one of a cluster.
 * - `Refused`: nothing listens there.
 * - `Unreachable`: no connection could be made for another reason, such as a name that has no address, no route or a TLS
 *   handshake that failed.
 * - `NotReady`: the server can't do this now: it loads its data, is a replica, has no primary, runs a script, or another of its
 *   cluster has the key.
 * - `NoSentinel`: no sentinel answers.
 * - `NoMaster`: no sentinel that answers knows the master.
 * - `Lost`: the connection is lost or closed. A command may have been run, or may not.
 * - `Command`: the server answered the command with another error.
 * - `Session`: the command is for a connection of its own, since it changes or ends the one that callers share.
 * - `Conflict`: what `Redis.watch` watched has changed. Nothing was written.
 * - `Overloaded`: too many calls wait already, or as many sessions as there may be are open. Nothing was sent.
 * - `Invalid`: what was asked can't be sent, such as an argument that is no string, or is larger than the server takes. Nothing
 *   was sent.
 * - `Other`: a function that was to use a client has failed for a reason of its own.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | "Authentication"
  | "Credentials"
  | "NoDatabase"
  | "Refused"
  | "Unreachable"
  | "NotReady"
  | "NoSentinel"
  | "NoMaster"
  | "Lost"
  | "Command"
  | "Session"
  | "Conflict"
  | "Overloaded"
  | "Invalid"
  | "Other"

/**
 * A server could not be connected to, a connection was lost, or a command failed.
 *
 * It never has the password, and never what a server repeats of the arguments of a command.
 *
 * @since 0.1.0
 * @category errors
 */
export class RedisError extends Data.TaggedError("RedisError")<{
  readonly reason: Reason
  /** The name of the endpoint. */
  readonly endpoint: string
  /** The first word of the server's answer, such as `WRONGTYPE`, or the code of Node.js, such as `ECONNREFUSED`. */
  readonly code?: string | undefined
  /** What the server, the client or Node.js says. */
  readonly detail?: string | undefined
  /**
   * The error of the client or of Node.js, or of the Effect that was to give the password; or, of sentinels, an
   * `EndpointsFailed` that tells what each of them said.
   */
  readonly cause?: unknown
  /** Whether an Effect gives the password, or the options of TLS, which the next attempt runs again. */
  readonly isAskedAgain?: boolean | undefined
}> {
  override get message(): string {
    return DriverError.messageOf(this, meanings[this.reason])
  }

  override toJSON(): unknown {
    return DriverError.toJSON(this)
  }
}

/**
 * Why an attempt to connect has failed, or a connection was lost: by an endpoint, or by each of several, as
 * `Endpoint.failover` and `Endpoint.happyEyeballs` tell it.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectFailure = RedisError | EndpointsFailed<ConnectFailure>

/**
 * Makes a `RedisError` of what `@redis/client` or a socket failed with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromClientError = (error: unknown, endpoint: string): RedisError => {
  if (error instanceof RedisError) return error
  if (!(error instanceof Error)) return new RedisError({ reason: "Other", endpoint, detail: String(error) })
  if (error instanceof MultiErrorReply) {
    // Of several commands, the first that has failed tells for all.
    const first = error.replies.find((reply) => reply instanceof ErrorReply)
    if (first !== undefined) return fromReply(first, endpoint)
  }
  if (error instanceof ErrorReply) return fromReply(error, endpoint)
  const { code, syscall } = nodeErrorOf(error)
  return new RedisError({ reason: reasonOf(error, code, syscall), endpoint, code, detail: error.message, cause: error })
}

/**
 * Whether trying again is of no use until somebody changes the configuration, here or at the server: the reason is
 * `Authentication` or `NoDatabase`. Not so where an Effect gives the password or TLS, since the next attempt asks it again; and of
 * several endpoints, only if it is so of each.
 *
 * @example
 * ```ts
 * import { Redis, RedisEndpoint, RedisError } from "effect-client-service-redis"
 *
 * const RedisLive = Redis.layer({
 *   endpoint: RedisEndpoint.make({ host: "redis.example.com" }),
 *   retryPolicy: { while: (error) => !RedisError.isFatal(error) }
 * })
 * ```
 *
 * @since 0.1.0
 * @category classification
 */
export const isFatal: (error: unknown) => boolean = Refusal.isFinal(
  (error) =>
    error instanceof RedisError &&
    (error.reason === "NoDatabase" || (error.reason === "Authentication" && error.isAskedAgain !== true))
)

const meanings: Record<Reason, string> = {
  Authentication: "the server does not accept these credentials",
  Credentials: "the credentials could not be had",
  NoDatabase: "the server has no such database",
  Refused: "nothing accepts connections there; is the server running, and is this its address?",
  Unreachable: "no connection could be made",
  NotReady: "the server can't do this now",
  NoSentinel: "no sentinel answers",
  NoMaster: "the sentinels know no such master",
  Lost: "the connection was lost",
  Command: "the command failed",
  Session: "the command is not for a connection that is shared",
  Conflict: "what was watched has changed, and nothing was written",
  Overloaded: "too many at a time",
  Invalid: "what was asked can't be sent",
  Other: "it failed"
}

const replyReasons: ReadonlyMap<string, Reason> = new Map([
  ["WRONGPASS", "Authentication"],
  ["NOAUTH", "Authentication"],
  ["LOADING", "NotReady"],
  ["READONLY", "NotReady"],
  ["MASTERDOWN", "NotReady"],
  ["BUSY", "NotReady"],
  ["CLUSTERDOWN", "NotReady"],
  ["TRYAGAIN", "NotReady"],
  // Slots of a cluster come and go.
  ["MOVED", "NotReady"],
  ["ASK", "NotReady"],
  ["NOREPLICAS", "NotReady"],
  // It has become a replica while the command waited.
  ["UNBLOCKED", "NotReady"],
  ["MISCONF", "NotReady"],
  ["OOM", "NotReady"]
])

const fromReply = (reply: ErrorReply, endpoint: string): RedisError => {
  // What a transaction is discarded for says more than that it is.
  const message = reply.message.replace(/^EXECABORT Transaction discarded because of: /, "")
  const code = /^[A-Z]+(?= |$)/.exec(message)?.[0]
  const reason = replyReasons.get(code ?? "") ?? reasonOfText(message)
  // A server that knows no HELLO would repeat the password that came with it, as one does that is given to a user in vain.
  const detail = message
    .replace(/,? with args beginning with:.*$/s, "")
    .replace(/^(ERR Error in ACL SETUSER modifier|ERR Unknown option .* CONFIG SET -) '.*'/s, "$1 '...'")
  return new RedisError({ reason, endpoint, code, detail, cause: detail === message ? reply : undefined })
}

// What has no code of its own.
const reasonOfText = (text: string): Reason => {
  if (text.startsWith("ERR max number of clients")) return "NotReady"
  return /^ERR (DB index is out of range|SELECT is not allowed in cluster mode)/.test(text) ? "NoDatabase" : "Command"
}

const lossesOfClient = [
  AbortError,
  ClientClosedError,
  ClientOfflineError,
  DisconnectsClientError,
  SocketClosedUnexpectedlyError
]

const codesOfLoss = ["ECONNRESET", "ECONNABORTED", "EPIPE", "ABORT_ERR"]

// Of a Unix socket, ENOENT is that there is none, and EAGAIN that too many connections wait.
const codesOfRefusal = ["ECONNREFUSED", "ENOENT", "EAGAIN"]

const reasonOf = (error: Error, code: string | undefined, syscall: string | undefined): Reason => {
  if (error instanceof WatchError) return "Conflict"
  if (lossesOfClient.some((loss) => error instanceof loss)) return "Lost"
  if (code === undefined) return "Other"
  if (codesOfLoss.includes(code) || syscall === "read" || syscall === "write") return "Lost"
  if (codesOfRefusal.includes(code)) return "Refused"
  return code === "ERR_INVALID_ARG_TYPE" ? "Invalid" : "Unreachable"
}

const nodeErrorOf = (error: Error): { readonly code: string | undefined; readonly syscall: string | undefined } => ({
  code: "code" in error && typeof error.code === "string" ? error.code : undefined,
  syscall: "syscall" in error && typeof error.syscall === "string" ? error.syscall : undefined
})
