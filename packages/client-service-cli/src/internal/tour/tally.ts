/**
 * What has happened in the course of the demo.
 */
import * as Duration from "effect/Duration"
import type { Colours } from "../terminal/colours.js"
import type { State } from "../terminal/stateLine.js"
import * as Words from "../terminal/words.js"

export class Tally {
  attempts = 0
  connections = 0
  failed = 0
  lost = 0
  longest = 0
  waiters = 0
  succeededWaiters = 0
  failedWaiters = 0
  private before: State["_tag"] = "Init"

  readonly state = (state: State): void => {
    if (state._tag === "Connecting") this.attempts += 1
    if (state._tag === "Connected") this.connections += 1
    if (state._tag === "Waiting") {
      if (this.before === "Connected") this.lost += 1
      else this.failed += 1
      this.longest = Math.max(this.longest, Duration.toMillis(state.delay))
    }
    this.before = state._tag
  }

  readonly waits = (): void => {
    this.waiters += 1
  }

  readonly resolved = (isSuccess: boolean): void => {
    if (isSuccess) this.succeededWaiters += 1
    else this.failedWaiters += 1
  }

  readonly lines = ({ dim }: Colours): ReadonlyArray<string> => {
    const row = (name: string, value: number | string, detail = "") =>
      `  ${dim(name.padEnd(14))}${String(value).padStart(6)}${detail === "" ? "" : `   ${dim(detail)}`}`
    return [
      row("attempts", this.attempts),
      row("connections", this.connections),
      row("failures", this.failed + this.lost, `${this.failed} attempts failed, ${this.lost} connections lost`),
      row(
        "waiters",
        this.succeededWaiters + this.failedWaiters,
        `of ${this.waiters} resolved: ${this.succeededWaiters} succeeded, ${this.failedWaiters} failed`
      ),
      row("longest wait", Words.ofDuration(this.longest))
    ]
  }
}
