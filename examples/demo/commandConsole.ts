/**
 * The console that the help and the errors of the command line are printed to.
 */
import { stripVTControlCharacters } from "node:util"
import type { Console } from "effect"
import type { Output } from "./output.js"

export const commandConsole = (
  console: Console.Console,
  { program, stderr, stdout }: { readonly program: string; readonly stderr: Output; readonly stdout: Output }
): Console.Console => ({
  ...console,
  log: (text: unknown) => stdout.write(`${helpText(String(text), stdout)}\n`),
  error: (text: unknown) => stderr.write(`${stderr.colours.red(program)}: ${errorLine(String(text))}\n`)
})

// Paragraphs that tell nothing are left out, and the name of an option is set right above its description.
const helpText = (text: string, { colours, columns }: Output): string =>
  text
    .split(/\n\s*\n/)
    .map((block) => ({ block: block.trimEnd(), plain: stripVTControlCharacters(block).trim() }))
    .filter(({ plain }) => plain !== "A user-defined piece of text." && plain !== "This setting is optional.")
    .map(({ block, plain }) => {
      const lines = wrap(colours.isOn ? block : stripVTControlCharacters(block), Math.min(columns() ?? 80, 80))
      return /^(--|<)/.test(plain) ? lines : `${lines}\n`
    })
    .join("\n")
    .trim()

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

// The parser's errors quote arguments, which may hold a password.
const errorLine = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\s+/g, " ")
    .trim()
    .replace(/\S+:\/\/\S*@\S*/g, "(a URL with credentials)")
