import * as Validate from "effect-client-service-driver/Validate"
import type { ClientConfig } from "pg"
import { type SessionAttributes, sessionAttributes } from "./sessionAttributes.js"

interface OfUrl {
  readonly targetSessionAttrs: SessionAttributes | undefined
  readonly config: ClientConfig
}

/** What a URL says, with the parts that `pg` does not look at, where no option takes their place. */
export const ofUrl = (where: string, connectionString: string, options: ClientConfig = {}): OfUrl => {
  const refuse = (value: string, expected: string) => Validate.refuse(where, "url", value, expected)
  const query = new URLSearchParams(/\?(.*)$/s.exec(connectionString)?.[1] ?? "")
  for (const name of query.keys()) {
    if (!parts.has(name)) refuse(`?${name}=`, `without query parts but ${[...parts].join(", ")}`)
  }
  const timeout = query.get("connect_timeout")
  if (timeout !== null && !/^\d+$/.test(timeout)) refuse(`?connect_timeout=${timeout}`, "a whole number of seconds")
  const binding = query.get("channel_binding")
  if (binding !== null && !bindings.includes(binding)) refuse(`?channel_binding=${binding}`, bindings.join(", "))
  const attributes = query.get("target_session_attrs")
  return {
    targetSessionAttrs:
      attributes === null ? undefined : sessionAttributes(where, "url: target_session_attrs", attributes),
    config: {
      connectionString: withOptions(connectionString, options),
      ...(timeout === null ? {} : { connectionTimeoutMillis: Number(timeout) * 1000 }),
      ...(binding === null ? {} : { enableChannelBinding: binding !== "disable" })
    }
  }
}

// `pg` has the URL take the place of the options, with the parts that it lacks too.
const withOptions = (connectionString: string, options: ClientConfig): string => {
  const url = attempt(() => new URL(connectionString))
  if (url === undefined) return connectionString
  const query = url.searchParams
  query.delete("target_session_attrs")
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    if (name === "ssl") for (const part of parts) if (part.startsWith("ssl")) query.delete(part)
    query.delete(name)
    // Before the rest of the URL, which has no place for a part that is not there.
    if (login.includes(name) && typeof value !== "function") query.set(name, String(value))
    if (name === "database") url.pathname = `/${encodeURI(String(value))}`
  }
  return url.href
}

const login = ["user", "password", "host", "port"]

const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** The URLs of the hosts that a URL has, of which there may be several with commas between them. */
export const ofEachHost = (url: string): ReadonlyArray<string> => {
  const [, before = "", hosts = url, after = ""] = /^([a-z]+:\/\/(?:[^@/?]*@)?)([^/?]*)(.*)$/s.exec(url) ?? []
  return hosts.split(",").map((host) => `${before}${host}${after}`)
}

const bindings = ["disable", "prefer", "require"]

const parts = new Set([
  ...["host", "port", "user", "password", "database"],
  ...["ssl", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "uselibpqcompat", "channel_binding"],
  ...["application_name", "fallback_application_name", "client_encoding", "encoding", "options", "replication", "db"],
  ...[
    "connect_timeout",
    "target_session_attrs",
    "statement_timeout",
    "lock_timeout",
    "query_timeout",
    "idle_in_transaction_session_timeout"
  ]
])
