/**
 * The words of a command line, as a shell takes it apart: with quotes and backslashes, but without a shell, so nothing else
 * has a meaning.
 */
import * as Option from "effect/Option"

/** Nothing if a quote is not closed, or a backslash is the last. */
export const shellWords = (text: string): Option.Option<ReadonlyArray<string>> => {
  const words: Array<string> = []
  let word: string | undefined
  let quote: string | undefined
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ""
    if (quote === "'") {
      if (character === quote) quote = undefined
      else word = (word ?? "") + character
    } else if (character === "\\" && (quote === undefined || /["\\$`]/.test(text[at + 1] ?? ""))) {
      at += 1
      if (at === text.length) return Option.none()
      word = (word ?? "") + text[at]
    } else if (quote !== undefined) {
      if (character === quote) quote = undefined
      else word = (word ?? "") + character
    } else if (character === "'" || character === '"') {
      quote = character
      // What is quoted is a word though there is nothing in it.
      word ??= ""
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else {
      word = (word ?? "") + character
    }
  }
  if (quote !== undefined) return Option.none()
  if (word !== undefined) words.push(word)
  return Option.some(words)
}
