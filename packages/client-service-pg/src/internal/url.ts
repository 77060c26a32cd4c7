import * as Validate from "effect-client-service-driver/Validate"
import type { ClientConfig } from "pg"

/** What a URL says, with the parts that `pg` does not look at. */
export const ofUrl = (connectionString: string): ClientConfig => {
  const where = "PgEndpoint.make"
  const refuse = (value: string, expected: string) => Validate.refuse(where, "url", value, expected)
  const query = new URLSearchParams(/\?(.*)$/s.exec(connectionString)?.[1] ?? "")
  for (const name of query.keys()) {
    if (!parts.has(name)) refuse(`?${name}=`, `without query parts but ${[...parts].join(", ")}`)
  }
  const timeout = query.get("connect_timeout")
  if (timeout !== null && !/^\d+$/.test(timeout)) refuse(`?connect_timeout=${timeout}`, "a whole number of seconds")
  const binding = query.get("channel_binding")
  if (binding !== null && !bindings.includes(binding)) refuse(`?channel_binding=${binding}`, bindings.join(", "))
  return {
    connectionString,
    ...(timeout === null ? {} : { connectionTimeoutMillis: Number(timeout) * 1000 }),
    ...(binding === null ? {} : { enableChannelBinding: binding !== "disable" })
  }
}

const bindings = ["disable", "prefer", "require"]

const parts = new Set([
  ...["host", "port", "user", "password", "database"],
  ...["ssl", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "uselibpqcompat", "channel_binding"],
  ...["application_name", "fallback_application_name", "client_encoding", "encoding", "options", "replication", "db"],
  ...["connect_timeout", "statement_timeout", "lock_timeout", "query_timeout", "idle_in_transaction_session_timeout"]
])
