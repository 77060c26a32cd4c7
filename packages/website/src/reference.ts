/**
 * The reference: a page for each module of each published package, made of the declarations that its users get.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import ts from "typescript"
import type { Page } from "./page.js"
import { built, isThere, type Package, published, root } from "./workspace.js"

/** A page for each module, and one for each package that lists its modules. */
export const referencePages = (): ReadonlyArray<Page> => {
  const modules = published().flatMap(modulesOf)
  const signatures = formatted(modules)
  return [
    index(modules),
    ...modules.map((module) => ({
      path: pathOf(module),
      title: module.name,
      source: undefined,
      markdown: modulePage(module, signatures)
    }))
  ]
}

interface Module {
  readonly pkg: Package
  readonly name: string
  readonly description: string
  readonly entries: ReadonlyArray<Entry>
}

/** A public export. */
interface Entry {
  readonly name: string
  readonly docs: Docs
  readonly declaration: string
}

interface Docs {
  readonly description: string
  readonly category: string
  readonly since: string
  readonly throws: ReadonlyArray<string>
  readonly examples: ReadonlyArray<string>
}

const pathOf = ({ name, pkg }: Module): string => `reference/${pkg.name}/${name}.md`

const index = (modules: ReadonlyArray<Module>): Page => ({
  path: "reference/index.md",
  title: "Reference",
  source: undefined,
  markdown: [
    "# Reference",
    "",
    "Every public export of every package, as its users get it.",
    ...published().flatMap((pkg) => [
      "",
      `## ${pkg.name}`,
      "",
      pkg.description,
      "",
      "| module | |",
      "| --- | --- |",
      ...modules
        .filter((module) => module.pkg.name === pkg.name)
        .map((module) => `| [\`${module.name}\`](./${pkg.name}/${module.name}.md) | ${summary(module.description)} |`)
    ]),
    ""
  ].join("\n")
})

const summary = (text: string): string => (text.split("\n\n")[0] ?? "").replace(/\s*\n\s*/g, " ").replaceAll("|", "\\|")

const modulePage = (module: Module, signatures: ReadonlyMap<Entry, string>): string => {
  const { description, entries, name, pkg } = module
  const categories = [...new Set(entries.map(({ docs }) => docs.category))].sort()
  return [
    `# ${name}`,
    "",
    escaped(description),
    "",
    "```ts",
    `import { ${name} } from "${pkg.name}"`,
    `import * as ${name} from "${pkg.name}/${name}"`,
    "```",
    ...categories.flatMap((category) => [
      "",
      `## ${category === "" ? "other" : category}`,
      ...entries
        .filter(({ docs }) => docs.category === category)
        .sort((one, other) => (one.name < other.name ? -1 : 1))
        .flatMap((entry) => entryPart(entry, signatures.get(entry) ?? entry.declaration))
    ]),
    ""
  ]
    .filter((line) => isIndexed(module) || !line.startsWith(`import { ${name} }`))
    .join("\n")
}

// Those that are not in the index are to be had by their paths alone.
const isIndexed = ({ name, pkg }: Module): boolean =>
  readFileSync(join(pkg.directory, "src/index.ts"), "utf8").includes(`"./${name}.js"`)

const entryPart = ({ docs, name }: Entry, signature: string): ReadonlyArray<string> => [
  "",
  `### ${name}`,
  ...(docs.description === "" ? [] : ["", escaped(docs.description)]),
  ...(docs.throws.length === 0 ? [] : ["", `Throws ${docs.throws.map(escaped).join("; ")}`]),
  "",
  "```ts",
  signature.trim(),
  "```",
  ...docs.examples.flatMap((example) => ["", "Example:", "", example]),
  "",
  `<small>since ${docs.since}</small>`
]

/** Text of a comment, in which what looks like a tag of HTML is none. */
const escaped = (text: string): string =>
  text.replace(/(`+)[\s\S]*?\1|[<{]/g, (match) => (match === "<" ? "&lt;" : match === "{" ? "&#123;" : match))

const modulesOf = (pkg: Package): ReadonlyArray<Module> =>
  readdirSync(join(pkg.directory, "src"))
    .filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .map((file) => file.slice(0, -".ts".length))
    .sort()
    .map((name) => {
      const file = parsed(join(pkg.directory, "dist", `${name}.d.ts`))
      const [first = ""] = commentsBefore(file, 0)
      return { pkg, name, description: docsOf(first).description, entries: entriesOf(file) }
    })

const parsed = (path: string): ts.SourceFile => {
  if (!isThere(path)) throw new Error(`${path} is missing: the reference is made of what is built by \`tsc -b\``)
  return ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ES2022, true)
}

const entriesOf = (file: ts.SourceFile): ReadonlyArray<Entry> => {
  const entries = new Map<string, Entry>()
  const add = (name: string, docs: Docs, declaration: string) => {
    const before = entries.get(name)
    // The overloads of a function, a type and a value of one name, and a namespace that is merged with it.
    if (before === undefined) entries.set(name, { name, docs, declaration })
    else
      entries.set(name, {
        name,
        docs: before.docs.description === "" ? { ...docs, category: before.docs.category } : before.docs,
        declaration: `${before.declaration}\n\n${declaration}`
      })
  }
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) {
      if (statement.exportClause === undefined || !ts.isNamedExports(statement.exportClause)) continue
      for (const specifier of statement.exportClause.elements) addSpecifier(file, specifier, add)
    } else if (isExported(statement)) {
      const docs = docsOf(lastComment(file, statement))
      for (const name of namesOf(statement)) add(name, docs, textOf(file, statement))
    }
  }
  return [...entries.values()]
}

