/**
 * Colours, where the terminal has them.
 */
export interface Colours {
  readonly isOn: boolean
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly green: Paint
  readonly yellow: Paint
  readonly cyan: Paint
}

export type Paint = (text: string) => string

/** As Node itself decides: `FORCE_COLOR` comes first, then `NO_COLOR`, then whether a capable terminal is there. */
export const coloursFor = (stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): Colours => {
  const isOn = hasColours(stream, env)
  const paint = isOn
    ? (code: number): Paint =>
        (text) =>
          `\u001b[${code}m${text}\u001b[0m`
    : (): Paint => (text) => text
  return { isOn, bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33), cyan: paint(36) }
}

const hasColours = (stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean => {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = env
  if (force !== undefined) return force !== "0" && force !== "false"
  if (no !== undefined && no !== "") return false
  return stream.isTTY === true && term !== "dumb"
}
