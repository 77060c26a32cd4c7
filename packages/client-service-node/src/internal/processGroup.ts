import type { ChildProcess } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import * as Effect from "effect/Effect"

/** Whether a process that is started detached leads a group of its own, which its children are in too. */
export const hasGroups = process.platform !== "win32"

/** A child process, and with it, where there are groups, its children and theirs. */
export class ProcessGroup {
  private hasGone = false

  constructor(
    private readonly child: ChildProcess,
    readonly pid: number
  ) {
    // Once nobody is in the group, another may come to have its number.
    child.once("exit", () => this.isGone)
  }

  signal(signal: NodeJS.Signals): void {
    if (this.hasGone) return
    try {
      if (hasGroups) process.kill(-this.pid, signal)
      else this.child.kill(signal)
    } catch {
      // It has gone meanwhile, or has become another user's.
    }
  }

  /** Waits until nobody is left. */
  get gone(): Effect.Effect<void> {
    return Effect.zipRight(this.exited, this.emptied(1))
  }

  private get exited(): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (this.hasExited) return resume(Effect.void)
      const exited = () => resume(Effect.void)
      this.child.once("exit", exited)
      return Effect.sync(() => {
        this.child.off("exit", exited)
      })
    })
  }

  // No event tells of the end of others than the child.
  private emptied(delay: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.isGone ? Effect.void : Effect.delay(this.emptied(Math.min(2 * delay, 100)), delay)
    )
  }

  /** Whether nobody is left. */
  get isGone(): boolean {
    this.hasGone ||= this.hasExited && (!hasGroups || !isAlive(this.pid))
    return this.hasGone
  }

  private get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }
}

const isAlive = (group: number): boolean => {
  try {
    process.kill(-group, 0)
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
  return process.platform !== "linux" || hasLiving(group)
}

// A container's first process often takes no notice of the ends of those that are left to it, so that they stay in the
// list of processes for ever. Other systems have an `init` that does.
const hasLiving = (group: number): boolean => {
  try {
    return readdirSync("/proc").some((name) => /^\d+$/.test(name) && isLivingIn(group, name))
  } catch {
    return true
  }
}

const isLivingIn = (group: number, pid: string): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // What is before is the name of the program, which may have anything in it.
    const [state = "", , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return Number(pgrp) === group && !/[ZX]/.test(state)
  } catch {
    return false
  }
}
