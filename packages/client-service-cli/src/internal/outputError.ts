import * as Data from "effect/Data"

/** What is received cannot be written, though somebody wants it. */
export class OutputError extends Data.TaggedError("OutputError")<{ readonly code: string }> {
  override get message(): string {
    return `the standard output cannot be written (${this.code})`
  }
}
