/**
 * All pages of the site: those of this package, the guide and the READMEs of the published packages, and the reference.
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, extname, join, relative } from "node:path"
import type { Page } from "./page.js"
import { referencePages } from "./reference.js"
import { isThere, published, root, website } from "./workspace.js"

/** Every page, with its links and its quoted code as VitePress takes them. */
export const allPages = (): ReadonlyArray<Page> => {
  const pages = [...ownPages(), ...guidePages(), ...packagePages(), ...otherPages(), ...referencePages()]
  const pathOf = new Map(pages.flatMap(({ path, source }) => (source === undefined ? [] : [[source, path] as const])))
  return pages.map((page) => ({ ...page, markdown: quoted(relinked(page, pathOf)) }))
}

/** A part of the guide: a heading of the core's README, and the chapters that it lists, in their order. */
export interface Part {
  readonly title: string
  readonly chapters: ReadonlyArray<string>
}

const core = join(root, "packages/client-service")

export const guide = (): ReadonlyArray<Part> => {
  const readme = readFileSync(join(core, "README.md"), "utf8")
  return readme
    .split(/^### /m)
    .slice(1)
    .map((part) => ({
      title: part.slice(0, part.indexOf("\n")).trim(),
      chapters: [...part.matchAll(/\]\(docs\/([\w-]+)\.md\)/g)].map(([, name = ""]) => name)
    }))
    .filter(({ chapters }) => chapters.length > 0)
}

const guidePages = (): ReadonlyArray<Page> =>
  markdownFiles(join(core, "docs")).map((file) => page(file, `learn/${basename(file)}`))

const packagePages = (): ReadonlyArray<Page> =>
  published().flatMap(({ directory, name }) => [
    page(join(directory, "README.md"), `packages/${name}.md`),
    ...(directory === core ? [] : listedIn(directory).map((file) => page(file, `packages/${name}/${basename(file)}`)))
  ])

/** The chapters in the `docs` of a package, in the order of its README, which has to list them all. */
const listedIn = (directory: string): ReadonlyArray<string> => {
  const readme = readFileSync(join(directory, "README.md"), "utf8")
  const listed = [...new Set([...readme.matchAll(/\]\((docs\/[\w-]+\.md)\)/g)].map(([, path = ""]) => path))]
  const files = listed.map((path) => join(directory, path))
  const missing = markdownFiles(join(directory, "docs")).filter((file) => !files.includes(file))
  if (missing.length > 0) throw new Error(`not listed in the README of its package: ${missing.join(", ")}`)
  return files
}

const otherPages = (): ReadonlyArray<Page> => [
  page(join(core, "RELIABILITY.md"), "internals/reliability.md"),
  page(join(root, "packages/benchmarks/README.md"), "internals/benchmarks.md"),
  page(join(root, "CHANGELOG.md"), "changelog.md")
]

const ownPages = (): ReadonlyArray<Page> =>
  markdownFiles(join(website, "pages")).map((file) => {
    const { markdown, ...rest } = page(file, relative(join(website, "pages"), file))
    return { ...rest, markdown: markdown.replace("<!-- the packages -->", () => packageTable(dirname(file))) }
  })

/** The table of the packages in the README of the workspace, with its links as seen from a directory. */
const packageTable = (directory: string): string =>
  readFileSync(join(root, "README.md"), "utf8")
    .split("\n\n")
    .find((part) => part.startsWith("| package"))
    ?.replaceAll("](packages/", `](${relative(directory, join(root, "packages"))}/`) ?? ""

const markdownFiles = (directory: string): ReadonlyArray<string> =>
  isThere(directory)
    ? readdirSync(directory, { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".md"))
        .sort()
        .map((file) => join(directory, file))
    : []

const page = (source: string, path: string): Page => {
  const markdown = readFileSync(source, "utf8")
  return { path, source, markdown, title: titleOf(markdown, path) }
}

/** The title of the front matter, or else the first heading. */
const titleOf = (markdown: string, path: string): string =>
  /^---\n(?:.*\n)*?title: *"?(.*?)"?\n(?:.*\n)*?---\n/.exec(markdown)?.[1] ?? /^# +(.*)$/m.exec(markdown)?.[1] ?? path

// A link to a file that is a page leads to that page. What is a file of the repository, and no page, is only named.
const relinked = ({ markdown, path, source }: Page, pathOf: ReadonlyMap<string, string>): string =>
  source === undefined
    ? markdown
    : outsideOfCode(markdown, (text) =>
        // Without a dot, what is in HTML would be taken for the name of a package.
        text
          .replace(/(\ssrc(?:set)?=")(?![a-z]+:|[./])/g, "$1./")
          .replace(/(?<!!)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (link, words: string, target: string) => {
            if (/^(?:[a-z][a-z\d+.-]*:|#|\/)/i.test(target)) return link
            const [file = "", anchor] = target.split("#", 2)
            const linked = join(dirname(source), file)
            const page = pathOf.get(linked) ?? pathOf.get(join(linked, "README.md"))
            if (page !== undefined) {
              const to = relative(dirname(path), page)
              return `[${words}](${to.startsWith(".") ? to : `./${to}`}${anchor === undefined ? "" : `#${anchor}`})`
            }
            // One of the site's own that is no file, such as the reference.
            if (!linked.startsWith(join(website, "pages")) && isThere(linked)) return named(words, linked)
            return link
          })
      )

const named = (words: string, file: string): string => {
  const path = relative(root, file)
  const plain = words.replaceAll("`", "")
  const name = statSync(file).isDirectory() ? `${path}/` : path
  return plain === path || path.endsWith(`/${plain}`) ? `\`${name}\`` : `${words} (\`${name}\`)`
}

const outsideOfCode = (markdown: string, change: (text: string) => string): string =>
  markdown
    .split(/^((`{3,}|~{3,}).*\n[\s\S]*?^\2)$/gm)
    .map((part, index) => (index % 3 === 0 ? change(part) : index % 3 === 1 ? part : ""))
    .join("")

/** `<<< @/examples/redis.ts` quotes a file of the repository, `<<< @/examples/redis.ts#readme` a region of it. */
const quoted = (markdown: string): string =>
  markdown.replace(
    /^<<< @\/(\S+?)(?:#([\w-]+))?(?:\s*(\{.*\}))?$/gm,
    (_, path: string, region?: string, marks = "") => {
      const text = regionOf(path, region).replace(/^.*\/\/ #(?:end)?region.*\n/gm, "")
      const begin = `\`\`\`${extname(path).slice(1)}${marks}`
      return `${begin}\n// ${path}\n${text.trim()}\n\`\`\``
    }
  )

const regionOf = (path: string, region: string | undefined): string => {
  const text = readFileSync(join(root, path), "utf8")
  if (region === undefined) return text
  const lines = text.split("\n")
  const start = lines.findIndex((line) => line.trim() === `// #region ${region}`)
  const end = lines.findIndex((line, index) => index > start && /^\s*\/\/ #endregion/.test(line))
  if (start < 0 || end < 0) throw new Error(`${path} has no region ${region}`)
  return lines.slice(start + 1, end).join("\n")
}