/** What a module exports that is declared in it without `export`, or in another. */
const addSpecifier = (
  file: ts.SourceFile,
  specifier: ts.ExportSpecifier,
  add: (name: string, docs: Docs, declaration: string) => void
): void => {
  const name = specifier.name.text
  const own = docsOf(commentsBefore(file, specifier.pos).at(-1) ?? "")
  const declared = declarationsOf(file, (specifier.propertyName ?? specifier.name).text)
  for (const { file, statement } of declared) {
    const docs = docsOf(lastComment(file, statement))
    const merged = {
      ...own,
      description: own.description === "" ? docs.description : own.description,
      examples: own.examples.length === 0 ? docs.examples : own.examples,
      throws: own.throws.length === 0 ? docs.throws : own.throws
    }
    add(name, merged, textOf(file, statement))
  }
}

interface Declared {
  readonly file: ts.SourceFile
  readonly statement: ts.Statement
}

const declarationsOf = (file: ts.SourceFile, name: string): ReadonlyArray<Declared> => {
  const here = file.statements.filter(
    (statement) => !ts.isImportDeclaration(statement) && namesOf(statement).includes(name)
  )
  if (here.length > 0) return here.map((statement) => ({ file, statement }))
  for (const statement of file.statements) {
    const clause = ts.isImportDeclaration(statement)
      ? statement.importClause?.namedBindings
      : ts.isExportDeclaration(statement)
        ? statement.exportClause
        : undefined
    if (clause === undefined || !(ts.isNamedImports(clause) || ts.isNamedExports(clause))) continue
    for (const { name: local, propertyName } of clause.elements) {
      const specifier = (statement as ts.ImportDeclaration | ts.ExportDeclaration).moduleSpecifier
      if (local.text !== name || specifier === undefined || !ts.isStringLiteral(specifier)) continue
      if (!specifier.text.startsWith(".")) return []
      const path = join(dirname(file.fileName), specifier.text.replace(/\.js$/, ".d.ts"))
      return declarationsOf(parsed(path), (propertyName ?? local).text)
    }
  }
  return []
}

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  (ts.getModifiers(statement) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)

const namesOf = (statement: ts.Statement): ReadonlyArray<string> => {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) =>
      ts.isObjectBindingPattern(name) ? name.elements.map((element) => element.name.getText()) : [name.getText()]
    )
  if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isModuleDeclaration(statement)
  )
    return statement.name === undefined ? [] : [statement.name.text]
  return []
}

/** A declaration as its reader would write it. */
const textOf = (file: ts.SourceFile, statement: ts.Statement): string =>
  (ts.isClassDeclaration(statement) ? classText(file, statement) : statement.getText(file))
    .replace(/^export /, "")
    .replace(/^declare /, "")

// A class that extends what a function returns has a base without a name, which the compiler gives one of its own.
const classText = (file: ts.SourceFile, declaration: ts.ClassDeclaration): string => {
  const text = declaration.getText(file)
  const name = declaration.name?.text ?? ""
  const source = file.fileName.replace("/dist/", "/src/").replace(/\.d\.ts$/, ".ts")
  const written = readFileSync(source, "utf8").match(
    new RegExp(`export class ${name}(?:<[^{]*?>)? extends ([\\w.]+\\([^)]*\\))`)
  )
  return written?.[1] === undefined ? text : text.replace(`${name}_base`, () => written[1] ?? "")
}

const lastComment = (file: ts.SourceFile, node: ts.Node): string => commentsBefore(file, node.pos).at(-1) ?? ""

const commentsBefore = (file: ts.SourceFile, position: number): ReadonlyArray<string> =>
  (ts.getLeadingCommentRanges(file.text, position) ?? [])
    .map(({ end, pos }) => file.text.slice(pos, end))
    .filter((comment) => comment.startsWith("/**"))

const docsOf = (comment: string): Docs => {
  const text = comment.replace(/^\/\*\*|\*\/$/g, "").replace(/^ *\* ?/gm, "")
  const [description = "", ...tags] = text.split(/^@(?=[a-z])/m)
  const tagged = (name: string): ReadonlyArray<string> =>
    tags.filter((tag) => new RegExp(`^${name}\\b`).test(tag)).map((tag) => tag.slice(name.length).trim())
  return {
    description: description.trim(),
    category: tagged("category")[0] ?? "",
    since: tagged("since")[0] ?? "",
    throws: tagged("throws"),
    examples: tagged("example")
  }
}

/** The declarations in the format of the sources, all of them by one run of the formatter. */
const formatted = (modules: ReadonlyArray<Module>): ReadonlyMap<Entry, string> => {
  const directory = join(built, "signatures")
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const fileOf = (index: number): string => join(directory, `${String(index).padStart(3, "0")}.ts`)
  const entries = modules.map(({ entries }) => entries)
  entries.forEach((entries, index) => {
    writeFileSync(fileOf(index), entries.map(({ declaration }) => `${mark}\n${declare(declaration)}\n`).join("\n"))
  })
  const { error, status, stderr } = spawnSync(
    join(root, "node_modules/.bin/biome"),
    ["format", "--write", "--line-width=84", "--colors=off", "--vcs-use-ignore-file=false", directory],
    { cwd: root, encoding: "utf8" }
  )
  if (status !== 0) throw error ?? new Error(stderr)
  return new Map(
    entries.flatMap((entries, index) => {
      const texts = readFileSync(fileOf(index), "utf8").split(`${mark}\n`).slice(1)
      return entries.map((entry, index): [Entry, string] => [entry, (texts[index] ?? "").replace(/^declare /gm, "")])
    })
  )
}

const mark = "// ----"

const declare = (declaration: string): string =>
  declaration.replace(/^(?=(?:const|function|class|abstract class|namespace) )/gm, "declare ")
