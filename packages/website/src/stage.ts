/**
 * Writes all pages to where VitePress takes them from.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { writeTexts } from "./llms.js"
import { type Navigation, navigation } from "./navigation.js"
import type { Page } from "./page.js"
import { allPages } from "./pages.js"
import { built, isThere } from "./workspace.js"

export const pagesDirectory = join(built, "pages")

/** Writes what has changed, and removes what is no more, so that a server that watches sees no more than that. */
export const stage = (): ReadonlyArray<Page> => {
  const pages = allPages()
  const written = new Set([
    ...pages.map((page) => write(page.path, page.markdown)),
    ...pages.flatMap(imagesOf).map(({ from, path }) => write(path, readFileSync(from))),
    ...writeTexts(pages, write)
  ])
  for (const file of isThere(pagesDirectory) ? filesIn(pagesDirectory) : []) {
    if (!written.has(file)) rmSync(file)
  }
  writeIfChanged(navigationFile, JSON.stringify(navigation(pages), undefined, 2))
  return pages
}

/** The images beside the source of a page, which are to be beside the page. */
const imagesOf = ({ markdown, path, source }: Page): ReadonlyArray<{ readonly from: string; readonly path: string }> =>
  source === undefined
    ? []
    : [...markdown.matchAll(/!\[[^\]]*\]\(([^)\s:]+)\)|\ssrc(?:set)?="([^"\s:]+)"/g)]
        .map(([, image, other = ""]) => image ?? other)
        .map((image) => ({ from: join(dirname(source), image), path: join(dirname(path), image) }))
        .filter(({ from }) => isThere(from))

const navigationFile = join(built, "navigation.json")

/** What `stage` has made of the pages for the menus. */
export const readNavigation = (): Navigation => JSON.parse(readFileSync(navigationFile, "utf8"))

const write = (path: string, content: string | Buffer): string => {
  const file = join(pagesDirectory, path)
  writeIfChanged(file, content)
  return file
}

const writeIfChanged = (file: string, content: string | Buffer): void => {
  if (isThere(file) && readFileSync(file).equals(Buffer.from(content))) return
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

const filesIn = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, withFileTypes: true, encoding: "utf8" })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
