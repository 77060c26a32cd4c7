/**
 * The command in a process: its signals, its streams and its exit code.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { exitCodes } from "./exitCodes.js"
import { main } from "./main.js"
import * as Output from "./terminal/output.js"

export const runProcess = (args: ReadonlyArray<string>): void => {
  let signalled: number | undefined
  const outputs = Effect.runSync(
    Effect.all({ stdout: Output.make(process.stdout), stderr: Output.make(process.stderr) })
  )
  const fiber = Effect.runFork(main(args, { stdin: () => process.stdin, ...outputs }, () => signalled))
  // A fiber that waits does not hold the process.
  const held = setInterval(() => {}, 2 ** 31 - 1)

  // Each signal is listened to once, so a second one ends the process as it would without any listener.
  for (const [signal, code] of signals) {
    process.once(signal, () => {
      signalled ??= code
      for (const { hurry } of Object.values(outputs)) hurry()
      fiber.unsafeInterruptAsFork(fiber.id())
    })
  }
  fiber.addObserver((exit) => {
    clearInterval(held)
    if (Exit.isFailure(exit) && !Exit.isInterrupted(exit)) process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
    process.exit(signalled ?? (Exit.isSuccess(exit) ? exit.value : exitCodes.gaveUp))
  })
}

const signals = [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143]
] as const
