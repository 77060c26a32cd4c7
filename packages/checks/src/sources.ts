import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import type { Report } from "./Report.js"
import { fromRoot, none, publishedPackages, root, runBin, temporaryDirectory } from "./workspace.js"

/** Checks of the files themselves: what lies at the top, that the linter sees cycles, and that the exports are documented. */
export const checkSources = async (report: Report): Promise<void> => {
  await report.check("the top level holds only what belongs there", () => {
    none(
      readdirSync(root)
        .filter((name) => !name.startsWith(".") && !topLevel.has(name))
        .map((name) => `${name} does not belong there`)
    )
  })
  await report.check("the linter refuses circular imports", refusesCycles)
  await report.check("every public export says since when it is there, and its category", () => {
    none(
      publishedPackages().flatMap(({ directory, modules }) =>
        modules.flatMap((module) => undocumented(join(directory, "src", `${module}.ts`), module === "index"))
      )
    )
  })
}

/** The names that a module exports. */
export const publicNames = (file: string): ReadonlySet<string> => {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ES2022, true)
  return new Set(source.statements.flatMap<Export>(exportsOf).map(({ name }) => name))
}

const topLevel = new Set([
  "packages",
  "examples",
  "package.json",
  "pnpm-workspace.yaml",
  "pnpm-lock.yaml",
  "tsconfig.base.json",
  "vitest.workspace.ts",
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
  "node_modules"
])

// A rule that silently stops working is worse than none, so it is shown two modules that import each other, and two of
// which one imports only a type.
const refusesCycles = async (): Promise<void> => {
  // Outside the workspace: the rule has the linter read all that lies beside what it is shown.
  const directory = temporaryDirectory()
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text)
  copyFileSync(join(root, ".biome.json"), join(directory, ".biome.json"))
  write("one.ts", 'import { two } from "./two.js"\n\nexport const one = () => two\n')
  write("two.ts", 'import { one } from "./one.js"\n\nexport const two = () => one\n')
  write("value.ts", 'import type { Type } from "./type.js"\n\nexport const value: Type | undefined = undefined\n')
  write("type.ts", 'import { value } from "./value.js"\n\nexport type Type = string\n\nexport const same = value\n')
  const output = await runBin("biome", ["lint", "--colors=off", "--vcs-enabled=false", "."], directory).catch(
    (error) => error.message
  )
  none(
    ["one.ts", "two.ts", "value.ts", "type.ts"]
      .filter((file) => !new RegExp(`${file}:\\d+:\\d+ lint/suspicious/noImportCycles`).test(output))
      .map((file) => `it accepts that of ${file}:\n${output}`)
  )
}

const undocumented = (file: string, isBarrel: boolean): ReadonlyArray<string> => {
  const text = readFileSync(file, "utf8")
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const required = isBarrel ? ["since"] : ["since", "category"]
  const functions = new Set<string>()
  return source.statements.flatMap<Export>(exportsOf).flatMap(({ name, node }) => {
    // The first signature of a function speaks for its overloads.
    if (functions.has(name)) return []
    if (ts.isFunctionDeclaration(node)) functions.add(name)
    const comments = (ts.getLeadingCommentRanges(text, node.pos) ?? []).map(({ pos, end }) => text.slice(pos, end))
    const tags = [...(comments.at(-1) ?? "").matchAll(/^ *\* @(\w+)/gm)].map(([, tag]) => tag)
    const { line } = source.getLineAndCharacterOfPosition(node.getStart())
    return required
      .filter((tag) => tags.filter((other) => other === tag).length !== 1)
      .map((tag) => `${fromRoot(file)}:${line + 1} ${name} needs one @${tag}`)
  })
}

interface Export {
  readonly name: string
  /** What its docstring stands before. */
  readonly node: ts.Node
}

const exportsOf = (statement: ts.Statement): ReadonlyArray<Export> => {
  if (ts.isExportDeclaration(statement)) {
    const { exportClause } = statement
    if (exportClause === undefined) return [{ name: "export *", node: statement }]
    if (ts.isNamedExports(exportClause)) return exportClause.elements.map((node) => ({ name: node.name.text, node }))
    return [{ name: exportClause.name.text, node: statement }]
  }
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
  if (!modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return []
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(
      ({ name }): ReadonlyArray<Export> =>
        ts.isObjectBindingPattern(name)
          ? name.elements.map((node) => ({ name: node.name.getText(), node }))
          : [{ name: name.getText(), node: statement }]
    )
  if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isModuleDeclaration(statement) ||
    ts.isEnumDeclaration(statement)
  )
    return [{ name: statement.name?.text ?? "default", node: statement }]
  return [{ name: statement.getText().split("\n")[0] ?? "", node: statement }]
}
