import * as Data from "effect/Data"

/** A file that is named on the command line cannot be used. Nothing of what is in it is told. */
export class FileError extends Data.TaggedError("FileError")<{
  readonly option: string
  readonly path: string
  /** The error code of Node.js, if it could not be read. */
  readonly code?: string | undefined
}> {
  override get message(): string {
    const { code, option, path } = this
    return code === undefined
      ? `the file of ${option}, ${path}, has no header, or a line that is none: expected "name: value"`
      : `the file of ${option}, ${path}, cannot be read (${code})`
  }
}
