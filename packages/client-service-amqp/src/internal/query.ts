import type * as ServerUrl from "effect-client-service-driver/ServerUrl"
import * as Validate from "effect-client-service-driver/Validate"
import type { Mechanism, TlsFiles } from "./settings.js"

/** The parts that the query of a URL may have, by the names that clients of several languages have for them. */
export const parts = [
  "heartbeat",
  "frame_max",
  "frameMax",
  "channel_max",
  "channelMax",
  "connection_timeout",
  "locale",
  "auth_mechanism",
  "connection_name",
  "name",
  "server_name_indication",
  "verify",
  "cacertfile",
  "certfile",
  "keyfile"
] as const

type Part = (typeof parts)[number]

/** What the query of a URL says. */
export interface Query {
  /** In seconds. */
  readonly heartbeat: number | undefined
  readonly frameMax: number | undefined
  readonly channelMax: number | undefined
  /** In milliseconds. */
  readonly connectTimeout: number | undefined
  readonly locale: string | undefined
  readonly mechanism: Mechanism | undefined
  readonly connectionName: string | undefined
  readonly servername: string | undefined
  readonly isVerified: boolean | undefined
  readonly tlsFiles: TlsFiles
}

/** Reads the query of a URL. */
export const queryOf = (where: string, query: ServerUrl.ServerUrl<Part>["query"]): Query => {
  const text = (...names: ReadonlyArray<Part>): string | undefined => {
    for (const name of names) {
      const value = query[name]
      if (value !== undefined) return value === "" ? refuse(where, name, "something") : value
    }
    return undefined
  }
  const number = (max: number, ...names: ReadonlyArray<Part>): number | undefined => {
    const value = text(...names)
    if (value === undefined) return undefined
    if (/^\d+$/.test(value) && Number(value) <= max) return Number(value)
    return refuse(where, names.join(" or "), `a whole number of at most ${max}`)
  }
  const one = <A>(name: Part, values: ReadonlyMap<string, A>): A | undefined => {
    const value = text(name)
    if (value === undefined) return undefined
    return values.get(value.toLowerCase()) ?? refuse(where, name, [...values.keys()].join(" or "))
  }
  return {
    heartbeat: number(65_535, "heartbeat"),
    frameMax: number(2 ** 32 - 1, "frame_max", "frameMax"),
    channelMax: number(65_535, "channel_max", "channelMax"),
    connectTimeout: number(2 ** 31 - 1, "connection_timeout"),
    locale: text("locale"),
    mechanism: one("auth_mechanism", mechanisms),
    connectionName: text("connection_name", "name"),
    servername: text("server_name_indication"),
    isVerified: one("verify", verifications)?.isVerified,
    tlsFiles: { ca: text("cacertfile"), cert: text("certfile"), key: text("keyfile") }
  }
}

const refuse = (where: string, name: string, expected: string): never =>
  Validate.refuse(where, "url", `?${name}=`, `with ${name} as ${expected}`)

const mechanisms: ReadonlyMap<string, Mechanism> = new Map([
  ["plain", "PLAIN"],
  ["amqplain", "AMQPLAIN"],
  ["external", "EXTERNAL"]
])

const verifications: ReadonlyMap<string, { readonly isVerified: boolean }> = new Map([
  ["verify_peer", { isVerified: true }],
  ["verify_none", { isVerified: false }]
])
