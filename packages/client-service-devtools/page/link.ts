/**
 * The connection to the program.
 */
import type { Update } from "../src/internal/model.js"

export type LinkState = "connecting" | "live" | "lost"

export interface Listener {
  readonly updated: (update: Update) => void
  /** The program tells its time. */
  readonly timed: (now: number) => void
  readonly changed: (state: LinkState) => void
}

/** How long a program may be silent, in milliseconds: it says something every 15 seconds. */
const patience = 40_000

/** Follows a program, and goes on when it has been away. */
export class Link {
  readonly #base: string
  readonly #listener: Listener
  #source: EventSource | undefined
  #silence: ReturnType<typeof setTimeout> | undefined
  #name = ""

  constructor(base: string, listener: Listener) {
    this.#base = base
    this.#listener = listener
  }

  /** Asks for those services alone whose names have this in them. */
  open(name: string): void {
    this.#name = name
    this.#source?.close()
    const source = new EventSource(`${this.#base}/events${name === "" ? "" : `?name=${encodeURIComponent(name)}`}`)
    this.#source = source
    this.#heard()
    source.onmessage = ({ data }: MessageEvent<string>) => {
      this.#heard()
      this.#listener.changed("live")
      this.#listener.updated(JSON.parse(data))
    }
    source.addEventListener("beat", ({ data }: MessageEvent<string>) => {
      this.#heard()
      this.#listener.timed(Number(data))
    })
    source.onerror = () => {
      this.#listener.changed("lost")
      // A browser tries again by itself, unless the answer was no.
      if (source.readyState === EventSource.CLOSED) this.#again(3000)
    }
  }

  #heard(): void {
    this.#again(patience)
  }

  #again(millis: number): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => {
      this.#listener.changed("lost")
      this.open(this.#name)
    }, millis)
  }
}
