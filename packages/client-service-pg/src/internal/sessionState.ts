import { type Client, DatabaseError, escapeIdentifier, escapeLiteral, type QueryResult, type QueryResultRow } from "pg"
import type { OwnSettings } from "./ownSettings.js"

/** Asks what no caller waits for, so that no `query_timeout` of theirs is for it: a statement of theirs may still be under way. */
export const ask = <Row extends QueryResultRow>(client: Client, text: string): Promise<QueryResult<Row>> => {
  const query = { text, query_timeout: longest }
  return client.query<Row>(query)
}

// A timer of Node.js takes no more.
const longest = 0x7fffffff

/** What the statements of a turn may have done to the session. */
export interface Observed {
  /** Something that stays may have been changed, such as a setting, by a statement or in a function that it has called. */
  readonly mayHaveChanged: boolean
  /** A statement may have ended what others listen to, or have prepared. */
  readonly hasTaken: boolean
  /** A statement has ended all that others have of the session. */
  readonly hasSpent: boolean
}

const nothing: Observed = { mayHaveChanged: false, hasTaken: false, hasSpent: false }
const perhaps: Observed = { ...nothing, mayHaveChanged: true }

/** Looks at what is done to a session, as the server tells it. */
export class Observer {
  #seen = nothing

  constructor({ connection }: Client) {
    connection.on("commandComplete", ({ text }: { readonly text: string }) => {
      if (this.#seen === nothing && !changesNothing.test(text)) this.#seen = perhaps
      if (takes.test(text)) {
        const hasSpent = this.#seen.hasSpent || spending.has(text)
        this.#seen = { mayHaveChanged: true, hasTaken: true, hasSpent }
      }
    })
  }

  /** What it has seen in this turn. */
  get seen(): Observed {
    return this.#seen
  }

  /** Another turn begins. */
  reset(): void {
    this.#seen = nothing
  }
}

const spending: ReadonlySet<string> = new Set(["DISCARD ALL", "DEALLOCATE ALL"])

const takes = /^(UNLISTEN|DISCARD|DEALLOCATE)\b/

// All else may: a SELECT or a trigger may call a function, such as `set_config`, and a DO block do anything.
const changesNothing = /^(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|NOTIFY|SHOW|LOCK TABLE)\b/

/** What a session has of its own: by kind, names and what they stand for, which is another when something is made anew by its name. */
export type SessionState = ReadonlyMap<Kind, ReadonlyMap<string, string>>

type Kind =
  | "user"
  | "channel"
  | "lock"
  | "cursor"
  | "statement"
  | "named"
  | "view"
  | "table"
  | "sequence"
  | "type"
  | "other"
  | "setting"

interface Row {
  readonly kind: Kind
  readonly name: string
  readonly value: string
}

export const read = async (client: Client, own?: OwnSettings): Promise<SessionState> =>
  stateOf(client, `${everything}${own?.question ?? ""}`)

const stateOf = async (client: Client, question: string): Promise<SessionState> => {
  const { rows } = await ask<Row>(client, question)
  const state = new Map<Kind, Map<string, string>>()
  for (const { kind, name, value } of rows) {
    const names = state.get(kind) ?? new Map<string, string>()
    state.set(kind, names.set(name, value))
  }
  return state
}

/** Has a session be as it was, or fails if what is gone can't be brought back. */
export const restore = async (client: Client, before: SessionState, own: OwnSettings): Promise<void> => {
  try {
    await restoreNow(client, before, own)
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== "57014") throw error
    // A turn may have set the server less time than this takes it. From the beginning, since a part of it may be done already, and
    // this is to be undone as well.
    await ask(client, "SET statement_timeout = 0")
    await restoreNow(client, before, own)
  }
}

const restoreNow = async (client: Client, before: SessionState, own: OwnSettings): Promise<void> => {
  const found = await read(client, own)
  // It may be by another's rights that the rest is there, or can't be seen.
  const isUser = users.every((name) => found.get("user")?.get(name) === before.get("user")?.get(name))
  if (!isUser) await ask(client, users.map((name) => userOf(name, before)).join("; "))
  const after = isUser ? found : await read(client, own)
  const statements: Array<string> = []
  forgetMissing(client, new Set(after.get("named")?.keys()))
  for (const kind of kinds) {
    const old = before.get(kind)
    const now = after.get(kind)
    for (const [name, value] of old ?? []) {
      if (now?.get(name) === value) continue
      if (kind !== "setting") throw now?.has(name) ? replacedOf(kind, name) : goneOf(kind, name)
      statements.push(setting(name, value))
    }
    for (const name of now?.keys() ?? []) if (old?.has(name) !== true) statements.push(remove(kind, name))
  }
  if (statements.length > 0) await ask(client, statements.join("; "))
}

// Who logged in decides what role there may be, and takes the role away when it is set.
const users = ["session_authorization", "role"] as const

const userOf = (name: string, before: SessionState): string => setting(name, before.get("user")?.get(name) ?? "none")

