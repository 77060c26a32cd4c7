/**
 * Headers, as they are written on the command line.
 */
import * as Option from "effect/Option"

export type Header = readonly [name: string, value: string]

/** Nothing if it is none that can be sent. What it is is not to be told: it may hold a secret. */
export const parseHeader = (text: string): Option.Option<Header> => {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(text) ?? []
  return name === undefined || value === undefined ? Option.none() : Option.some([name.toLowerCase(), value])
}

/**
 * Headers in a file, one a line; an empty line, or one that begins with #, is none. Nothing if there are none at all: such a file
 * is being written, or is a pipe that has been read before, and what it was to have is not to be left out.
 */
export const parseHeaders = (text: string): Option.Option<ReadonlyArray<Header>> =>
  Option.all(
    text
      .split(/\r?\n/)
      .filter((line) => line.trim() !== "" && !line.startsWith("#"))
      .map(parseHeader)
  ).pipe(Option.filter((headers) => headers.length > 0))
