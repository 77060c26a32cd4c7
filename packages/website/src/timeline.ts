/**
 * The time lines of the guide. In the Markdown they are text, as people read it who have the package alone:
 *
 * ```timeline
 * attempt       [==x....[connect|prepare]
 * connection                            [======>
 *                  refused
 * ```
 *
 * A bar is the life of a Scope: from `[` to `]`, to an `x` where it fails or is lost, or to a `>` where it goes on. `|` divides
 * it, words in it are shown, and dots are a delay. A line without a name has words at their places. Here they become SVG.
 */

/** A part of a line, in columns. */
type Part =
  | {
      readonly kind: "bar"
      readonly from: number
      readonly to: number
      readonly words: string
      readonly begins: boolean
      readonly end: "closes" | "fails" | "goes on" | "divides"
    }
  | { readonly kind: "delay"; readonly from: number; readonly to: number }
  | { readonly kind: "words"; readonly from: number; readonly words: string }

interface Line {
  readonly name: string
  readonly parts: ReadonlyArray<Part>
}

/** The SVG of a text. */
export const timeline = (text: string): string => {
  const rows = text.trimEnd().split("\n")
  const lines = rows.map(lineOf)
  const names = Math.max(...lines.map(({ name }) => name.length)) * 7.4 + 14
  // Where the first bar of any line may begin.
  const first = Math.min(...rows.map((row) => nameOf(row).length).filter((length) => length > 0))
  const x = (column: number): number => Math.round((names + (column - first) * step) * 10) / 10
  const width = Math.round(x(Math.max(...rows.map(({ length }) => length))) + 12)
  let height = 6
  const drawn = lines.map((line) => {
    const y = height
    height += line.name === "" ? 20 : 30
    return drawLine(line, y, x)
  })
  const label = `Time lines of ${[...new Set(lines.map(({ name }) => name))].filter((name) => name !== "").join(", ")}`
  const sizes = `min-width:${Math.round(width * 0.72)}px;max-width:${width}px`
  return `<div class="cs-timeline" tabindex="0"><svg viewBox="0 0 ${width} ${height + 6}" style="${sizes}" role="img" aria-label="${escaped(label)}">${drawn.join("")}</svg></div>`
}

const step = 8.6

// A name is followed by two spaces at least.
const nameOf = (row: string): string => /^\S.*?\s{2,}/.exec(row)?.[0] ?? ""

const lineOf = (row: string): Line => {
  const name = nameOf(row)
  const parts =
    name === ""
      ? [...row.matchAll(/\S+(?: \S+)*/g)].map(({ 0: words, index }): Part => ({ kind: "words", from: index, words }))
      : partsOf(row, name.length)
  return { name: name.trim(), parts }
}

const partsOf = (row: string, offset: number): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  let column = offset
  while (column < row.length) {
    const rest = row.slice(column)
    const delay = /^\.+/.exec(rest)?.[0].length ?? 0
    // An x that is the end of a bar follows no letter.
    const bar = /^[[|]((?:[^\]x>|]|(?<=[a-z])x)*)([\]x>|])/.exec(rest)
    if (delay > 0) parts.push({ kind: "delay", from: column, to: column + delay })
    else if (bar !== null) {
      const end = ends.get(bar[2] ?? "") ?? "closes"
      const to = column + bar[0].length - 1
      const words = (bar[1] ?? "").replaceAll("=", " ").trim()
      parts.push({ kind: "bar", from: column, to, words, begins: rest.startsWith("["), end })
      // What ends one part of a bar begins the next.
      column = end === "divides" ? to : to + 1
      continue
    } else if (rest.startsWith("x")) {
      parts.push({ kind: "bar", from: column, to: column, words: "", begins: false, end: "fails" })
    } else if (!rest.startsWith(" ")) throw new Error(`a time line has "${rest}", which is no part of one: ${row}`)
    column += Math.max(1, delay)
  }
  return parts
}

const ends: ReadonlyMap<string, "closes" | "fails" | "goes on" | "divides"> = new Map([
  ["]", "closes"],
  ["x", "fails"],
  [">", "goes on"],
  ["|", "divides"]
])

const drawLine = ({ name, parts }: Line, y: number, x: (column: number) => number): string => {
  const middle = y + (name === "" ? 9 : 15)
  const kind = /^(attempt|connection|service|use|peer|probe|stop|stream)/.exec(name)?.[1] ?? "other"
  return [
    `<g class="cs-tl-${kind}">`,
    name === "" ? "" : `<text class="cs-tl-name" x="0" y="${middle + 4}">${escaped(name)}</text>`,
    ...parts.map((part) => drawPart(part, middle, x)),
    "</g>"
  ].join("")
}

const drawPart = (part: Part, middle: number, x: (column: number) => number): string => {
  if (part.kind === "words") {
    return `<text class="cs-tl-note" x="${x(part.from)}" y="${middle + 3}">${escaped(part.words)}</text>`
  }
  if (part.kind === "delay") {
    return `<line class="cs-tl-delay" x1="${x(part.from) + 4}" x2="${x(part.to)}" y1="${middle}" y2="${middle}"/>`
  }
  // What ends in a column ends where that begins which begins in it.
  const left = x(part.from + 0.5)
  const right = part.end === "goes on" ? x(part.to + 1) : x(part.to + 0.5)
  const width = Math.max(0, right - left)
  const text =
    part.words === ""
      ? ""
      : `<text class="cs-tl-words" x="${left + width / 2}" y="${middle + 4}">${escaped(part.words)}</text>`
  const bar =
    width === 0
      ? ""
      : `<rect class="cs-tl-bar" x="${left}" y="${middle - 9}" width="${width}" height="18" rx="${part.begins || part.end !== "divides" ? 3 : 0}"/>`
  const mark =
    part.end === "fails"
      ? `<path class="cs-tl-cross" d="M${right - 4} ${middle - 6}l8 12m0-12l-8 12"/>`
      : part.end === "goes on"
        ? `<path class="cs-tl-on" d="M${right} ${middle - 5}l6 5l-6 5"/>`
        : part.end === "divides"
          ? `<line class="cs-tl-divider" x1="${right}" x2="${right}" y1="${middle - 9}" y2="${middle + 9}"/>`
          : ""
  return bar + text + mark
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
