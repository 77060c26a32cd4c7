import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative } from "node:path"

/**
 * The links of a directory's texts, and of the comments of its sources, that lead out of it or nowhere. Links to a site are
 * not looked at.
 */
export const linkProblems = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:md|ts)$/.test(file) && !file.endsWith(".d.ts") && !file.includes("node_modules"))
    .flatMap((file) => linkProblemsOf(join(directory, file), directory))

/** The same of one file. */
export const linkProblemsOf = (file: string, directory: string): ReadonlyArray<string> => {
  const text = readFileSync(file, "utf8")
  const where = relative(directory, file)
  return targets(file.endsWith(".md") ? proseOf(text) : commentsOf(text)).flatMap((target) => {
    if (/^[a-z][a-z\d+.-]*:/i.test(target)) return []
    const [path = "", anchor] = target.split("#", 2)
    const linked = path === "" ? file : join(dirname(file), decodeURIComponent(path))
    if (relative(directory, linked).startsWith("..")) return [`${where} links to ${target}, which is outside of it`]
    if (!existsSync(linked)) return [`${where} links to ${target}, which is not there`]
    if (anchor === undefined || statSync(linked).isDirectory() || anchorsOf(linked).has(anchor)) return []
    return [`${where} links to ${target}, but there is no such heading`]
  })
}

const targets = (text: string): ReadonlyArray<string> =>
  [/\]\(\s*<?([^\s)>]+)/g, /^\s*\[[^\]]+\]:\s*<?([^\s>]+)/gm, /\b(?:href|src)="([^"]+)"/g].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, target = ""]) => target)
  )

const proseOf = (text: string): string => text.replace(/^(```+|~~~+).*\n[\s\S]*?^\1$/gm, "").replace(/`[^`\n]*`/g, "")

const commentsOf = (text: string): string => {
  const comments = text.match(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm) ?? []
  return proseOf(comments.join("\n").replace(/^ *(?:\/?\*+\/?|\/\/) ?/gm, ""))
}

/** The names by which headings are linked to. */
const anchorsOf = (file: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const [, heading = ""] of readFileSync(file, "utf8")
    .replace(/^```[\s\S]*?^```$/gm, "")
    .matchAll(/^#+ +(.*)$/gm)) {
    const name = heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-")
    let anchor = name
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${name}-${count}`
    anchors.add(anchor)
  }
  return anchors
}
