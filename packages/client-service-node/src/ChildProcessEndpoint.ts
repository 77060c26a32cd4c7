/**
 * An endpoint that starts a process of its own for each connection, such as a language server or an MCP server.
 *
 * @since 0.1.0
 */
import { constants } from "node:os"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import * as Endpoint from "effect-client-service/Endpoint"
import * as Incoming from "effect-client-service/Incoming"
import type * as Transport from "effect-client-service/Transport"
import * as Validate from "effect-client-service-driver/Validate"
import { ChildProcessError } from "./ChildProcessError.js"
import { type LiveProcess, type Settings, startProcess } from "./internal/childProcess.js"
import { asEffect, isFresh } from "./internal/fresh.js"
import { HalfOpen } from "./internal/halfOpen.js"
import { ownLosses } from "./internal/ownLosses.js"

/**
 * Options of a child process.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<out E = never, out R = never> {
  /** The name of the endpoint, for logs, spans and errors. Default: `process:` and the command. */
  readonly name?: string | undefined
  /** The working directory of the process. Default: that of this one. */
  readonly cwd?: string | undefined
  /**
   * Variables of the environment of the process; `undefined` takes one away. An Effect runs at every attempt. Default: none.
   */
  readonly env?: Environment | Effect.Effect<Environment, E, R> | undefined
  /** Whether the process has the environment of this one too, and with it the `PATH`. Default true. */
  readonly extendEnv?: boolean | undefined
  /** What ends the process, and all in its group, that does not end by itself once its input has ended. Default `SIGTERM`. */
  readonly killSignal?: NodeJS.Signals | undefined
  /**
   * How long closing waits for the process to end once its input has ended, and again after `killSignal`, before it is
   * killed. Keep twice as long below the `closeTimeout` of the service. Default 2 seconds.
   */
  readonly killTimeout?: Duration.DurationInput | undefined
  /**
   * How long the loss of a process waits for a reader that has yet to come back to what came before, and for the exit of a
   * process that has closed its input or its output. Default 1 second.
   */
  readonly linger?: Duration.DurationInput | undefined
  /** How many unread bytes are kept before the process is pushed back. Default 512 KiB. */
  readonly receiveBuffer?: number | undefined
  /** How many of the last bytes of the standard error are kept for the error of the loss. Default 4 KiB. */
  readonly stderrTail?: number | undefined
  /** Called with all that the process writes to its standard error, such as to log it. Default: nothing. */
  readonly onStderr?: ((chunk: Uint8Array) => void) | undefined
  /**
   * Whether the connection goes on when the process has closed its output, or its input, until it ends: the one is the end of
   * `incoming` alone then, and the other has writes fail. Default false: either is the loss.
   */
  readonly allowHalfOpen?: boolean | undefined
}

/**
 * Variables of an environment, by their names.
 *
 * @since 0.1.0
 * @category options
 */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The standard input and output of a process.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChildProcessTransport extends Transport.Transport {
  /** The id of the process, and of its group where there are groups. */
  readonly pid: number
}

