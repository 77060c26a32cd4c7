/**
 * A server as a process of its own, which tests kill, pause and start again.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { chmod, mkdtemp } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { Effect, type Scope } from "effect"

export interface Options {
  readonly command: string
  readonly args?: ReadonlyArray<string> | undefined
  /** What it says on its standard output or error when it can be used. */
  readonly ready: RegExp
  /** In addition to the environment of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  /** The user to run it as, where this process is root's. */
  readonly user?: string | undefined
  /** What asks it to end. Default `SIGTERM`. */
  readonly stopSignal?: NodeJS.Signals | undefined
}

export interface ServerProcess {
  /** Starts it after it has ended, and waits until it is ready. */
  readonly start: Effect.Effect<void>
  /** Asks it to end, and waits until it has. */
  readonly stop: Effect.Effect<void>
  /** Kills it and all processes it has started (`SIGKILL`), and waits until they are gone. */
  readonly kill: Effect.Effect<void>
  /** Halts it and all processes it has started (`SIGSTOP`): the system goes on accepting connections for it. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** What it has said since it was last started. */
  readonly output: () => string
}

/** Starts a server, which is killed when the Scope closes. It dies with this process, too. */
export const make = (options: Options): Effect.Effect<ServerProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const runs = yield* Effect.acquireRelease(
      Effect.sync(() => ({ last: new Run(options) })),
      (runs) => Effect.promise(() => runs.last.kill())
    )
    yield* Effect.promise(() => runs.last.ready)
    return {
      start: Effect.promise(() => {
        runs.last = new Run(options)
        return runs.last.ready
      }),
      stop: Effect.promise(() => runs.last.stop()),
      kill: Effect.promise(() => runs.last.kill()),
      pause: Effect.sync(() => void halt(runs.last.pid)),
      resume: Effect.sync(() => {
        for (const pid of treeOf(runs.last.pid)) signal(pid, "SIGCONT")
      }),
      output: () => runs.last.output
    }
  })

/** Runs a program to its end, and dies with what it said if that is a failure. */
export const run = (options: Omit<Options, "ready" | "stopSignal">): Effect.Effect<void> =>
  Effect.promise(async () => {
    const program = new Run({ ...options, ready: /^/ })
    const end = await program.exited
    if (end !== 0) throw new Error(`${options.command} ended with ${end}:\n${program.output}`)
  })

/** An empty folder that every user may write to. It is removed when the Scope closes, or when this process ends anyhow. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const directory = await mkdtemp(join(tmpdir(), "test-server-"))
      await chmod(directory, 0o1777)
      return { directory, remove: remover(directory) }
    }),
    ({ remove }) => Effect.promise(remove)
  ),
  ({ directory }) => directory
)

// A process of its own, since one that is killed removes nothing. It is told by the end of its input. A server that is
// killed at the same time may still write.
const remover = (directory: string): (() => Promise<unknown>) => {
  const script = 'cat; for _ in 1 2 3 4 5; do rm -rf "$0" && break; sleep 1; done'
  const shell = spawn("/bin/sh", ["-c", script, directory], { detached: true, stdio: ["pipe", "ignore", "ignore"] })
  return () => {
    shell.stdin.end()
    return once(shell, "exit")
  }
}

/**
 * A port of 127.0.0.1 that nothing listens on. It is none of those that the system gives to clients, so that it is still
 * free when a server starts again.
 */
export const freePort: Effect.Effect<number> = Effect.promise(async () => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port)) return port
  }
})

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

class Run {
  output = ""
  readonly exited: Promise<number | NodeJS.Signals | null>
  readonly ready: Promise<void>
  readonly #process: ChildProcess
  readonly #stopSignal: NodeJS.Signals

  constructor({ args = [], command, cwd, env, ready, stopSignal = "SIGTERM", user }: Options) {
    this.#stopSignal = stopSignal
    const [file = command, ...rest] = [...wrapper(user), command, ...args]
    this.#process = spawn(file, rest, {
      cwd: cwd ?? tmpdir(),
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    // Not "close", since what it has started may hold its output open.
    this.exited = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => resolve(signal ?? code))
      this.#process.once("error", (error) => {
        this.output += error.message
        resolve(null)
      })
    })
    this.ready = new Promise((resolve, reject) => {
      const onText = (text: string) => {
        this.output += text
        if (ready.test(this.output)) resolve()
      }
      this.#process.stdout?.setEncoding("utf8").on("data", onText)
      this.#process.stderr?.setEncoding("utf8").on("data", onText)
      void this.exited.then((end) => reject(new Error(`${command} ended with ${end} unready:\n${this.output}`)))
    })
    // Whoever waits is told; a program that need not get ready has nobody who waits.
    this.ready.catch(() => {})
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  async stop(): Promise<void> {
    signal(this.pid, this.#stopSignal)
    await this.exited
  }

  async kill(): Promise<void> {
    const pids = halt(this.pid)
    for (const pid of pids) signal(pid, "SIGKILL")
    await this.exited
    // Nobody tells of the end of a process that another one started.
    while (pids.some(isAlive)) await setTimeout(5)
  }
}

// It has the system kill the server when this process ends, however that ends.
const setpriv = "/usr/bin/setpriv"

const wrapper = (user: string | undefined): ReadonlyArray<string> => {
  if (!existsSync(setpriv)) return []
  const identity =
    user !== undefined && process.getuid?.() === 0 ? [`--reuid=${user}`, `--regid=${user}`, "--init-groups"] : []
  return [setpriv, ...identity, "--pdeathsig=KILL", "--"]
}

/** Halts a process and all that it has started, and gives the ids of them all. */
const halt = (root: number): ReadonlyArray<number> => {
  const halted = new Set<number>()
  // One that runs may start another before it is halted.
  for (;;) {
    const running = treeOf(root).filter((pid) => !halted.has(pid))
    if (running.length === 0) return [...halted]
    for (const pid of running) {
      signal(pid, "SIGSTOP")
      halted.add(pid)
    }
  }
}

const treeOf = (root: number): ReadonlyArray<number> => {
  if (!isAlive(root)) return []
  const all = existsSync("/proc")
    ? readdirSync("/proc")
        .map(Number)
        .filter(Number.isInteger)
        .map((pid) => ({ pid, parent: statOf(pid)?.parent }))
    : []
  const tree = [root]
  for (const pid of tree) tree.push(...all.filter(({ parent }) => parent === pid).map(({ pid }) => pid))
  return tree
}

const isAlive = (pid: number): boolean => {
  if (!existsSync("/proc")) return signal(pid, 0)
  const stat = statOf(pid)
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X"
}

const statOf = (pid: number): { readonly state: string; readonly parent: number } | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The name of the program, which is in parentheses, may have any character.
    const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state, parent: Number(parent) }
  } catch {
    return undefined
  }
}

/** Whether there is such a process. */
const signal = (pid: number, name: NodeJS.Signals | 0): boolean => {
  if (pid <= 0) return false
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
