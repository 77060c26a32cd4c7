import * as Data from "effect/Data"

/** A port of this machine cannot be had. */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly host: string
  readonly port: number
  readonly code: string
}> {
  override get message(): string {
    return `cannot listen on ${this.host}, port ${this.port} (${this.code})`
  }
}

/** The code of an error of Node.js. */
export const codeOfNode = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown"