/** Fails if what is listened to is not heard any more. What was prepared by name and is gone is prepared anew when it is used. */
export const look = async (client: Client, channels: ReadonlySet<string>): Promise<void> => {
  const state = await stateOf(client, taken)
  forgetMissing(client, new Set(state.get("named")?.keys()))
  const heard = state.get("channel")
  for (const name of channels) if (heard?.has(name) !== true) throw goneOf("channel", name)
}

/** Has a statement that has a name be prepared anew when it is used next. */
export const forget = (client: Client, name: string): void => {
  Reflect.deleteProperty(parsedBy(client), name)
}

const forgetMissing = (client: Client, names: ReadonlySet<string>): void => {
  for (const name of Object.keys(parsedBy(client))) if (!names.has(kept(name))) forget(client, name)
}

/**
 * Whether the server keeps a part of a letter of a name: it can't tell of what is prepared any longer then, for any of it.
 */
export const isCutWithinLetter = (name: string): boolean => {
  const next = Buffer.from(name)[63]
  return next !== undefined && (next & 0xc0) === 0x80
}

// The server keeps no more of a name.
const kept = (name: string): string => Buffer.from(name).subarray(0, 63).toString()

// What the client has prepared already, which it sends no second time.
const parsedBy = ({ connection }: Client): object => {
  const parsed: unknown = Reflect.get(connection, "parsedStatements")
  return parsed instanceof Object || (typeof parsed === "object" && parsed !== null) ? parsed : {}
}

const goneOf = (kind: Kind, name: string) => new Error(`The ${kind} ${name} is gone, which others rely on`)

const replacedOf = (kind: Kind, name: string) =>
  new Error(`The ${kind} ${name}, which others rely on, is another one now`)

const setting = (name: string, value: string) =>
  `SELECT pg_catalog.set_config(${escapeLiteral(name)}, ${escapeLiteral(value)}, false)`

const remove = (kind: Kind, name: string): string => {
  if (kind === "setting") return `RESET ${name.split(".").map(escapeIdentifier).join(".")}`
  // It may have been taken several times.
  if (kind === "lock") return `DO $$ BEGIN WHILE pg_catalog.${name} LOOP END LOOP; END $$`
  if (kind === "channel") return `UNLISTEN ${escapeIdentifier(name)}`
  if (kind === "cursor") return `CLOSE ${escapeIdentifier(name)}`
  if (kind === "statement") return `DEALLOCATE ${escapeIdentifier(name)}`
  if (kind === "other") return `DROP ${name} CASCADE`
  return `DROP ${kind} IF EXISTS pg_temp.${escapeIdentifier(name)} CASCADE`
}

const kinds: ReadonlyArray<Kind> = [
  "channel",
  "lock",
  "cursor",
  "statement",
  "view",
  "table",
  "sequence",
  "type",
  "other",
  "setting"
]

// What `pg` has prepared is not among those to remove.
const taken = `SELECT 'named' AS kind, name, '' AS value FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql
  UNION ALL SELECT 'channel', name, '' FROM pg_catalog.pg_listening_channels() AS name`

// Not as a text, which the session decides how to write.
const micros = (time: string) => `(extract(epoch FROM ${time}) * 1000000)::bigint::text`

const everything = `${taken} UNION ALL
  SELECT 'user', 'role', current_setting('role')
  UNION ALL SELECT 'user', 'session_authorization', current_setting('session_authorization')
  UNION ALL SELECT 'lock', format(
      'pg_advisory_unlock%s(' || CASE objsubid WHEN 1 THEN '''%s''::bigint)' ELSE '''%s''::int, ''%s''::int)' END,
      CASE mode WHEN 'ShareLock' THEN '_shared' ELSE '' END,
      CASE objsubid WHEN 1 THEN classid::bigint << 32 | objid::bigint ELSE classid::bigint::bit(32)::int END,
      objid::bigint::bit(32)::int), ''
    FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
  UNION ALL SELECT 'cursor', name, ${micros("creation_time")} FROM pg_catalog.pg_cursors WHERE is_holdable
  UNION ALL SELECT 'statement', name, ${micros("prepare_time")} FROM pg_catalog.pg_prepared_statements WHERE from_sql
  UNION ALL SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' ELSE 'table' END, relname, oid::text
    FROM pg_catalog.pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S', 'c')
  UNION ALL SELECT 'other', CASE type WHEN 'statistics object' THEN 'statistics' ELSE type END || ' IF EXISTS ' || identity, objid::text
    FROM pg_catalog.pg_depend, pg_catalog.pg_identify_object(classid, objid, 0)
    WHERE refclassid = 'pg_catalog.pg_namespace'::regclass AND refobjid = pg_my_temp_schema()
      AND classid <> 'pg_catalog.pg_class'::regclass
  UNION ALL SELECT 'setting', name, setting FROM pg_catalog.pg_settings WHERE source = 'session'`
