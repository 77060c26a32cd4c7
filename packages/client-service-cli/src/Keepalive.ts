/**
 * The command `keepalive`, for programs that start it as a part of theirs.
 *
 * @since 0.1.0
 */
import { runProcess } from "./internal/process.js"

/**
 * Runs the command in this process, which it ends: with its exit code when it is done, and at SIGINT, SIGTERM and SIGHUP. It
 * takes the standard input, output and error of the process.
 *
 * @example
 * ```ts
 * import { Keepalive } from "effect-client-service-cli"
 *
 * Keepalive.run(["--listen", "6380", "tls://redis.example.com:6379"])
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const run = (args: ReadonlyArray<string>): void => runProcess(args)
