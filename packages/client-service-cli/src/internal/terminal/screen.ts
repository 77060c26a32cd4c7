/**
 * Lines that stay, and below them one that changes.
 */
import * as Effect from "effect/Effect"
import type { Colours } from "./colours.js"
import type { Output } from "./output.js"

export interface Screen {
  readonly colours: Colours
  readonly print: (line: string) => Effect.Effect<void>
  /** Shows a line below all others until it is replaced; the empty one removes it. */
  readonly status: (line: (columns: number) => string) => Effect.Effect<void>
  /** Whether there is a terminal, which a status line takes. */
  readonly isLive: boolean
}

export const make = (output: Output, options?: { readonly isLive?: boolean | undefined }): Screen => {
  const isLive = options?.isLive ?? output.columns() !== undefined
  let status = ""
  return {
    colours: output.colours,
    isLive,
    print: (line) => Effect.suspend(() => output.write(status === "" ? `${line}\n` : `${erase}${line}\n${status}`)),
    status: (line) =>
      Effect.suspend(() => {
        const columns = output.columns()
        const next = columns === undefined ? "" : line(columns)
        if (next === status) return Effect.void
        status = next
        return output.write(erase + status)
      })
  }
}

const erase = "\r\u001b[2K"
