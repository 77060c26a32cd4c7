/** A part of a statement, as the server takes it apart. */
export type Token =
  | { readonly _tag: "Word"; readonly text: string }
  /** What is a text, and which, if no more than its quotes have to be taken away. */
  | { readonly _tag: "Literal"; readonly text: string | undefined }
  /** `$1`. */
  | { readonly _tag: "Parameter"; readonly index: number }
  | { readonly _tag: "Sign"; readonly text: string }

/** Takes a text apart, without its comments; gives nothing if the server may take it apart otherwise. */
export const tokensOf = (sql: string): ReadonlyArray<Token> | undefined => {
  const tokens: Array<Token> = []
  for (let at = 0; at < sql.length; ) {
    part.lastIndex = at
    const found = part.exec(sql)?.groups
    if (found === undefined) return undefined
    const { dollar, literal, open, parameter, prefix = "", quoted, sign, unicode, word } = found
    at = part.lastIndex
    if (unicode !== undefined) return undefined
    if (open !== undefined) {
      const end = endOfComment(sql, at)
      if (end === undefined) return undefined
      at = end
    } else if (dollar !== undefined) {
      const end = sql.indexOf(dollar, at)
      if (end < 0) return undefined
      tokens.push({ _tag: "Literal", text: sql.slice(at, end) })
      at = end + dollar.length
    } else if (literal !== undefined) {
      const isEscaped = /^e$/i.test(prefix)
      const end = endOfLiteral(sql, at, isEscaped)
      if (end === undefined) return undefined
      const inner = sql.slice(at, end)
      // Where `standard_conforming_strings` is off, it would go on.
      if (!isEscaped && /\\(?:'|$)/.test(inner)) return undefined
      const isPlain = /^n?$/i.test(prefix) || isEscaped
      tokens.push({ _tag: "Literal", text: isPlain && !/[\\']/.test(inner) ? inner : undefined })
      at = end + 1
    } else if (quoted !== undefined) tokens.push({ _tag: "Word", text: quoted.slice(1, -1).replaceAll('""', '"') })
    else if (word !== undefined) tokens.push({ _tag: "Word", text: word })
    else if (parameter !== undefined) tokens.push({ _tag: "Parameter", index: Number(parameter) })
    else if (sign !== undefined) tokens.push({ _tag: "Sign", text: sign })
  }
  return tokens
}

const part =
  /\s+|--[^\n\r]*|(?<open>\/\*)|(?<unicode>u&["'])|(?<literal>(?<prefix>[enbx]?)')|(?<dollar>\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|\$(?<parameter>\d+)|(?<quoted>"(?:[^"]|"")*")|(?<word>[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(?<sign>::|[\s\S])/iy

// They are within one another.
const endOfComment = (sql: string, from: number): number | undefined => {
  let depth = 1
  const mark = /\/\*|\*\//g
  mark.lastIndex = from
  for (let found = mark.exec(sql); found !== null; found = mark.exec(sql)) {
    depth += found[0] === "/*" ? 1 : -1
    if (depth === 0) return mark.lastIndex
  }
  return undefined
}

const endOfLiteral = (sql: string, from: number, isEscaped: boolean): number | undefined => {
  for (let at = from; at < sql.length; at++) {
    const letter = sql[at]
    if (letter === "\\" && isEscaped) at++
    else if (letter === "'") {
      if (sql[at + 1] !== "'") return at
      at++
    }
  }
  return undefined
}
