/**
 * Makes the page out of its parts: one document, with its style and its script in it.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { build, transform } from "esbuild"

const directory = join(import.meta.dirname, "../../page")

/** The module that the package has of it. */
export const file = join(import.meta.dirname, "../../src/internal/document.ts")

/** What is in that module, if it is up to date. */
export const makeDocument = async (): Promise<string> => {
  const bundled = await build({
    entryPoints: [join(directory, "main.ts")],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    write: false
  })
  const script = bundled.outputFiles.map(({ text }) => text.trim()).join("")
  if (script.includes("</script")) throw new Error("The script would end its own element.")
  const css = await transform(read("style.css"), { loader: "css", minify: true })
  const style = css.code.trim()
  const html = read("index.html")
    .replace(/\n\s*/g, "\n")
    .replace("<style></style>", () => `<style>${style}</style>`)
    .replace("></script>", () => `>${script}</script>`)
  const policy = [
    "default-src 'none'",
    `script-src '${hash(script)}'`,
    `style-src '${hash(style)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")
  return [
    "// Made of what is in `page` by `npm run page`.",
    `export const contentSecurityPolicy =\n  ${JSON.stringify(policy)}`,
    `export const html =\n  ${ignored}\n  ${literal(html)}\n`
  ].join("\n\n")
}

const ignored = "// biome-ignore lint/suspicious/noTemplateCurlyInString: the templates are those of the script"

/** As the formatter has it: in the quotes that take fewer escapes, which are the single ones. */
const literal = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`

const read = (name: string): string => readFileSync(join(directory, name), "utf8")

const hash = (text: string): string => `sha256-${createHash("sha256").update(text).digest("base64")}`
