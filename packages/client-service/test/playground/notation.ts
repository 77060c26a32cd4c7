/**
 * Histories as text: what the playground of the website puts into its links, and `npm run test:deep -- --script` runs.
 *
 *     policy=backoff start refuse 1s accept 8h drop stop
 *
 * It has no dependencies, since it runs in browsers too.
 */

/** What is done to a service, to its peer, or to the clock. */
export type Word =
  | { readonly _tag: "command"; readonly command: Command }
  | { readonly _tag: "peer"; readonly does: Does }
  | { readonly _tag: "pass"; readonly millis: number }

export const commands = ["start", "stop", "reconnect"] as const

export type Command = (typeof commands)[number]

/**
 * What the peer does: `accept`, `accept-and-drop`, `refuse` and `hang` are for the attempt under way, or else the next one;
 * `up` and `down` for all that have no such answer, from now on; `drop` ends the connection.
 */
export const peerDoes = ["accept", "accept-and-drop", "refuse", "hang", "drop", "up", "down"] as const

export type Does = (typeof peerDoes)[number]

export const policyNames = [
  "fullJitter",
  "proportional",
  "backoff",
  "decorrelatedJitter",
  "fixed",
  "fiveTimes"
] as const

export type PolicyName = (typeof policyNames)[number]

export interface Script {
  readonly policy: PolicyName
  readonly words: ReadonlyArray<Word>
}

/** More than anybody clicks, and little enough to be run while somebody waits. */
const most = { words: 500, millis: 7 * 24 * 3_600_000 }

/** Throws an error that says what is wrong. */
export const parse = (text: string): Script => {
  const [first = "", ...rest] = text.split(/\s+/).filter((word) => word !== "")
  const named = /^policy=(.*)$/.exec(first)?.[1]
  const policy = policyNames.find((name) => name === (named ?? policyNames[0]))
  if (policy === undefined) throw new Error(`${named} is none of the policies ${policyNames.join(", ")}`)
  return bounded({ policy, words: (named === undefined && first !== "" ? [first, ...rest] : rest).map(word) })
}

const bounded = (script: Script): Script => {
  const { words } = script
  if (words.length > most.words) throw new Error(`a script has no more than ${most.words} words`)
  const passed = words.reduce((sum, word) => sum + (word._tag === "pass" ? word.millis : 0), 0)
  if (passed > most.millis) throw new Error(`a script takes no more than ${printDuration(most.millis)}`)
  return script
}

/** The seed that somebody has written; 1, if that is none. */
export const seedOf = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : 1)

export const print = ({ policy, words }: Script): string =>
  [...(policy === policyNames[0] ? [] : [`policy=${policy}`]), ...words.map(printWord)].join(" ")

export const printWord = (word: Word): string => {
  switch (word._tag) {
    case "command":
      return word.command
    case "peer":
      return word.does
    case "pass":
      return printDuration(word.millis)
  }
}

/**
 * The script with another word. Time that passes after time that passes is one word. Throws an error if that makes it longer
 * than can be read again.
 */
export const append = (script: Script, word: Word): Script => {
  const last = script.words[script.words.length - 1]
  if (last?._tag !== "pass" || word._tag !== "pass") return bounded({ ...script, words: [...script.words, word] })
  const both: Word = { _tag: "pass", millis: last.millis + word.millis }
  return bounded({ ...script, words: [...script.words.slice(0, -1), both] })
}

const units = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1]
] as const

/** Such as `1h30m`, or `1500ms`. */
export const printDuration = (millis: number): string => {
  if (millis % 1000 !== 0 || millis === 0) return `${millis}ms`
  let rest = millis
  return units
    .map(([unit, size]) => {
      const count = Math.floor(rest / size)
      rest -= count * size
      return count === 0 ? "" : `${count}${unit}`
    })
    .join("")
}

const word = (text: string): Word => {
  const command = commands.find((name) => name === text)
  if (command !== undefined) return { _tag: "command", command }
  const does = peerDoes.find((name) => name === text)
  if (does !== undefined) return { _tag: "peer", does }
  const parts = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text)
  if (parts === null) {
    const known = [...commands, ...peerDoes].join(", ")
    throw new Error(`"${text}" is none of ${known}, and no duration such as 500ms, 10s or 8h`)
  }
  const counts = parts.slice(1).map((count = "0") => Number(count))
  return { _tag: "pass", millis: units.reduce((sum, [, size], index) => sum + (counts[index] ?? 0) * size, 0) }
}
