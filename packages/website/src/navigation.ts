/**
 * The menus: pages appear in them by being there, under their titles.
 */
import { dirname } from "node:path"
import type { DefaultTheme } from "vitepress"
import type { Page } from "./page.js"
import { guide } from "./pages.js"
import { published } from "./workspace.js"

export interface Navigation {
  readonly nav: Array<DefaultTheme.NavItem>
  readonly sidebar: Array<DefaultTheme.SidebarItem>
  readonly reference: Array<DefaultTheme.SidebarItem>
}

export const navigation = (pages: ReadonlyArray<Page>): Navigation => {
  const item = ({ path, title }: Page) => ({ text: title, link: linkOf(path) })
  const at = (path: string) => pages.filter((page) => page.path === path).map(item)
  const group = (text: string, items: Array<DefaultTheme.SidebarItem>) =>
    items.length === 0 ? [] : [{ text, items, collapsed: false }]
  const chapters = guide().flatMap((part) =>
    group(
      part.title,
      part.chapters.flatMap((name) => at(`learn/${name}.md`))
    )
  )
  const listed = new Set(guide().flatMap(({ chapters }) => chapters.map((name) => `learn/${name}.md`)))
  const unlisted = inDirectory(pages, "learn").filter(({ path }) => !listed.has(path))
  if (unlisted.length > 0) {
    throw new Error(`not listed in the README of the core: ${unlisted.map(({ path }) => path).join(", ")}`)
  }
  const [first = { text: "Learn", link: "/" }] = chapters.flatMap(({ items }) => items)
  const [firstInternal] = inDirectory(pages, "internals").map(item)
  const [firstRecipe] = inDirectory(pages, "recipes").map(item)
  return {
    nav: [
      { text: "Learn", link: first.link ?? "/", activeMatch: "/learn/" },
      ...at("playground.md"),
      ...(firstRecipe === undefined ? [] : [{ ...firstRecipe, text: "Recipes", activeMatch: "/recipes/" }]),
      { text: "Reference", link: "/reference/", activeMatch: "/reference/" },
      ...(firstInternal === undefined ? [] : [{ ...firstInternal, text: "Internals", activeMatch: "/internals/" }])
    ],
    sidebar: [
      ...chapters,
      ...group("Try", at("playground.md")),
      ...group("Recipes by symptom", inDirectory(pages, "recipes").map(item)),
      ...group("Coming from", inDirectory(pages, "coming-from").map(item)),
      ...group(
        "Packages",
        inDirectory(pages, "packages").map((page) => {
          const items = pages.filter(({ path }) => dirname(path) === page.path.replace(/\.md$/, "")).map(item)
          return items.length === 0 ? item(page) : { ...item(page), items, collapsed: true }
        })
      ),
      ...group("Internals", inDirectory(pages, "internals").map(item)),
      ...group("Project", [...at("reference/index.md"), ...at("changelog.md")])
    ],
    reference: [
      ...at("reference/index.md"),
      ...published().map(({ name }) => ({
        text: name.replace("effect-client-service-", "… -"),
        collapsed: name !== "effect-client-service",
        items: inDirectory(pages, `reference/${name}`).map(item)
      }))
    ]
  }
}

/** In the order of the `order` of their front matter, and then of their titles. */
const inDirectory = (pages: ReadonlyArray<Page>, directory: string): Array<Page> =>
  pages
    .filter(({ path }) => dirname(path) === directory)
    .sort((one, other) => orderOf(one) - orderOf(other) || (one.title < other.title ? -1 : 1))

const orderOf = ({ markdown }: Page): number =>
  Number(/^---\n(?:.*\n)*?order: *(\d+)\n(?:.*\n)*?---\n/.exec(markdown)?.[1] ?? 1000)

const linkOf = (path: string): string => `/${path.replace(/(?:^|(?<=\/))index\.md$/, "").replace(/\.md$/, "")}`
