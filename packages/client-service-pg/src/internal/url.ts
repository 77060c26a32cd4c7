import * as Validate from "effect-client-service-driver/Validate"
import type { ClientConfig } from "pg"
import type { Config } from "./newClient.js"
import { type SessionAttributes, sessionAttributes } from "./sessionAttributes.js"

interface OfUrl {
  readonly targetSessionAttrs: SessionAttributes | undefined
  readonly config: Config
}

/** What a URL says, with the parts that `pg` does not look at, where no option takes their place. */
export const ofUrl = (where: string, connectionString: string, options: ClientConfig = {}): OfUrl => {
  // What follows a question mark in a password looks like a query.
  const mayTell = !/\?.*@/s.test(connectionString)
  const told = (value: string) => (mayTell ? value : "<redacted>")
  const refuse = (value: string, expected: string) => Validate.refuse(where, "url", told(value), expected)
  if (!/^(postgres(ql)?:\/\/|socket:|\/)/i.test(connectionString)) {
    refuse("<redacted>", "postgres://, postgresql:// or socket:, or the folder of a socket")
  }
  if (/[\t\n\r]/.test(connectionString.trim())) refuse("<redacted>", "without a line end or a tab within it")
  // It may be a password with a slash in it, of which the rest would be the name of the database.
  if (/^[a-z]+:\/\/[^/?]*\/[^?]*@/i.test(connectionString)) {
    refuse("<redacted>", "without an @ after a slash; @ is %40, and a slash of a password %2F")
  }
  if (connectionString.includes("#")) refuse("<redacted>", "without a fragment; # is %23")
  const query = new URLSearchParams(/\?(.*)$/s.exec(connectionString)?.[1] ?? "")
  for (const [name, value] of query) {
    if (!parts.has(name)) refuse(`?${name}=`, `without query parts but ${[...parts].join(", ")}`)
    if (query.getAll(name).length > 1) refuse(`?${name}=`, "with each query part once")
    const other = pairs[name]
    if (other !== undefined && !query.has(other)) refuse(`?${name}=`, `with ${other} beside ${name}`)
    const { expected, isOne } = values[name] ?? any
    if (!isOne(value)) refuse(`?${name}=${value}`, expected)
  }
  const url = urlOf(connectionString)
  for (const [name, isAgreed] of [
    ["database", url === undefined || areAlike(query.get("database"), databaseOf(url))],
    ["db", areAlike(query.get("db"), query.get("database") ?? (url === undefined ? null : databaseOf(url)))],
    ["ssl", agreesOnTls(query)]
  ] as const) {
    if (!isAgreed) refuse(`?${name}=${query.get(name)}`, "as the rest of the URL says")
  }
  const timeout = query.get("connect_timeout")
  const binding = query.get("channel_binding")
  const attributes = query.get("target_session_attrs")
  return {
    targetSessionAttrs:
      attributes === null ? undefined : sessionAttributes(where, "url: target_session_attrs", attributes, told),
    config: {
      connectionString: url === undefined ? connectionString : withOptions(url, options),
      ...(timeout === null ? {} : { connectionTimeoutMillis: Number(timeout) * 1000 }),
      ...(binding === null
        ? {}
        : { enableChannelBinding: binding !== "disable", isBindingRequired: binding === "require" })
    }
  }
}

