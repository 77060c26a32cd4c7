import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, extname, join, relative } from "node:path"
import { serve } from "client-service-website/serve"
import { Effect } from "effect"
import * as browsers from "test-servers/browser"
import * as chromium from "test-servers/chromium"
import type { Report } from "./Report.js"
import { publicNames } from "./sources.js"
import { none, publishedPackages, root, run } from "./workspace.js"

const website = join(root, "packages/website")
const site = join(website, "build/site")

/** Checks that the website builds, that its links lead somewhere, and that its playground plays. */
export const checkWebsite = async (report: Report): Promise<void> => {
  const isBuilt = await report.check("the website builds, and none of its pages has a dead link", async () => {
    await run("npm", ["run", "--silent", "website"], root)
  })
  if (!isBuilt) return
  await report.check(
    "the links of the website lead to headings that are there, and nothing is fetched from elsewhere",
    () => none([...linkProblems(), ...fetchProblems()])
  )
  await report.check("the reference has every public export", () => none(referenceProblems()))
  const browser = await chromium
    .install()
    .catch((error: Error) => ({ isInstalled: false as const, reason: error.message }))
  if (browser.isInstalled) {
    await report.check("the playground of the website plays in Chromium, and what its link carries again", () =>
      plays(browser.paths.chromium)
    )
  } else {
    console.log(`skip  the playground of the website: ${browser.reason}`)
    report.add({ skipped: 1 })
  }
}

const filesOf = (...endings: ReadonlyArray<string>): ReadonlyArray<string> =>
  readdirSync(site, { recursive: true, encoding: "utf8" })
    .filter((file) => endings.includes(extname(file)))
    .map((file) => join(site, file))

const linkProblems = (): ReadonlyArray<string> => {
  const pages = new Map(filesOf(".html").map((file) => [file, readFileSync(file, "utf8")]))
  const ids = new Map(
    [...pages].map(([file, text]) => [
      file,
      new Set([...text.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => unescaped(id)))
    ])
  )
  return [...pages].flatMap(([file, text]) =>
    [...new Set([...text.matchAll(/<a[^>]*\shref="([^"]+)"/g)].map(([, target]) => unescaped(target)))].flatMap(
      (target) => {
        if (/^[a-z][a-z\d+.-]*:/i.test(target)) return []
        const [path = "", anchor] = target.split("#", 2)
        const linked =
          path === "" ? file : join(path.startsWith("/") ? site : dirname(file), path.replace(/\/$/, "/index.html"))
        const found = [linked, `${linked}.html`].find((file) => existsSync(file) && extname(file) !== "")
        const where = relative(site, file)
        if (found === undefined) return [`${where} links to ${target}, which is not there`]
        // What the playground plays is no heading.
        if (anchor === undefined || anchor === "" || anchor.startsWith("seed=")) return []
        return ids.get(found)?.has(decodeURIComponent(anchor)) === true
          ? []
          : [`${where} links to ${target}, but there is no such heading`]
      }
    )
  )
}

const unescaped = (text = ""): string =>
  text.replaceAll("&amp;", "&").replaceAll("&quot;", '"').replaceAll("&#39;", "'")

const fetchProblems = (): ReadonlyArray<string> =>
  filesOf(".html", ".css").flatMap((file) =>
    [
      ...readFileSync(file, "utf8").matchAll(
        /(?:<(?:script|img|iframe)[^>]*\ssrc=|<link[^>]*\shref=|url\(|@import )["']?((?:https?:)?\/\/[^"')\s]+)/g
      )
    ].map(([, address]) => `${relative(site, file)} fetches ${address}`)
  )

const referenceProblems = (): ReadonlyArray<string> =>
  publishedPackages().flatMap(({ directory, manifest, modules }) =>
    modules
      .filter((module) => module !== "index")
      .flatMap((module) => {
        const page = readFileSync(join(website, "build/pages/reference", manifest.name, `${module}.md`), "utf8")
        const names = new Set([...page.matchAll(/^### (.*)$/gm)].map(([, name]) => name))
        return [...publicNames(join(directory, "src", `${module}.ts`))]
          .filter((name) => !names.has(name))
          .map((name) => `${manifest.name}/${module} has no ${name}`)
      })
  )

const plays = async (executable: string): Promise<void> => {
  const server = await serve()
  try {
    const { again, described, seed, script } = await Effect.runPromise(
      Effect.scoped(Effect.flatMap(browsers.start(executable), played(`${server.origin}/playground.html`)))
    )
    const printed = await run("npm", ["run", "--silent", "test:deep", "--", "--seed", seed, "--script", script], root)
    none([
      ...(again === described ? [] : [`it was "${described}", and by the link it is "${again}"`]),
      ...(/ state Connected, attempt 3, failures 2$/m.test(printed) ? [] : [`on the command line it was\n${printed}`]),
      ...server.missing.filter((path) => path !== "/favicon.ico").map((path) => `${path} is missing`)
    ])
  } finally {
    server.close()
  }
}

/** Plays, and then what the link carries: what is told of the state both times, and what the link has. */
const played = (address: string) => (browser: browsers.Browser) =>
  Effect.gen(function* () {
    const first = yield* visit(browser, address)
    yield* first.loaded
    yield* first.state("Init")
    yield* first.press("Start")
    for (const _ of ["once", "twice"]) {
      yield* first.state("Connecting")
      yield* first.press("Refuse")
      yield* first.state("Waiting")
      yield* first.press("To what is next")
    }
    yield* first.state("Connecting")
    yield* first.press("Accept")
    yield* first.state("Connected")
    const link = yield* first.text("location.href")
    const described = yield* first.text(now)

    const second = yield* visit(browser, link)
    yield* second.loaded
    yield* second.state("Connected")
    const again = yield* second.text(now)
    const values = new URLSearchParams(new URL(link).hash.slice(1))
    return { again, described, seed: values.get("seed") ?? "", script: values.get("script") ?? "" }
  })

const now = `document.querySelector(".cs-now").textContent`

const visit = (browser: browsers.Browser, address: string) =>
  Effect.map(browser.open(address, { width: 1280, height: 1000, scheme: "light" }), ({ evaluate, until }) => {
    const soon = (expression: string) =>
      Effect.timeoutFail(until(expression), {
        duration: "30 seconds",
        onTimeout: () => new Error(`for 30 s it was not so: ${expression}`)
      })
    return {
      loaded: soon(`document.readyState === "complete"`),
      text: (expression: string) => Effect.map(evaluate(expression), String),
      state: (name: string) => soon(`document.querySelector(".cs-now .cs-tag")?.textContent === "${name}"`),
      press: (name: string) =>
        soon(
          `(() => { const found = [...document.querySelectorAll(".cs-playground button")].find((button) =>
            button.textContent.trim() === ${JSON.stringify(name)} && !button.disabled); found?.click(); return found !== undefined })()`
        )
    }
  })
