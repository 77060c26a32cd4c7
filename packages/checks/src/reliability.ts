import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import ts from "typescript"
import type { Report } from "./Report.js"
import { fromRoot, none, root } from "./workspace.js"

/**
 * A failure of reconnecting clients, and the tests of it. Each of those has a comment above it that begins with its
 * number. Above one of them, that tells what goes wrong, and where that was reported:
 *
 *     // Failure 12: A timer keeps the process alive after the client is closed.
 *     // Reported: socketio/socket.io#3236, redis/node-redis#2608
 *     it.scoped("a client that is closed leaves no timer", () =>
 *
 * and above the others just `// Failure 12`. Either line may go on in the next. A kind of failures of sockets is told
 * likewise, by `// Kind 3:` and without a place where it was reported.
 */
interface Failure {
  readonly number: number
  readonly failure: string
  readonly reported: ReadonlyArray<string>
  readonly tests: ReadonlyArray<MarkedTest>
}

export interface MarkedTest {
  readonly file: string
  readonly title: string
}

interface Mark extends MarkedTest {
  readonly number: number
  readonly failure: string
  readonly reported: ReadonlyArray<string>
}

/** The document that lists them, between two lines. */
export const document = join(root, "packages/client-service/RELIABILITY.md")

/** How many failures there are, from 1 on. */
const count = 57

/** Checks that every failure has a test, and that the document lists them as they are. */
export const checkReliability = async (report: Report): Promise<void> => {
  await report.check(`each of ${count} failures of other clients has a test`, () => none(readFailures().problems))
  await report.check("each kind of failures of sockets is told once", () => none(readKinds().problems))
  await report.check("the table of failures is up to date (`npm run reliability` writes it)", () => {
    const text = readFileSync(document, "utf8")
    if (withTable(text) !== text) throw new Error(`  ${fromRoot(document)} is not what the tests say`)
  })
}

/** The tests of failures. */
export const failureTests = (): ReadonlyArray<MarkedTest> => readFailures().failures.flatMap(({ tests }) => tests)

/** Puts the table of the failures and the list of their kinds into the text of the document. */
export const withTable = (text: string): string => {
  const failures = readFailures().failures.map(({ failure, number, reported, tests }) => [
    String(number),
    failure,
    reported.map(link).join(", "),
    tests.map(linkOf).join("; ")
  ])
  const kinds = readKinds().failures.map(
    ({ failure, tests }) => `- ${failure}\n${tests.map((test) => `  - ${linkOf(test)}\n`).join("")}`
  )
  return [
    ["table", table([["", "what goes wrong", "reported at", "our test"], ...failures])] as const,
    ["list of kinds", kinds.join("")] as const
  ].reduce((text, [name, content]) => {
    const pattern = new RegExp(
      `(<!-- The ${name} is written by .*? -->\\n)[\\s\\S]*?(<!-- The end of the ${name} -->\\n)`
    )
    if (!pattern.test(text)) throw new Error(`${fromRoot(document)} has no place for the ${name}`)
    return text.replace(pattern, (_, begin, end) => `${begin}\n${content}\n${end}`)
  }, text)
}

const linkOf = ({ file, title }: MarkedTest): string => `[${title}](${relative(join(document, ".."), file)})`

