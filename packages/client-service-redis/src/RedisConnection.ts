/**
 * One connection to a Redis server.
 *
 * @since 0.1.0
 */
import type { RedisArgument, RedisClientType } from "@redis/client"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import type { Calls } from "./internal/calls.js"
import type { OwnClients } from "./internal/ownClients.js"
import type { Subscriptions } from "./internal/subscriptions.js"
import type { RedisError } from "./RedisError.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("effect-client-service-redis/RedisConnection")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * A client of `@redis/client`, which speaks RESP3 and has a method for every command.
 *
 * @since 0.1.0
 * @category models
 */
export type Client = RedisClientType

/**
 * One connection to a Redis server: a client that is connected once, and never again when it is lost.
 *
 * Its callers share it. So it refuses, by a `RedisError` of reason `Session`, what changes the connection for all of them,
 * such as `SELECT`, `WATCH` and `SUBSCRIBE`; what keeps back its answer, such as `BLPOP`, runs on a connection of its own; and
 * so do all subscriptions.
 *
 * @since 0.1.0
 * @category models
 */
export interface RedisConnection extends Session {
  readonly [TypeId]: TypeId
  /** @internal The name of the endpoint. */
  readonly endpoint: string
  /** @internal When the server last gave a sign of life. */
  readonly lastHeard: () => number | undefined
  /** @internal */
  readonly calls: Calls
  /**
   * Those that read for a consumer of a group, each of which lasts so long that it would keep others waiting.
   * @internal
   */
  readonly reads: Calls
  /**
   * What consumers of groups ask for besides, of which there is no more than they were given: a queue that is full for others
   * neither keeps it waiting nor fails it.
   * @internal
   */
  readonly ofGroups: Calls
  /** @internal */
  readonly subscriptions: Subscriptions
  /** @internal */
  readonly own: OwnClients
  /** @internal */
  readonly session: (signal: ConnectionSignal<RedisError>) => Effect.Effect<Session, RedisError, Scope.Scope>
  /** @internal */
  readonly errorOf: (error: unknown) => RedisError
  /** @internal Why arguments can't be sent, if they can't. */
  readonly refusalOf: (args: ReadonlyArray<RedisArgument>) => RedisError | undefined
}

/**
 * A client that is connected, and how commands are run on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  /** The client itself, whose commands are not counted by `maxInFlight`. One that is shared refuses to be closed. */
  readonly client: Client
  /**
   * Runs commands on this connection, as `Redis.use` does on that of the moment. When the connection is lost, fails with
   * a `RedisError` of reason `Lost`. A command of a session that blocks ends on the server with its caller.
   */
  readonly run: <A>(f: (client: Client) => Promise<A>) => Effect.Effect<A, RedisError>
}
