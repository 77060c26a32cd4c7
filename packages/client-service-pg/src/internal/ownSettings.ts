import { type Client, escapeLiteral } from "pg"
import { type Token, tokensOf } from "./sqlTokens.js"

/**
 * The settings of names of one's own, such as `app.user`, that statements have set on a connection: the server lists all others
 * but these. Those that a function sets by itself are not seen.
 *
 * Nothing but a name goes into a statement, or is kept: other values are nobody's but who has bound them.
 */
export class OwnSettings {
  readonly #names = new Set<string>()
  readonly #prepared = new Map<string, ReadonlyArray<number>>()
  /** Those of what is bound next that are names, from 1. */
  #parameters: ReadonlyArray<number> = []
  /** A statement that sets what it is told to has been prepared by `PREPARE`. */
  #hasPrepared = false
  #isUnclear = false
  /** A name may have been set that is not among them. */
  #hasMissed = false

  constructor({ connection }: Client) {
    const [query, parse, bind] = ["query", "parse", "bind"].map((name): unknown => Reflect.get(connection, name))
    const seen =
      (method: unknown, look: (argument: unknown) => void) =>
      (...args: ReadonlyArray<unknown>): unknown => {
        look(args[0])
        return typeof method === "function" ? method.apply(connection, args) : undefined
      }
    Object.assign(connection, {
      query: seen(query, (text) => {
        if (this.#look(text).length > 0) this.#miss()
      }),
      parse: seen(parse, (statement) => {
        const name = get(statement, "name")
        this.#parameters = this.#look(get(statement, "text"))
        if (typeof name !== "string" || name === "") return
        if (this.#parameters.length > 0) this.#prepared.set(name, this.#parameters)
        else this.#prepared.delete(name)
      }),
      bind: seen(bind, (portal) => {
        const name = get(portal, "statement")
        const parameters = typeof name === "string" && name !== "" ? this.#prepared.get(name) : this.#parameters
        const values = get(portal, "values")
        for (const index of parameters ?? []) this.#add(Array.isArray(values) ? values[index - 1] : undefined)
      })
    })
  }

  /** Whether a statement since `reset` may have set what is not known. */
  get isUnclear(): boolean {
    return this.#isUnclear
  }

  /** Another turn begins. */
  reset(): void {
    this.#isUnclear = false
  }

  /** What follows the question of what a session has. */
  get question(): string {
    if (this.#names.size === 0) return ""
    const names = [...this.#names].map((name) => escapeLiteral(name)).join(", ")
    return ` UNION ALL SELECT 'setting', name, pg_catalog.current_setting(name, true) FROM pg_catalog.unnest(ARRAY[${names}]::text[]) AS name
      WHERE pg_catalog.current_setting(name, true) IS NOT NULL`
  }

  /** Gives which parameters are names. */
  #look(text: unknown): ReadonlyArray<number> {
    if (typeof text !== "string" || !(mentions.test(text) || (this.#hasPrepared && /execute/i.test(text)))) return []
    const tokens = tokensOf(text)
    if (tokens === undefined) {
      this.#miss()
      return []
    }
    const parameters: Array<number> = []
    let first: string | undefined
    for (const [index, token] of tokens.entries()) {
      if (isSign(token, ";")) first = undefined
      else {
        const isFirst = first === undefined
        const word = wordOf(token)
        first ??= word
        if (isFirst && (word === "set" || word === "reset")) this.#lookAtSet(tokens, index + 1)
        if (isFirst && word === "execute" && this.#hasPrepared) this.#miss()
        if (word === "set_config") {
          const name = argumentOf(tokens, index + 1)
          if (name?._tag === "Parameter") parameters.push(name.index)
          else this.#add(name?.text)
          if (first === "prepare" && name?._tag !== "Literal") this.#hasPrepared = true
        }
        if (first === "do" && token._tag === "Literal" && setsWithin.test(token.text ?? "set_config")) {
          this.#miss()
        }
      }
    }
    return parameters
  }

  #lookAtSet(tokens: ReadonlyArray<Token>, start: number): void {
    const scope = wordOf(tokens[start])
    const isScope = (scope === "session" || scope === "local") && tokens[start + 1]?._tag === "Word"
    let at = isScope && wordOf(tokens[start + 1]) !== "to" ? start + 1 : start
    const parts: Array<string> = []
    for (let token = tokens[at]; token?._tag === "Word"; token = tokens[at]) {
      parts.push(token.text)
      at++
      if (!isSign(tokens[at], ".")) break
      at++
    }
    const name = parts.join(".")
    // The server lists those of its own.
    if (name.includes(".") || isSign(tokens[at - 1], ".")) this.#add(name)
  }

  #add(name: unknown): void {
    if (typeof name === "string" && /^[a-z_]\w*$/i.test(name)) return
    // By whatever letters it is written, it is the same for the server.
    if (!isName(name)) this.#miss()
    else if (!this.#names.has(name.toLowerCase())) {
      // What it was before this is not known if it may have been missed, and not looked for if there is no place for it.
      if (this.#hasMissed || this.#names.size >= mostNames) this.#miss()
      if (this.#names.size < mostNames) this.#names.add(name.toLowerCase())
    }
  }

  #miss(): void {
    this.#isUnclear = true
    this.#hasMissed = true
  }
}

const mostNames = 1000

// Most statements need no closer look: UPDATE has a SET, but not in the beginning.
const mentions = /set_config|u&"|^\s*(?:re)?set\b|^(?=\s*(?:--|\/\*)|[\s\S]*;)[\s\S]*\b(?:re)?set\b|^[\s;]*do\b/i

// Of a DO block, the statements of which are a text.
const setsWithin = /set_config|\b(?:re)?set\s+(?:(?:session|local)\s+)?"?[a-z_][\w$]*"?\s*\./i

/** The first argument of a call, if it is a text or a parameter and nothing else. */
const argumentOf = (
  tokens: ReadonlyArray<Token>,
  start: number
): Extract<Token, { _tag: "Literal" | "Parameter" }> | undefined => {
  const [open, argument, next, type, end] = tokens.slice(start, start + 5)
  if (!isSign(open, "(") || (argument?._tag !== "Literal" && argument?._tag !== "Parameter")) return undefined
  const after = isSign(next, "::") && wordOf(type) === "text" ? end : next
  return isSign(after, ",") ? argument : undefined
}

const isSign = (token: Token | undefined, text: string): boolean => token?._tag === "Sign" && token.text === text

const wordOf = (token: Token | undefined): string | undefined =>
  token?._tag === "Word" ? token.text.toLowerCase() : undefined

// The server keeps 63 bytes of each part.
const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length < 64 && /^[a-z_][\w$]*(?:\.[a-z_][\w$]*)+$/i.test(value)

const get = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
