// Compiles the project of a consumer, as `tsc -p` does, by the TypeScript that the checks have for themselves, and looks for
// errors in what is the consumer's and in the packages named, alone:
//   compileBy5.ts <project> <packages, with commas between them> <options of tsc>
import { realpathSync } from "node:fs"
import { join, relative } from "node:path"
import ts from "typescript"

const [folder = "", own = "", ...args] = process.argv.slice(2)
// As TypeScript has the paths of what it finds.
const project = realpathSync(folder)
process.chdir(project)
const ours = own.split(",").map((name) => join(project, "node_modules", name, "/"))
const { errors, options } = ts.parseCommandLine(args)
const told: Array<ts.Diagnostic> = [...errors]
const parsed = ts.getParsedCommandLineOfConfigFile(join(project, "tsconfig.json"), options, {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (diagnostic) => told.push(diagnostic)
})
if (parsed !== undefined) {
  const program = ts.createProgram({
    rootNames: parsed.fileNames,
    options: parsed.options,
    configFileParsingDiagnostics: parsed.errors
  })
  told.push(...parsed.errors, ...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics())
  const files = program.getSourceFiles()
  const isOurs = ({ fileName }: ts.SourceFile) => ours.some((path) => fileName.startsWith(path))
  if (!files.some(isOurs)) throw new Error(`nothing was looked at of ${own}`)
  for (const file of files) {
    if (file.fileName.includes("/node_modules/") && !isOurs(file)) continue
    told.push(...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file))
    // One by one: to emit all, it would look through all for errors first.
    if (!file.isDeclarationFile) told.push(...program.emit(file).diagnostics)
  }
}
console.log(
  ts.formatDiagnostics(told, {
    getCanonicalFileName: (file) => relative(project, file),
    getCurrentDirectory: () => project,
    getNewLine: () => "\n"
  })
)
