import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { access, constants, stat } from "node:fs/promises"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import type * as Incoming from "effect-client-service/Incoming"
import { type Transport, TransportError, type Write } from "effect-client-service/Transport"
import { ChildProcessError, type Reason } from "../ChildProcessError.js"
import { requireDescriptors } from "./descriptors.js"
import { guard } from "./guard.js"
import type { HalfOpen } from "./halfOpen.js"
import { hasGroups, ProcessGroup } from "./processGroup.js"
import { type Owner, Sending } from "./sending.js"
import { Tail } from "./tail.js"
import { turn, within } from "./turn.js"

export interface Settings {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly killSignal: NodeJS.Signals
  readonly killTimeout: Duration.Duration
  /** How long the reader has to come back, and a process to end that has closed its output. */
  readonly linger: Duration.Duration
  /** How many bytes of the standard error are kept for the error. */
  readonly stderrTail: number
  readonly onStderr: (chunk: Uint8Array) => void
}

/**
 * Starts a process in the Scope of the connection, and gives its standard input and output as a transport.
 *
 * It is one of `node:child_process`. That of a `Command` of `@effect/platform` is not sound here: its errors tell the
 * arguments; a process that does not mind SIGTERM is waited for without end, and of one that ended by itself or by a signal
 * the children are left; how it ended is told by the exit code alone; nothing reads what it writes to its standard error
 * until somebody does; and its output flows at the exit, whether somebody reads or not.
 */
export const startProcess = (
  settings: Settings,
  incoming: Incoming.Incoming<ChildProcessError>,
  halfOpen: HalfOpen<ChildProcessError> | undefined
): Effect.Effect<LiveProcess, ChildProcessError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) =>
    spawned(settings, (child, pid) => new LiveProcess(child, pid, settings, incoming, halfOpen)).pipe(
      Effect.tap((live) => Scope.addFinalizer(scope, live.close)),
      Effect.uninterruptible,
      Effect.catchAll((error) => Effect.flatMap(spawnError(error, settings), Effect.fail)),
      Effect.tap((live) => Effect.forkIn(Effect.interruptible(live.watch), scope))
    )
  )

// In one step, after which its events are heard: the fiber may give way to others after any.
const spawned = <A>(
  { args, command, cwd, env }: Settings,
  live: (child: ChildProcessWithoutNullStreams, pid: number) => A
): Effect.Effect<A, unknown> =>
  Effect.async((resume) => {
    try {
      requireDescriptors()
      const child = spawn(command, args, { cwd, env, detached: hasGroups, stdio: "pipe", windowsHide: true })
      const { pid } = child
      // The system has started it, or refused to, before this returns.
      if (pid === undefined) child.once("error", (error) => resume(Effect.fail(error)))
      else resume(Effect.succeed(live(child, pid)))
    } catch (error) {
      resume(Effect.fail(error))
    }
  })

interface Exited {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

/** How long it may take the system to end what was killed. */
const reaping = Duration.seconds(1)

/** No system keeps as much between two processes: what comes after it was not there at the exit. */
const mostUnread = 4 * 1024 * 1024

/**
 * A child process as a transport.
 *
 * It listens to each event of the process and of its streams for ever, so that no error event is ever without a listener.
 */
export class LiveProcess implements Transport, Owner {
  readonly remote: string
  readonly write: Write
  // Not to be seen by whoever looks at the transport: they have the arguments and the environment.
  readonly #child: ChildProcessWithoutNullStreams
  readonly #settings: Settings
  readonly #received: Incoming.Incoming<ChildProcessError>
  /** Of a process that may close one side and go on with the other. */
  readonly #halfOpen: HalfOpen<ChildProcessError> | undefined
  readonly #group: ProcessGroup
  readonly #release: () => void
  readonly #sending: Sending
  readonly #tail: Tail
  /** The first sign that the connection does not go on. */
  readonly #sign = Deferred.unsafeMake<Reason>(FiberId.none)
  readonly #exit = Deferred.unsafeMake<void>(FiberId.none)
  #exited: Exited | undefined
  #phase: "open" | "lost" | "closing" = "open"
  /** How many of the standard output and error are open, and how many bytes have come of them. */
  #outputs = 2
  #bytes = 0

