/**
 * A state of a service as a line to read, and the wait for the next attempt as a bar.
 */
import { ConnectionState } from "effect-client-service"
import type { Colours, Paint } from "./colours.js"
import * as Words from "./words.js"

export type State = ConnectionState.ConnectionState<unknown, Words.OwnError>

/** Where the second column begins, below which details are set. */
export const indent = " ".repeat(12)

export const stateLine = (colours: Colours, state: State, millis: number): string => {
  const { dim, green, red, yellow, cyan } = colours
  const line = (paint: Paint, sign: string, detail = "") =>
    `${dim(`${Words.ofDuration(millis)}`.padStart(indent.length - 2))}  ${paint(`${sign} ${state._tag.padEnd(13)}`)} ${detail}`.trimEnd()

  return ConnectionState.match(state, {
    Init: () => line(dim, "○"),
    Connecting: ({ attempt }) => line(cyan, "◌", dim(`attempt ${attempt}`)),
    Connected: ({ generation }) => line(green, "●", `connection ${generation}`),
    Waiting: ({ delay, cause }) =>
      line(yellow, "◔", `${`next in ${Words.ofDuration(delay)}`.padEnd(16)}  ${dim(Words.ofCause(cause))}`),
    Disconnecting: () => line(dim, "○"),
    Restarting: () => line(dim, "○"),
    Stopped: () => line(dim, "○"),
    Exhausted: ({ cause, failures }) =>
      line(red, "✗", `after ${Words.count(failures, "failure")} in a row  ${dim(Words.ofCause(cause))}`)
  })
}

/** How much of a wait is over. */
export const waitBar = (
  { dim, yellow }: Colours,
  { delay, remaining }: { readonly delay: number; readonly remaining: number },
  columns: number
): string => {
  const width = Math.min(32, columns - indent.length - 12)
  if (width < 4) return ""
  const over = delay === 0 ? width : Math.round(width * (1 - remaining / delay))
  return `${indent}${yellow("━".repeat(over))}${dim("─".repeat(width - over))}  ${dim(Words.ofDuration(remaining))}`
}