// `pg` has the URL take the place of the options, with the parts that it lacks too.
const withOptions = (url: URL, options: ClientConfig): string => {
  const query = url.searchParams
  query.delete("target_session_attrs")
  // `pg` looks for it in the path alone, unless that is the one of a socket, and takes the text "false" for true.
  const database = query.get("database") ?? query.get("db")
  if (database !== null && isOfSocket(url)) query.set("db", database)
  else if (database !== null && url.pathname.length <= 1) url.pathname = `/${encodeURI(database)}`
  if (query.get("ssl") === "false") query.set("ssl", "0")
  // It takes them for that one, and warns on the standard error of what they will be one day.
  const isFull = ["prefer", "require", "verify-ca"].includes(query.get("sslmode") ?? "")
  if (isFull && query.get("uselibpqcompat") !== "true") query.set("sslmode", "verify-full")
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

const urlOf = (text: string): URL | undefined => attempt(() => new URL(text)) ?? attempt(() => withoutHost(text))

// Such a one has no place for who logs in.
const withoutHost = (text: string): URL => {
  const url = new URL(text.replace("@/", "@localhost/"))
  const { password, searchParams: query, username } = url
  if (username !== "" && !query.get("user")) query.set("user", decodeURIComponent(username))
  if (password !== "" && !query.get("password")) query.set("password", decodeURIComponent(password))
  url.username = ""
  url.password = ""
  url.hostname = ""
  return url
}

const isOfSocket = ({ protocol }: URL): boolean => protocol === "socket:"

const databaseOf = (url: URL): string | null =>
  isOfSocket(url) || url.pathname.length <= 1 ? null : (attempt(() => decodeURI(url.pathname.slice(1))) ?? null)

const areAlike = (one: string | null, other: string | null): boolean => one === null || other === null || one === other

// `pg` has what follows take the place of `ssl`.
const agreesOnTls = (query: URLSearchParams): boolean => {
  const ssl = query.get("ssl")
  const mode = query.get("sslmode")
  if (ssl === "true" || ssl === "1") return mode !== "disable"
  const isOn = ["sslcert", "sslkey", "sslrootcert"].some((name) => query.has(name)) || mode !== null
  return ssl === null || mode === "disable" || !isOn
}

const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Refuses options that `pg` would take for something else, as the same parts of a URL. */
export const checkOptions = (where: string, options: ClientConfig): void => {
  for (const [name, value] of Object.entries(options)) {
    const { expected, isOne } = values[name] ?? any
    const isGiven = value !== undefined && value !== false && typeof value !== "object"
    if (isGiven && name !== "port" && !isOne(String(value))) Validate.refuse(where, name, value, expected)
  }
}

/** The URLs of the hosts that a URL has, of which there may be several with commas between them. */
export const ofEachHost = (url: string): ReadonlyArray<string> => {
  const [, before = "", hosts = url, after = ""] = /^([a-z]+:\/\/(?:[^/?]*@)?)([^/?]*)(.*)$/is.exec(url) ?? []
  return hosts.split(",").map((host) => `${before}${host}${after}`)
}

interface Values {
  readonly isOne: (value: string) => boolean
  readonly expected: string
}

const any: Values = { isOne: () => true, expected: "" }

const oneOf = (...all: ReadonlyArray<string>): Values => ({
  isOne: (value) => all.includes(value),
  expected: `one of ${all.join(", ")}`
})

// A timer of Node.js that is longer is over at once, and the server takes none.
const longest = 2_147_483_647

const wholeNumber = (unit: string, max: number): Values => ({
  isOne: (value) => /^\d+$/.test(value) && Number(value) <= max,
  expected: `a whole number of ${unit} up to ${max}`
})

const seconds = wholeNumber("seconds", Math.floor(longest / 1000))
const milliseconds = wholeNumber("milliseconds", longest)

const path: Values = { isOne: (value) => value.trim() !== "", expected: "the path of a file" }

// Of which `pg` would show none.
const pairs: { readonly [Part in string]?: string } = { sslcert: "sslkey", sslkey: "sslcert" }

// What `pg` would take for something else, or not look at.
const encoding: Values = { isOne: (value) => /^utf-?8$/i.test(value), expected: "UTF8, the only one that pg reads" }
const values: { readonly [Part in string]?: Values } = {
  port: { isOne: (value) => /^\d+$/.test(value), expected: "one number" },
  ssl: oneOf("true", "1", "false", "0"),
  sslmode: oneOf("disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"),
  sslnegotiation: oneOf("postgres", "direct"),
  sslcert: path,
  sslkey: path,
  sslrootcert: path,
  replication: oneOf("database", "true", "on", "yes", "1", "false", "off", "no", "0"),
  uselibpqcompat: oneOf("true", "false"),
  channel_binding: oneOf("disable", "prefer", "require"),
  client_encoding: encoding,
  encoding,
  connect_timeout: seconds,
  statement_timeout: milliseconds,
  lock_timeout: milliseconds,
  query_timeout: milliseconds,
  idle_in_transaction_session_timeout: milliseconds,
  connectionTimeoutMillis: milliseconds,
  keepAliveInitialDelayMillis: milliseconds
}

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
