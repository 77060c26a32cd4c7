import { type Client, escapeLiteral } from "pg"

/**
 * The settings of names of one's own, such as `app.user`, that statements have set on a connection: the server lists all others
 * but these. Those that a function sets by itself are not seen.
 */
export class OwnSettings {
  readonly #names = new Set<string>()
  /** Whether what is bound next may be the name of a setting. */
  #isCalled = false
  readonly #calling = new Set<string>()

  constructor({ connection }: Client) {
    const [query, parse, bind] = ["query", "parse", "bind"].map((name): unknown => Reflect.get(connection, name))
    const seen =
      (method: unknown, look: (argument: unknown) => void) =>
      (...args: ReadonlyArray<unknown>): unknown => {
        look(args[0])
        return typeof method === "function" ? method.apply(connection, args) : undefined
      }
    Object.assign(connection, {
      query: seen(query, (text) => this.#look(text, "")),
      parse: seen(parse, (statement) => this.#look(get(statement, "text"), get(statement, "name"))),
      bind: seen(bind, (portal) => {
        const name = get(portal, "statement")
        const isCalled = typeof name === "string" && name !== "" ? this.#calling.has(name) : this.#isCalled
        const values = isCalled ? get(portal, "values") : undefined
        if (Array.isArray(values)) for (const value of values) if (isName(value)) this.#add(value)
      })
    })
  }

  /** What follows the question of what a session has. */
  get question(): string {
    if (this.#names.size === 0) return ""
    const names = [...this.#names].map((name) => escapeLiteral(name)).join(", ")
    return ` UNION ALL SELECT 'setting', name, pg_catalog.current_setting(name, true) FROM pg_catalog.unnest(ARRAY[${names}]::text[]) AS name
      WHERE pg_catalog.current_setting(name, true) IS NOT NULL`
  }

  #look(text: unknown, name: unknown): void {
    this.#isCalled = false
    if (typeof text !== "string" || !mentions.test(text)) return
    for (const [, set = "", quoted = ""] of text.matchAll(settings)) {
      const found = set === "" ? quoted : set.replace(/"/g, "")
      if (isName(found)) this.#add(found)
    }
    this.#isCalled = /\bset_config\b/i.test(text)
    if (this.#isCalled && typeof name === "string" && name !== "") this.#calling.add(name)
  }

  // By whatever letters it is written, it is the same for the server.
  #add(name: string): void {
    if (this.#names.size < mostNames) this.#names.add(name.toLowerCase())
  }
}

const mostNames = 1000

const mentions = /\b(?:set|reset)\s+(?:session\s+)?"?[a-z_]\w*"?\s*\.|\bset_config\b/i

const settings = /\b(?:set|reset)\s+(?:session\s+)?((?:"?[a-z_][\w$]*"?\.)+"?[a-z_][\w$]*"?)|'([^']*)'/gi

const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length < 128 && /^[a-z_][\w$]*(?:\.[a-z_][\w$]*)+$/i.test(value)

const get = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
