/** The time of the program, by what it tells of it. */
export class ProgramClock {
  #ahead = Number.NEGATIVE_INFINITY

  /** What has been the shortest on its way is the nearest to the truth; but clocks can be set. */
  tell(now: number): void {
    const ahead = now - performance.now()
    if (ahead > this.#ahead || ahead < this.#ahead - 2000) this.#ahead = ahead
  }

  get now(): number {
    return performance.now() + this.#ahead
  }
}
