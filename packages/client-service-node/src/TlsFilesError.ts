/**
 * Why certificates and keys could not be had from files.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The kinds of failures.
 *
 * - `NotFound`: there is no such file, or a link leads nowhere.
 * - `NotPermitted`: this process may not read it.
 * - `NotAFile`: it is a folder, a pipe or the like.
 * - `Invalid`: it has no certificate or key, or one that is cut off or can't be read, such as for its passphrase.
 * - `Mismatch`: the key is not that of the certificate, as when only one of them has been renewed yet.
 * - `Unreadable`: the system does not give it for another reason; `code` and `cause` tell more.
 * - `Unwatchable`: the system does not tell when something changes in the folder, such as for a limit of watches.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "NotFound" | "NotPermitted" | "NotAFile" | "Invalid" | "Mismatch" | "Unreadable" | "Unwatchable"

/**
 * A file of a certificate or a key can't be used now. It never has what is in the file.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsFilesError extends Data.TaggedError("TlsFilesError")<{
  readonly reason: Reason
  /** The path of the file, or of the folder that can't be watched. Of a `Mismatch`, that of the key. */
  readonly path: string
  /** The error code of Node.js, such as `ENOENT`, if there is one. */
  readonly code?: string | undefined
  /** What is wrong with it. */
  readonly detail?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const told = [this.code === undefined ? "" : ` (${this.code})`, this.detail === undefined ? "" : `: ${this.detail}`]
    return `${this.path}: ${meanings[this.reason]}${told.join("")}`
  }
}

const meanings: Record<Reason, string> = {
  NotFound: "there is no such file",
  NotPermitted: "this process is not permitted to read it",
  NotAFile: "it is no file",
  Invalid: "it can't be used",
  Mismatch: "the key is not that of the certificate",
  Unreadable: "it can't be read",
  Unwatchable: "changes in this folder can't be watched"
}