/**
 * Starts a process for each connection: what is written goes to its standard input, and what comes is its standard output.
 * It is connected when the system has started it: have `prepare` ask whether it is of use.
 *
 * The connection is lost when the process ends, with a `ChildProcessError` that has its exit code or signal and the last
 * of its standard error. What the process has written before is the reader's, who comes to the end after it: to a clean
 * one if the exit code is 0. It is lost too when the process closes its output, or its input while that is written to,
 * and does not end within `linger`.
 *
 * When the connection closes, what was written is sent and the input is ended. What has not ended by itself after
 * `killTimeout` gets `killSignal`, and after that once more SIGKILL. Signals go to the group of the process, in which its
 * children are too; on Windows, which has no groups, to the process alone. A group does not outlive this program either,
 * whatever ends that: as long as there is one, a shell waits for the end of this program beside it.
 *
 * A process that is started by its name is looked up in the `PATH` that it gets. There is no shell between.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChildProcessEndpoint } from "effect-client-service-node"
 *
 * declare const fetchToken: Effect.Effect<string>
 *
 * const server = ChildProcessEndpoint.make("node", ["server.js", "--stdio"], {
 *   cwd: "/srv/tools",
 *   env: Effect.map(fetchToken, (TOKEN) => ({ TOKEN }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export function make<E = never, R = never>(
  command: string,
  args?: ReadonlyArray<string>,
  options?: Options<E, R>
): Endpoint.Endpoint<
  ChildProcessTransport,
  ChildProcessError | Types.NoInfer<E>,
  Exclude<Types.NoInfer<R>, Scope.Scope>
>
// Without `NoInfer`, what is not given would be inferred from what the caller does with the endpoint.
export function make<E, R>(
  command: string,
  args: ReadonlyArray<string> = [],
  options: Options<E, R> = {}
): Endpoint.Endpoint<ChildProcessTransport, ChildProcessError | E, Exclude<R, Scope.Scope>> {
  const where = "ChildProcessEndpoint.make"
  const { env = {}, receiveBuffer: capacity = 512 * 1024 } = Validate.object(where, "options", options)
  const allowHalfOpen = Validate.boolean(where, "allowHalfOpen", options.allowHalfOpen ?? false)
  const extendEnv = Validate.boolean(where, "extendEnv", options.extendEnv ?? true)
  const settings = settingsOf(where, command, args, options)
  Validate.integer(where, "receiveBuffer", capacity, 1)
  if (!isFresh(env) && !isEnvironment(env)) refuseUnseen(where, "env", "variables of an environment")
  const inherited = () => (extendEnv ? process.env : {})
  const linger = Duration.toMillis(settings.linger)
  return Endpoint.make({
    name: Validate.text(where, "name", options.name ?? `process:${settings.command}`),
    connect: (signal: Endpoint.ConnectionSignal<ChildProcessError>) => Effect.succeed(signal)
  }).pipe(
    Endpoint.mapEffect((signal) =>
      Effect.flatMap(asEffect(env), (env): Effect.Effect<LiveProcess, ChildProcessError, Scope.Scope> => {
        if (!isEnvironment(env)) return new ChildProcessError({ reason: "InvalidOption", command })
        const halfOpen = allowHalfOpen ? new HalfOpen(signal) : undefined
        const lost = ownLosses(halfOpen ?? signal)
        return Effect.flatMap(Incoming.make({ lost, linger, capacity }), (incoming) =>
          startProcess({ ...settings, env: { ...inherited(), ...env } }, incoming, halfOpen)
        )
      })
    )
  )
}

const settingsOf = <E, R>(
  where: string,
  command: string,
  args: ReadonlyArray<string>,
  options: Options<E, R>
): Omit<Settings, "env"> => {
  const { cwd, killSignal = "SIGTERM", killTimeout = "2 seconds", linger = "1 second", stderrTail = 4096 } = options
  if (!(Array.isArray(args) && args.every(isText))) refuseUnseen(where, "args", "an array of texts without a NUL")
  return {
    command: withoutNul(where, "command", command),
    args: [...args],
    cwd: cwd === undefined ? undefined : withoutNul(where, "cwd", cwd),
    killSignal:
      killSignal in constants.signals ? killSignal : Validate.refuse(where, "killSignal", killSignal, "a signal"),
    killTimeout: Validate.finiteDuration(where, "killTimeout", killTimeout),
    linger: Validate.finiteDuration(where, "linger", linger),
    stderrTail: Validate.integer(where, "stderrTail", stderrTail, 0),
    onStderr: listener(Validate.callback(where, "onStderr", options.onStderr ?? (() => {})))
  }
}

const withoutNul = (where: string, option: string, value: string): string =>
  isText(Validate.text(where, option, value))
    ? value
    : Validate.refuse(where, option, value, "a text that is not empty, without a NUL")

const isText = (value: unknown): value is string => typeof value === "string" && !value.includes("\0")

const isEnvironment = (env: unknown): env is Environment =>
  typeof env === "object" &&
  env !== null &&
  Object.entries(env).every(
    ([name, value]) => isText(name) && !/^$|=/.test(name) && (value === undefined || isText(value))
  )

// What a listener throws is told, and ends neither the connection nor the program.
const listener =
  (onStderr: (chunk: Uint8Array) => void): Settings["onStderr"] =>
  (chunk) => {
    try {
      onStderr(chunk)
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : new Error("onStderr has thrown", { cause: error }))
    }
  }

// What may hold secrets is not shown.
const refuseUnseen = (where: string, option: string, expected: string): never =>
  Validate.refuse(where, option, "(not shown)", expected)
