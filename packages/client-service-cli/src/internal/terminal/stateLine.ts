/**
 * A state of a service as a line to read, and the wait for the next attempt as a bar.
 */
import * as ConnectionState from "effect-client-service/ConnectionState"
import type { Colours, Paint } from "./colours.js"
import * as Words from "./words.js"

export type State = ConnectionState.ConnectionState<unknown, Words.Told>

/** Where the second column begins, below which details are set. */
export const indent = " ".repeat(12)

export const stateLine = (colours: Colours, state: State, millis: number, whose = ""): string => {
  const { dim, green, red, yellow, cyan } = colours
  const line = (paint: Paint, sign: string, detail = "") =>
    `${moment(colours, millis)}${whose}${paint(`${sign} ${state._tag.padEnd(13)}`)} ${detail}`.trimEnd()

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

/** The first column of a line that tells when something happened. */
export const moment = ({ dim }: Colours, millis: number): string =>
  `${dim(`${Words.ofDuration(millis)}`.padStart(indent.length - 2))}  `

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