// Aligned, as the formatter wants it.
const table = (cells: ReadonlyArray<ReadonlyArray<string>>): string => {
  const rows = cells.map((cells) => cells.map((cell) => cell.replaceAll("|", "\\|")))
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((cells) => cells[column]?.length ?? 0)))
  rows.splice(
    1,
    0,
    widths.map((width) => "-".repeat(width))
  )
  return rows
    .map((cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |\n`)
    .join("")
}

// An issue or a pull request, or a file of a repository, or the name of what has no such place.
const link = (place: string): string => {
  const issue = /^([\w.-]+\/[\w.-]+)#(\d+)$/.exec(place)
  if (issue !== null) return `[${place}](https://github.com/${issue[1]}/issues/${issue[2]})`
  const file = /^(\S+)@([\w.-]+\/[\w.-]+)$/.exec(place)
  return file === null ? place : `[${place}](https://github.com/${file[2]})`
}

const readKinds = (): { readonly failures: ReadonlyArray<Failure>; readonly problems: ReadonlyArray<string> } => {
  const problems: Array<string> = []
  const marks = testFiles().flatMap((file) => marksOf("Kind", file, (problem) => problems.push(problem)))
  const numbers = [...new Set(marks.map(({ number }) => number))].sort((a, b) => a - b)
  const failures = numbers.map((number): Failure => {
    const tests = marks.filter((mark) => mark.number === number)
    const told = tests.filter(({ failure }) => failure !== "")
    if (told.length !== 1) problems.push(`kind ${number} is told ${told.length} times`)
    // One test for each title, of those that several endpoints have.
    const titles = new Set<string>()
    const distinct = tests.filter(({ title }) => !titles.has(title) && titles.add(title))
    return { number, failure: told[0]?.failure ?? "", reported: [], tests: distinct }
  })
  return { failures, problems }
}

const readFailures = (): { readonly failures: ReadonlyArray<Failure>; readonly problems: ReadonlyArray<string> } => {
  const problems: Array<string> = []
  const marks = testFiles().flatMap((file) => marksOf("Failure", file, (problem) => problems.push(problem)))
  const failures = Array.from({ length: count }, (_, index): Failure => {
    const number = index + 1
    const tests = marks.filter((mark) => mark.number === number)
    const told = tests.filter(({ failure }) => failure !== "")
    if (tests.length === 0) problems.push(`failure ${number} has no test`)
    else if (told.length !== 1) problems.push(`failure ${number} is told ${told.length} times`)
    return { number, failure: told[0]?.failure ?? "", reported: told[0]?.reported ?? [], tests }
  })
  for (const { file, number, title } of marks)
    if (number < 1 || number > count) problems.push(`${fromRoot(file)}: "${title}" is of failure ${number}`)
  return { failures: failures.filter(({ tests }) => tests.length > 0), problems }
}

const testFiles = (): ReadonlyArray<string> =>
  readdirSync(join(root, "packages"))
    .map((directory) => join(root, "packages", directory, "test"))
    .filter(existsSync)
    .flatMap((directory) =>
      readdirSync(directory, { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".test.ts"))
        .sort()
        .map((file) => join(directory, file))
    )

const marksOf = (name: "Failure" | "Kind", file: string, problem: (problem: string) => void): ReadonlyArray<Mark> => {
  const text = readFileSync(file, "utf8")
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const places = new Set(
    [...text.matchAll(new RegExp(`^ *(// ${name} \\d)`, "gm"))].map((match) => match.index + match[0].indexOf("/"))
  )
  const marks: Array<Mark> = []
  const visit = (node: ts.Node): void => {
    if (ts.isExpressionStatement(node)) {
      const comments = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []
      const begin = comments.filter(({ end, pos }) => text.slice(pos, end).startsWith(`// ${name} `)).at(-1)
      const title = titleOf(node.expression)
      if (begin !== undefined && title !== undefined) {
        const lines = comments.filter(({ pos }) => pos >= begin.pos).map(({ end, pos }) => text.slice(pos + 3, end))
        const mark = new RegExp(`^${name} (\\d+)(?:: (.+?)(?: Reported: (.+))?)?$`).exec(lines.join(" "))
        if (mark !== null) {
          const [, number, failure = "", reported = ""] = mark
          marks.push({ number: Number(number), failure, reported: reported.split(", "), file, title })
          places.delete(begin.pos)
        }
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  for (const place of places) {
    const { line } = source.getLineAndCharacterOfPosition(place)
    problem(`${fromRoot(file)}:${line + 1} is not the mark of a failure above a test with a title`)
  }
  return marks
}

const titleOf = (node: ts.Expression): string | undefined => {
  if (!ts.isCallExpression(node) || !/^it(\.(effect|scoped|live|scopedLive))?$/.test(node.expression.getText())) return
  const [title, run] = node.arguments
  if (title === undefined || run === undefined) return
  // Of tests that are made in a loop, what they have in common.
  if (ts.isTemplateExpression(title))
    return [title.head.text, ...title.templateSpans.map(({ literal }) => literal.text)].join("…")
  return ts.isStringLiteral(title) ? title.text : undefined
}
