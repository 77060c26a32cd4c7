/**
 * An example as a process of its own.
 */
import { fileURLToPath } from "node:url"
import * as Program from "test-servers/program"

/** Runs it as it is bundled, since a program takes a third of the processor to start then. */
export const run = (file: string, args?: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) =>
  Program.run(fileURLToPath(new URL(`../build/bundled/${file.replace(/\.ts$/, ".js")}`, import.meta.url)), args, env)