  constructor(
    child: ChildProcessWithoutNullStreams,
    readonly pid: number,
    settings: Settings,
    received: Incoming.Incoming<ChildProcessError>,
    halfOpen: HalfOpen<ChildProcessError> | undefined
  ) {
    const { stderr, stdin, stdout } = child
    this.remote = `${settings.command} (pid ${pid})`
    this.#child = child
    this.#settings = settings
    this.#received = received
    this.#halfOpen = halfOpen
    this.#group = new ProcessGroup(child, pid)
    this.#release = guard(pid)
    this.#sending = new Sending(stdin, this)
    this.write = this.#sending.write
    this.#tail = new Tail(settings.stderrTail)
    received.from({
      // What is there at the exit is no more than the system keeps. It is taken, for the exit to be told.
      pause: () => this.#exited ?? stdout.pause(),
      resume: () => stdout.resume()
    })
    child.on("error", () => {})
    child.on("exit", (exitCode, signal) => this.#ended({ exitCode, signal }))
    stdin.on("drain", () => this.#sending.settle())
    stdin.on("error", () => (halfOpen === undefined ? this.#tell("InputClosed") : this.#sending.settle()))
    stdin.on("close", () => this.#sending.settle())
    stdout.on("data", (chunk: Buffer) => {
      this.#bytes += chunk.length
      this.#received.offer(chunk)
    })
    stdout.on("error", () => {})
    stdout.on("close", () => {
      this.#outputs -= 1
      this.#tell("OutputClosed")
    })
    // It is read whatever happens: a process whose errors nobody reads would wait for that.
    stderr.on("data", (chunk: Buffer) => {
      this.#bytes += chunk.length
      this.#tail.add(chunk)
      this.#settings.onStderr(chunk)
    })
    stderr.on("error", () => {})
    stderr.on("close", () => {
      this.#outputs -= 1
    })
  }

  get incoming(): Transport["incoming"] {
    return this.#received.stream
  }

  get lastReceived(): number | undefined {
    return this.#received.lastReceived
  }

  get end(): Effect.Effect<void, TransportError> {
    return this.#sending.end
  }

  get isOpen(): boolean {
    return this.#phase === "open" && this.#exited === undefined && this.#received.failure === undefined
  }

  refusal(operation: "Read" | "Write"): TransportError {
    if (this.#phase === "closing") return new TransportError({ reason: "Closed" })
    const cause = this.#exited === undefined ? this.#child.stdin.errored : this.#loss("Exited")
    return cause === null ? new TransportError({ reason: "Closed" }) : new TransportError({ reason: operation, cause })
  }

  /** Waits for the end of the connection, and tells of it. */
  get watch(): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      const reason = yield* Deferred.await(this.#sign)
      // Of a process that ends, its streams are closed first.
      yield* within(Deferred.await(this.#exit), this.#settings.linger)
      if (this.#exited === undefined && this.#halfOpen !== undefined) {
        this.#received.end()
        yield* Deferred.await(this.#exit)
      }
      if (this.#exited !== undefined) yield* this.#drained
      const loss = this.#loss(reason)
      this.#phase = "lost"
      this.#sending.settle()
      const isClean = loss.reason === "OutputClosed" || loss.exitCode === 0
      this.#received.end(isClean ? undefined : new TransportError({ reason: "Read", cause: loss }), loss)
      this.#halfOpen?.closed(loss)
    })
  }

  // The end of the output would not do, as the children of the process may have it too, and live on. But what the process
  // has written itself is there, and is taken by the event loop in its next turn.
  get #drained(): Effect.Effect<void> {
    const most = this.#bytes + mostUnread
    const look = (before: number): Effect.Effect<void> =>
      Effect.flatMap(turn, () =>
        this.#outputs === 0 || this.#bytes === before || this.#bytes > most ? Effect.void : look(this.#bytes)
      )
    // The streams that were held back begin to flow in the first of these turns.
    return Effect.zipRight(turn, look(Number.NaN))
  }

  #loss(sign: Reason): ChildProcessError {
    const { command } = this.#settings
    const { exitCode = null, signal = null } = this.#exited ?? {}
    const stderr = this.#tail.text
    if (signal !== null) return new ChildProcessError({ reason: "Killed", command, signal, stderr })
    if (exitCode !== null) return new ChildProcessError({ reason: "Exited", command, exitCode, stderr })
    return new ChildProcessError({ reason: sign, command, stderr })
  }

  #ended(exited: Exited): void {
    this.#exited = exited
    this.#sending.settle()
    this.#child.stdout.resume()
    Deferred.unsafeDone(this.#exit, Exit.void)
    this.#tell("Exited")
  }

  #tell(reason: Reason): void {
    Deferred.unsafeDone(this.#sign, Exit.succeed(reason))
    this.#sending.settle()
  }

  /**
   * Sends what was written and ends the input, and waits for the process to end. Then ends it, with all in its group, by
   * the signal, and at last by one that none can refuse.
   */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { killSignal, killTimeout } = this.#settings
    const { stderr, stdin, stdout } = this.#child
    this.#phase = "closing"
    this.#sending.settle()
    this.#received.close()
    stdin.end()
    // A process that waits for room for its output does not see the end of its input.
    stdout.resume()
    const waiting = this.#exited === undefined ? within(this.#group.gone, killTimeout) : Effect.void
    const killing = (signal: NodeJS.Signals, timeout: Duration.Duration) =>
      Effect.suspend(() => {
        if (this.#group.isGone) return Effect.void
        this.#group.signal(signal)
        // One that is stopped heeds no other signal.
        this.#group.signal("SIGCONT")
        return within(this.#group.gone, timeout)
      })
    return waiting.pipe(
      Effect.zipRight(killing(killSignal, killTimeout)),
      Effect.zipRight(killing("SIGKILL", reaping)),
      Effect.ensuring(
        Effect.sync(() => {
          this.#release()
          for (const stream of [stdin, stdout, stderr]) stream.destroy()
          this.#child.unref()
        })
      )
    )
  })
}

const spawnError = (error: unknown, { command, cwd }: Settings): Effect.Effect<ChildProcessError> => {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined
  const reason = reasons.get(code ?? "") ?? "Spawn"
  // The system does not tell which of the two it is.
  const isOfCwd = cwd === undefined || reason === "Spawn" ? Effect.succeed(false) : Effect.negate(canEnter(cwd))
  return Effect.map(
    isOfCwd,
    (isOfCwd) => new ChildProcessError({ reason: isOfCwd ? "WorkingDirectory" : reason, command, code })
  )
}

const canEnter = (directory: string): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    try {
      await access(directory, constants.X_OK)
      return (await stat(directory)).isDirectory()
    } catch {
      return false
    }
  })

const reasons: ReadonlyMap<string, Reason> = new Map([
  ["ENOENT", "NotFound"],
  ["ENOTDIR", "NotFound"],
  ["EACCES", "NotPermitted"],
  ["EPERM", "NotPermitted"]
])
