/**
 * Which part of time is in sight: the last of it, or what one has moved to.
 */
import { lengthOf, panned, type Span, upTo, zoomed } from "./axis.js"

export class View {
  #length: number
  /** Nothing while it follows. */
  #span: Span | undefined

  constructor(length: number) {
    this.#length = length
  }

  get isFollowing(): boolean {
    return this.#span === undefined
  }

  get length(): number {
    return this.#length
  }

  span(now: number): Span {
    return this.#span ?? upTo(now, this.#length)
  }

  follow(length = this.#length): void {
    this.#length = length
    this.#span = undefined
  }

  /** Moves by so many milliseconds. Whoever moves to the present follows again. */
  pan(by: number, now: number): void {
    const span = panned(this.span(now), by)
    this.#show(span, now)
  }

  zoom(factor: number, around: number, now: number): void {
    const span = this.span(now)
    // Who follows goes on to, and looks at the present.
    const next = zoomed(span, factor, this.isFollowing ? now : around)
    this.#length = lengthOf(next)
    if (!this.isFollowing) this.#show(next, now)
  }

  #show(span: Span, now: number): void {
    this.#span = span.to >= upTo(now, this.#length).to ? undefined : span
  }
}
