import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { readmes as allReadmes, chapters, installLines, nameOf, specsOf } from "./installLines.js"
import { linkProblemsOf } from "./links.js"
import type { Report } from "./Report.js"
import { fromRoot, none, publishedPackages, root, runBin } from "./workspace.js"

/**
 * Checks that the code in the documentation is code that works: a block of a README, or of a guide, that begins with the path
 * of an example is that example, and every other block, and every `@example` of a docstring, compiles.
 */
export const checkDocumentation = async (report: Report): Promise<void> => {
  const readmes = allReadmes()
  const quoted: Array<Block & { readonly path: string }> = []
  const free: Array<Block> = []
  for (const block of [...readmes.filter(existsSync), ...chapters()].flatMap((file) =>
    blocks(file, readFileSync(file, "utf8"))
  )) {
    const path = /^\/\/ (examples\/\S+)\n/.exec(block.code)?.[1]
    if (path === undefined) free.push(block)
    else quoted.push({ ...block, path })
  }

  await report.check("there is a README at the top and in each package", () => {
    none(readmes.filter((file) => !existsSync(file)).map((file) => `${fromRoot(file)} is missing`))
  })
  await report.check(`the code of the READMEs and guides is that of the examples (${quoted.length} blocks)`, () => {
    none(quoted.flatMap(({ code, path, where }) => differences(where, path, code.slice(code.indexOf("\n") + 1))))
  })

  await report.check("what the code of a README or a guide imports is installed by a line of it", () => {
    none([...quoted, ...free].flatMap(importsNotInstalled))
  })

  await report.check("what the guides install is installed by a line of a README, which is tried out", () => {
    const known = new Set(
      readmes
        .filter(existsSync)
        .flatMap(installLines)
        .map(({ line }) => line)
    )
    none(
      chapters()
        .flatMap(installLines)
        .filter(({ line }) => !known.has(line))
        .map(({ line, readme }) => `${fromRoot(readme)}: ${line}`)
    )
  })

  await report.check("the links of the documents lead to what is in the repository", () => {
    none(documents().flatMap((file) => linkProblemsOf(file, root)))
  })

  const examples = publishedPackages().flatMap(({ directory, modules }) =>
    modules.flatMap((module) => docstringExamples(join(directory, "src", `${module}.ts`)))
  )
  await report.check(
    `the examples of the docstrings compile, and the other code of the READMEs and guides (${examples.length} and ${free.length} blocks)`,
    () => compile([...examples, ...free])
  )
}

const documents = (): ReadonlyArray<string> => [
  join(root, "README.md"),
  join(root, "CHANGELOG.md"),
  ...chapters(),
  ...readdirSync(join(root, "packages")).flatMap((name) =>
    readdirSync(join(root, "packages", name))
      .filter((file) => file.endsWith(".md"))
      .map((file) => join(root, "packages", name, file))
  )
]

interface Block {
  /** The file and line it is at. */
  readonly where: string
  readonly file: string
  readonly code: string
}

const blocks = (file: string, text: string): ReadonlyArray<Block> =>
  [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => ({
    file,
    where: `${fromRoot(file)}:${text.slice(0, match.index).split("\n").length}`,
    code: match[1] ?? ""
  }))

// The lines of a README are those of the guide in the same package.
const readmeOf = (file: string): string => (chapters().includes(file) ? join(dirname(file), "../README.md") : file)

const importsNotInstalled = ({ code, file, where }: Block): ReadonlyArray<string> => {
  const lines = [file, readmeOf(file)].flatMap(installLines)
  const installed = new Set(lines.flatMap(({ line }) => specsOf(line).map(nameOf)))
  return [...code.matchAll(/\bfrom "([^".][^"]*)"/g)]
    .map(([, path = ""]) => path.split("/", path.startsWith("@") ? 2 : 1).join("/"))
    .filter((name) => !name.startsWith("node:") && !installed.has(name))
    .map((name) => `${where} imports ${name}, which no line there installs`)
}

const docstringExamples = (file: string): ReadonlyArray<Block> =>
  // Without the stars of the comment, but with as many lines as there are, a docstring reads like a README.
  blocks(file, readFileSync(file, "utf8").replace(/^ *\* ?/gm, ""))

const differences = (where: string, path: string, code: string): ReadonlyArray<string> => {
  const file = join(root, path)
  if (!existsSync(file)) return [`${where} quotes ${path}, which does not exist`]
  const text = readFileSync(file, "utf8")
  const region = /^\/\/ #region readme\n([\s\S]*?)^\/\/ #endregion/m.exec(text)?.[1] ?? text
  return region.trim() === code.trim() ? [] : [`${where} is not what is in ${path}`]
}

const compile = async (examples: ReadonlyArray<Block>): Promise<void> => {
  const directory = join(root, "packages/checks/build/documentation")
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  examples.forEach(({ code, where }, index) => {
    writeFileSync(join(directory, `${String(index).padStart(3, "0")}.ts`), `// ${where}\n${code}`)
  })
  const compilerOptions = {
    noEmit: true,
    composite: false,
    declaration: false,
    declarationMap: false,
    // What an example declares is for the reader.
    noUnusedLocals: false,
    noUnusedParameters: false,
    types: ["node"],
    lib: ["ES2022", "DOM"]
  }
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ extends: "../../../../tsconfig.base.json", include: ["*.ts"], compilerOptions })
  )
  await runBin("tsc", ["-p", "tsconfig.json", "--pretty", "false"], directory).catch((error: Error) => {
    throw new Error(error.message.replace(/^(\d{3})\.ts/gm, (_, index) => examples[Number(index)]?.where ?? index))
  })
  rmSync(directory, { recursive: true, force: true })
}
