import { type ParseArgsConfig, parseArgs } from "node:util"

type Given<O extends NonNullable<ParseArgsConfig["options"]>> = ReturnType<
  typeof parseArgs<{ readonly options: O }>
>["values"]

/** Reads the options of the command, and ends it with its usage if they make no sense, now or later (`refuse`). */
export const optionsOf = <const O extends NonNullable<ParseArgsConfig["options"]>>(
  usage: string,
  options: O
): Given<O> & { readonly refuse: (reason: string) => never } => {
  const refuse = (reason: string): never => {
    console.error(`${reason}\n\n${usage}`)
    process.exit(2)
  }
  try {
    return { ...parseArgs({ options }).values, refuse }
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}
