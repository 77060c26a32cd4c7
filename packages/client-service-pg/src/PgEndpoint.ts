/**
 * PostgreSQL as an endpoint of a `ClientService`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Endpoint from "effect-client-service/Endpoint"
import * as InvalidOption from "effect-client-service/InvalidOption"
import * as Address from "effect-client-service-driver/Address"
import * as Validate from "effect-client-service-driver/Validate"
import { Client, type ClientConfig } from "pg"
import { ClientConnection } from "./internal/clientConnection.js"
import { ofConnectionString } from "./internal/connectionString.js"
import { PasswordFailure } from "./internal/pgFailure.js"
import type { PgConnection } from "./PgConnection.js"
import type { PgError } from "./PgError.js"

/**
 * The options of a `pg.Client`, and a few more. What is not given is taken from `PGHOST`, `PGUSER` and so on, as `pg`
 * does.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends Omit<ClientConfig, "connectionString" | "password"> {
  /**
   * Such as `postgres://user:password@host:5432/database`. Its parts have precedence over the other options. A query part
   * that is not among those of `pg`, `connect_timeout` and `channel_binding` is refused.
   */
  readonly connectionString?: string | Redacted.Redacted | undefined
  /**
   * The password; or what gives it, which is called at every attempt. When that fails, so does the attempt, by a `PgError`
   * of reason `Credentials`, and the next one asks again.
   */
  readonly password?: string | Redacted.Redacted | (() => string | Promise<string>) | undefined
  /** The name of the endpoint, for logs, spans and errors. Default: such as `postgres://host:5432/database`. */
  readonly name?: string | undefined
  /**
   * How long closing waits until the server has closed as well, before the socket is destroyed. Keep it below the
   * `closeTimeout` of the service. Default 1 second.
   */
  readonly linger?: Duration.DurationInput | undefined
}

/**
 * Connects to PostgreSQL by a `pg.Client` of its own for every connection. The name of the host is looked up, and a
 * `password` that is a function is called, at every attempt.
 *
 * Fails, and loses its connections, with a `PgError`.
 *
 * @example
 * ```ts
 * import { ClientService } from "effect-client-service"
 * import { PgEndpoint } from "effect-client-service-pg"
 *
 * const service = ClientService.make({
 *   endpoint: PgEndpoint.make({ host: "db.example.com", user: "app", database: "app" })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = (options: Options): Endpoint.Endpoint<PgConnection, PgError> => {
  const where = "PgEndpoint.make"
  const linger = Validate.finiteDuration(where, "linger", options.linger ?? "1 second")
  if (options.port !== undefined) Validate.integer(where, "port", options.port, 1, 65535)
  if (options.host !== undefined) Validate.text(where, "host", options.host)
  const config = configOf(options)
  const { database, host: given, port } = clientOf(where, config)
  const isPath = given.startsWith("/")
  const host = isPath ? Address.path(where, "host", given) : Address.host(where, "host", given)
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const address = isPath ? `${host}/.s.PGSQL.${port}` : authority
  return Endpoint.make({
    name: Validate.text(where, "name", options.name ?? `postgres://${authority}/${database ?? ""}`),
    connect: (signal: Endpoint.ConnectionSignal<PgError>) =>
      Effect.acquireRelease(
        Effect.sync(() => new ClientConnection(config, host, address, signal)),
        (connection) => connection.close(linger)
      ).pipe(Effect.flatMap((connection) => connection.connect))
  })
}

const configOf = ({ connectionString, linger: _linger, name: _name, password, ...config }: Options): ClientConfig => ({
  ...config,
  ...(connectionString === undefined ? {} : ofConnectionString(reveal(connectionString))),
  ...(password === undefined ? {} : { password: typeof password === "function" ? asking(password) : reveal(password) })
})

// What it throws is not the server's, whatever it is.
const asking = (password: () => string | Promise<string>) => async (): Promise<string> => {
  try {
    const given: unknown = await password()
    if (typeof given === "string") return given
  } catch (cause) {
    throw new PasswordFailure("The password could not be had", { cause })
  }
  throw new PasswordFailure("The password could not be had", { cause: new TypeError("It is no text") })
}

// Made once as well, so that what makes no sense is refused before the first attempt.
const clientOf = (where: string, config: ClientConfig): Client => {
  try {
    return new Client(config)
  } catch {
    // The error tells the connection string.
    throw new InvalidOption.InvalidOption({
      where,
      option: "connectionString or sslnegotiation",
      value: "(not shown)",
      expected: "what pg can use"
    })
  }
}

const reveal = (secret: string | Redacted.Redacted): string =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
