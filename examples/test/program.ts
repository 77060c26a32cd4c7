/**
 * An example as a process of its own.
 */
import { fileURLToPath } from "node:url"
import * as Program from "test-servers/program"

/** Runs it compiled (test/build.ts), since a program starts three times as fast then. */
export const run = (file: string, args?: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) =>
  Program.run(fileURLToPath(new URL(`../build/${file.replace(/\.ts$/, ".js")}`, import.meta.url)), args, env)
