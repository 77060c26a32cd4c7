import { type Client, escapeIdentifier, escapeLiteral } from "pg"

/**
 * What somebody whose turn it was has done to the session.
 *
 * - `changed`: maybe something that stays, such as a setting or a temporary table.
 * - `spent`: it has ended what others rely on, such as what is listened to.
 */
export type Change = "changed" | "spent" | undefined

/** Looks at what is done to a session, as the server tells it, until it is asked for the result. */
export const observe = ({ connection }: Client): (() => Change) => {
  let change: Change
  const completed = ({ text }: { readonly text: string }) => {
    if (spending.has(text)) change = "spent"
    else if (!changesNothing.test(text)) change ??= "changed"
  }
  connection.on("commandComplete", completed)
  return () => {
    connection.off("commandComplete", completed)
    return change
  }
}

const spending: ReadonlySet<string> = new Set(["UNLISTEN", "DISCARD ALL", "DEALLOCATE ALL"])

// All else may: a SELECT or a trigger may call a function, such as `set_config`, and a DO block do anything.
const changesNothing = /^(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|LISTEN|NOTIFY|SHOW|LOCK TABLE)\b/

/** What a session has of its own: by kind, names and what they stand for. */
export type SessionState = ReadonlyMap<Kind, ReadonlyMap<string, string>>

type Kind = "user" | "cursor" | "statement" | "view" | "table" | "sequence" | "setting"

interface Row {
  readonly kind: Kind
  readonly name: string
  readonly value: string
}

export const read = async (client: Client): Promise<SessionState> => {
  const { rows } = await client.query<Row>(everything)
  const state = new Map<Kind, Map<string, string>>()
  for (const { kind, name, value } of rows) {
    const names = state.get(kind) ?? new Map<string, string>()
    state.set(kind, names.set(name, value))
  }
  return state
}

/** Has a session be as it was, or fails if what is gone can't be brought back. */
export const restore = async (client: Client, before: SessionState): Promise<void> => {
  const after = await read(client)
  const statements: Array<string> = []
  for (const kind of kinds) {
    const old = before.get(kind)
    const now = after.get(kind)
    for (const [name, value] of now ?? []) {
      const was = old?.get(name)
      if (was === undefined) statements.push(remove(kind, name))
      else if (was !== value) statements.push(setting(name, was))
    }
    for (const [name, value] of old ?? []) {
      if (now?.has(name)) continue
      if (kind !== "setting") throw new Error(`The ${kind} ${name} is gone, which others rely on`)
      statements.push(setting(name, value))
    }
  }
  if (statements.length > 0) await client.query(statements.join("; "))
}

const setting = (name: string, value: string) =>
  `SELECT pg_catalog.set_config(${escapeLiteral(name)}, ${escapeLiteral(value)}, false)`

const remove = (kind: Kind, name: string): string => {
  if (kind === "setting") return `RESET ${name.split(".").map(escapeIdentifier).join(".")}`
  if (kind === "cursor") return `CLOSE ${escapeIdentifier(name)}`
  if (kind === "statement") return `DEALLOCATE ${escapeIdentifier(name)}`
  return `DROP ${kind} IF EXISTS pg_temp.${escapeIdentifier(name)} CASCADE`
}

// It may be by another's rights that the rest is there, so who the user is comes first.
const kinds: ReadonlyArray<Kind> = ["user", "cursor", "statement", "view", "table", "sequence", "setting"]

const everything = `
  SELECT 'user' AS kind, 'role' AS name, current_setting('role') AS value
  UNION ALL SELECT 'user', 'session_authorization', current_setting('session_authorization')
  UNION ALL SELECT 'cursor', name, '' FROM pg_catalog.pg_cursors WHERE is_holdable
  UNION ALL SELECT 'statement', name, '' FROM pg_catalog.pg_prepared_statements WHERE from_sql
  UNION ALL SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END, relname, ''
    FROM pg_catalog.pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S')
  UNION ALL SELECT 'setting', name, setting FROM pg_catalog.pg_settings WHERE source = 'session'`
