/**
 * Why PostgreSQL could not be connected to, why a connection to it was lost, or what it refused.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { EndpointsFailed } from "effect-client-service/EndpointsFailed"
import * as DriverError from "effect-client-service-driver/DriverError"
import * as Refusal from "effect-client-service-driver/Refusal"
import type * as ConnectError from "effect-client-service-node/ConnectError"

/**
 * The kinds of failures: those of the socket, as of a `ConnectError`, and those that the server tells.
 *
 * - `Authentication`: the password, the user or the way to log in was not accepted (SQLSTATE class 28).
 * - `Credentials`: the Effect that is to give the password has failed.
 * - `NoDatabase`: there is no such database (`3D000`).
 * - `SessionAttributes`: the server is not of the kind that `targetSessionAttrs` asks for.
 * - `Unavailable`: the server takes no connection now: it starts up, shuts down or recovers (`57P03`), or has too many
 *   (`53300`).
 * - `Terminated`: the server ended the connection and said so: an administrator did it, it shuts down, or a limit of the
 *   session was over (`57P01`, `57P02`, `57P04`, `57P05`, `25P03`, `25P04`).
 * - `Query`: the server refused a statement, with any other SQLSTATE.
 * - `OpenTransaction`: whoever had the connection for a turn has left a transaction open at its end, which was rolled back.
 * - `EndedTransaction`: a statement of a transaction has ended that, such as `COMMIT`, and what comes after it would be in none; or
 *   the savepoint has ended that the fiber was in.
 * - `NotHeard`: what is listened to is not heard, since a pooler lends another session of the server for each transaction.
 * - `Overloaded`: as many transactions as there may be are under way, and none ended in time; or as many callers as may wait for
 *   their turn do. This one was not begun.
 * - `RolledBack`: a transaction was to be committed, and the server rolled it back, since a statement of it had failed; or
 *   a part of it, within a savepoint, was.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | ConnectError.Reason
  | "Authentication"
  | "Credentials"
  | "NoDatabase"
  | "SessionAttributes"
  | "Unavailable"
  | "Terminated"
  | "Query"
  | "OpenTransaction"
  | "Overloaded"
  | "RolledBack"
  | "EndedTransaction"
  | "NotHeard"

/**
 * An attempt to connect failed, a connection was lost, or a statement was refused.
 *
 * Neither the message nor any field has the password or the URL. The `cause` of a statement that was
 * refused may have values of it, as `pg` has them in its `detail`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PgError extends Data.TaggedError("PgError")<{
  readonly reason: Reason
  /** The name of the endpoint. */
  readonly endpoint: string
  /** The SQLSTATE that the server told, such as `28P01`, or the error code of Node.js, such as `ECONNREFUSED`. */
  readonly code?: string | undefined
  /** What the server, `pg` or Node.js says. */
  readonly detail?: string | undefined
  /** The error of `pg` or of Node.js, or of the Effect that was to give the password. */
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
export type ConnectFailure = PgError | EndpointsFailed<ConnectFailure>

/**
 * Whether trying again will not help, until somebody changes the configuration here or at the server: the reason is
 * `Authentication` or `NoDatabase`. Not so where an Effect gives the password or TLS, since the next attempt asks it again; and
 * of several endpoints, only if it is so of each. For a policy that is to end then.
 *
 * @example
 * ```ts
 * import { PgEndpoint, PgError, PgService } from "effect-client-service-pg"
 *
 * const PgLive = PgService.layer({
 *   endpoint: PgEndpoint.make({ host: "db.example.com" }),
 *   retryPolicy: { while: (error) => !PgError.isFatal(error) }
 * })
 * ```
 *
 * @since 0.1.0
 * @category classification
 */
export const isFatal: (error: unknown) => boolean = Refusal.isFinal(
  (error) =>
    error instanceof PgError &&
    (error.reason === "NoDatabase" || (error.reason === "Authentication" && error.isAskedAgain !== true))
)

const meanings: Record<Reason, string> = {
  Authentication: "the server does not accept this login",
  Credentials: "the password, or options of TLS, could not be had",
  NoDatabase: "there is no such database",
  SessionAttributes: "the server is not of the kind that is asked for",
  Unavailable: "the server takes no connection now",
  Terminated: "the server ended the connection",
  Query: "the server refused the statement",
  NotHeard: "a pooler of transactions is in between, through which nothing is heard of what is listened to",
  Overloaded: "too many transactions are under way, or callers wait",
  RolledBack: "a statement of it had failed, so it is rolled back",
  EndedTransaction: "the transaction, or the savepoint, that it is in has ended",
  OpenTransaction: "a transaction was left open, and is rolled back",
  Refused: "nothing accepts connections there; is the server running, and is this its address?",
  Dns: "the name of the host could not be looked up",
  TimedOut: "no answer",
  Unreachable: "there is no route to it",
  Tls: "the TLS handshake failed",
  Reset: "the connection broke off",
  Permission: "this process is not permitted to connect there",
  Other: "it failed"
}
