import * as Duration from "effect/Duration"

/** Tells on stderr what is being measured, so that stdout has the table alone. */
const { stderr } = process

export const begun = (row: string, number: number, total: number): void => {
  stderr.write(`[${number}/${total}] ${row}\n`)
}

/** Only for people: a log would be full of it. */
export const round = (number: number, total: number): void => {
  if (stderr.isTTY) stderr.write(`\r\u001b[K  round ${number} of ${total}`)
}

export const ended = (result: string, duration: Duration.Duration): void => {
  stderr.write(`${stderr.isTTY ? "\r\u001b[K" : ""}  ${result}, after ${Duration.toSeconds(duration).toFixed(1)} s\n`)
}

export const leftOut = (reason: string): void => {
  stderr.write(`${stderr.isTTY ? "\r\u001b[K" : ""}  left out: ${reason}\n`)
}
