/**
 * The console that the help and the errors of the command line are printed to.
 */
import { stripVTControlCharacters } from "node:util"
import type * as Console from "effect/Console"
import { isOption, looksLikeOption, unusable } from "./command.js"
import type { Output } from "./terminal/output.js"

export interface CommandConsoleOptions {
  readonly program: string
  readonly stderr: Output
  readonly stdout: Output
  /** Whether what is printed is no help, but a script. */
  readonly isScript: boolean
}

export const commandConsole = (
  console: Console.Console,
  { isScript, program, stderr, stdout }: CommandConsoleOptions
): Console.Console => ({
  ...console,
  log: (text: unknown) => stdout.write(`${isScript ? String(text) : helpText(String(text), stdout)}\n`),
  error: (text: unknown) => stderr.write(`${stderr.colours.red(program)}: ${errorLine(String(text))}\n`)
})

// Paragraphs that tell nothing are left out, and the name of an option is set right above its description.
const helpText = (text: string, { colours, columns }: Output): string =>
  text
    .split(/\n\s*\n/)
    .map((block) => ({ block: block.trimEnd(), plain: stripVTControlCharacters(block).trim() }))
    .filter(({ plain }) => !empty.has(plain))
    .map(({ block, plain }) => {
      const lines = wrap(colours.isOn ? block : stripVTControlCharacters(block), Math.min(columns() ?? 80, 80))
      return /^(\(?-|<)/.test(plain) ? lines : `${lines}\n`
    })
    .join("\n")
    .trim()

const empty = new Set([
  "A user-defined piece of text.",
  "A true or false value.",
  "This setting is optional.",
  "This option may be repeated zero or more times."
])

const wrap = (block: string, width: number): string => {
  const margin = /^ */.exec(block)?.[0] ?? ""
  const lines = [margin]
  for (const word of block.trim().split(/\s+/)) {
    const line = lines.pop() ?? ""
    if (line !== margin && line.length + word.length >= width) lines.push(line.trimEnd(), `${margin}${word} `)
    else lines.push(`${line}${word} `)
  }
  return lines.map((line) => line.trimEnd()).join("\n")
}

// The parser's errors quote arguments, which may hold a password, or be a part of a header without its quotes.
const errorLine = (text: string): string => {
  const line = stripVTControlCharacters(text).replace(/\s+/g, " ").trim()
  // What it says of letters behind one dash, of which not all are options.
  if (line === "") return unusable(line)
  const [, flag] = /^The flag '(.*)' is not recognized/.exec(line) ?? []
  if (flag !== undefined && (isOption(flag) || !looksLikeOption(flag))) return unusable(flag)
  const [, unknown] = /^Received unknown argument: (.*)$/.exec(line) ?? []
  if (unknown === undefined) return line.replace(/\S+:\/\/\S*@\S*/g, "(a URL with credentials)")
  const argument = unknown.replace(/^'|'$/g, "")
  return argument.startsWith("-")
    ? unusable(argument)
    : "there is more than one address, or an argument with spaces lacks its quotes"
}
