import * as Effect from "effect/Effect"
import * as Validate from "effect-client-service-driver/Validate"
import type { PgConnection } from "../PgConnection.js"
import { PgError } from "../PgError.js"

/** What kind of a server a session is to be on, by the names that libpq has for them. */
export type SessionAttributes = (typeof all)[number]

const all = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] as const

/** The one of a name. An error that refuses another has what is `told` of it. */
export const sessionAttributes = (
  where: string,
  option: string,
  value: string,
  told: (value: string) => string = (value) => value
): SessionAttributes =>
  all.find((one) => one === value) ?? Validate.refuse(where, option, told(value), `one of ${all.join(", ")}`)

/** Fails if a connection is to a server of another kind. */
export const ensure = (wanted: SessionAttributes, connection: PgConnection): Effect.Effect<unknown, PgError> => {
  // Who prefers one has another rather than none.
  if (wanted === "any" || wanted === "prefer-standby") return Effect.void
  return Effect.filterOrFail(
    connection.query<Server>(question),
    ({ rows: [server] }) => server !== undefined && isWanted[wanted](server),
    () => new PgError({ reason: "SessionAttributes", endpoint: connection.endpoint, detail: `not ${wanted}` })
  )
}

interface Server {
  readonly isStandby: boolean
  readonly isReadOnly: boolean
}

const question = `SELECT pg_catalog.pg_is_in_recovery() AS "isStandby",
  pg_catalog.current_setting('transaction_read_only') = 'on' AS "isReadOnly"`

const isWanted: Record<Exclude<SessionAttributes, "any" | "prefer-standby">, (server: Server) => boolean> = {
  primary: ({ isStandby }) => !isStandby,
  standby: ({ isStandby }) => isStandby,
  "read-write": ({ isReadOnly }) => !isReadOnly,
  "read-only": ({ isReadOnly }) => isReadOnly
}
