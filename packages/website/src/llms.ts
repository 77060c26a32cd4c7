/**
 * What assistants read: `llms.txt` lists the pages, and `llms-full.txt` has all of them.
 */
import type { Page } from "./page.js"

/** Writes both, by the function given, and gives what that gives. */
export const writeTexts = (
  pages: ReadonlyArray<Page>,
  write: (path: string, text: string) => string
): ReadonlyArray<string> => {
  const texts = pages.map((page) => ({ ...page, markdown: plain(page.markdown) }))
  return [write("public/llms.txt", list(texts)), write("public/llms-full.txt", everything(texts))]
}

const list = (pages: ReadonlyArray<Page>): string =>
  [
    "# ClientService for Effect",
    "",
    `> ${description}`,
    "",
    "All pages in one file: [llms-full.txt](llms-full.txt)",
    ...sections(pages).flatMap(([title, pages]) => [
      "",
      `## ${title}`,
      "",
      ...pages.map((page) => `- [${page.title}](${page.path.replace(/\.md$/, ".html")})`)
    ]),
    ""
  ].join("\n")

const everything = (pages: ReadonlyArray<Page>): string =>
  sections(pages)
    .flatMap(([, pages]) => pages)
    .map(({ markdown, path }) => `<!-- ${path} -->\n\n${markdown.trim()}\n`)
    .join("\n")

const description = `Keeps one outgoing connection alive for as long as its Scope lives: it connects, prepares the connection, hands it to
> whoever waits, notices its loss, waits as its retry policy says, and connects again. For Effect 3, in TypeScript.`

const titles: ReadonlyArray<readonly [string, string]> = [
  ["learn", "Guide"],
  ["recipes", "Recipes by symptom"],
  ["coming-from", "Coming from"],
  ["packages", "Packages"],
  ["internals", "Internals"],
  ["reference", "Reference"]
]

const sections = (pages: ReadonlyArray<Page>): ReadonlyArray<readonly [string, ReadonlyArray<Page>]> =>
  titles
    .map(([directory, title]) => [title, pages.filter(({ path }) => path.startsWith(`${directory}/`))] as const)
    .filter(([, pages]) => pages.length > 0)

/** A page without its front matter. */
const plain = (markdown: string): string => markdown.replace(/^---\n[\s\S]*?\n---\n/, "")
