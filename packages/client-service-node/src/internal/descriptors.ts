import { closeSync, openSync } from "node:fs"
import { devNull } from "node:os"

/** Two for each of three streams, and two by which the system tells how the start went. */
const ofProcess = 8

/**
 * Throws if there are fewer descriptors of files left than a process takes to start. Node.js keeps open what it has opened for
 * one that then lacks another: tried again and again, it would take each that becomes free, and never have enough.
 */
export const requireDescriptors = (): void => {
  const opened: Array<number> = []
  try {
    while (opened.length < ofProcess) opened.push(openSync(devNull, "r"))
  } catch (error) {
    // Anything else is of no concern to a process.
    if (error instanceof Error && "code" in error && /^E[MN]FILE$/.test(String(error.code))) throw error
  } finally {
    for (const descriptor of opened) closeSync(descriptor)
  }
}
