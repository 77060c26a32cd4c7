/**
 * Why a child process could not be started, or was lost.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The kinds of failures of a child process. It could not be started:
 *
 * - `NotFound`: there is no such command, or no such interpreter as it is a script of.
 * - `NotPermitted`: this process may not execute it, or it is nothing that can be executed.
 * - `WorkingDirectory`: `cwd` is no folder, or this process may not enter it.
 * - `InvalidOption`: the Effect of `env` gave what no environment can have.
 * - `Spawn`: anything else, such as that there are too many processes; `code` tells more.
 *
 * Or it is lost:
 *
 * - `Exited`: it ended by itself, with `exitCode`.
 * - `Killed`: it was ended by `signal`.
 * - `OutputClosed`: it closed its standard output, and did not end.
 * - `InputClosed`: it closed its standard input while it was written to, and did not end.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | "NotFound"
  | "NotPermitted"
  | "WorkingDirectory"
  | "InvalidOption"
  | "Spawn"
  | "Exited"
  | "Killed"
  | "OutputClosed"
  | "InputClosed"

/**
 * A child process could not be started, or was lost.
 *
 * It has nothing of the arguments and the environment of the process. The error of Node.js is not its `cause`, since that
 * has the arguments.
 *
 * @since 0.1.0
 * @category errors
 */
export class ChildProcessError extends Data.TaggedError("ChildProcessError")<{
  readonly reason: Reason
  readonly command: string
  /** The error code of Node.js, such as `ENOENT`, if the process could not be started. */
  readonly code?: string | undefined
  /** What the process ended with, if it did so by itself. */
  readonly exitCode?: number | undefined
  /** What ended the process, if it did not do so by itself. */
  readonly signal?: NodeJS.Signals | undefined
  /** The last that the process wrote to its standard error, of which the message has the last line. */
  readonly stderr?: string | undefined
}> {
  override get message(): string {
    const { command, reason, stderr } = this
    const line = lastLine(stderr ?? "")
    return `${command}: ${meanings[reason]}${detailOf(this)}${line === "" ? "" : `: ${line}`}`
  }
}

const meanings: Record<Reason, string> = {
  NotFound: "there is no such command; is it installed, and is its folder in the PATH?",
  NotPermitted: "this process may not execute it; is it a program, and are its permissions right?",
  WorkingDirectory: "its working directory is no folder that this process may enter",
  InvalidOption: "the environment that was made for it has a name or a value that none can have",
  Spawn: "the process could not be started",
  Exited: "the process ended",
  Killed: "the process was killed",
  OutputClosed: "the process closed its standard output",
  InputClosed: "the process closed its standard input"
}

const detailOf = ({ code, exitCode, signal }: ChildProcessError): string => {
  if (exitCode !== undefined) return ` with exit code ${exitCode}`
  if (signal !== undefined) return ` by ${signal}`
  return code === undefined ? "" : ` (${code})`
}

// What a terminal would take for more than text has no place in a log.
const lastLine = (text: string): string =>
  text
    .trimEnd()
    .split(/[\r\n]+/)
    .at(-1)
    ?.replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(-200) ?? ""
