/**
 * The command, as a process of its own or in that of the test.
 */
import { PassThrough, type Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { Effect, Fiber, type Scope } from "effect"
import * as Program from "test-servers/program"
import { main } from "../../src/internal/main.js"
import type { Output } from "../../src/internal/terminal/output.js"

const bin = fileURLToPath(new URL("../../build/bundled/bin.js", import.meta.url))

/** As a process of the command, bundled, which takes half a second of processor time. */
export const run = (args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) => Program.run(bin, args, env)

export interface Running {
  readonly stdin: Writable
  readonly stdout: Written
  readonly stderr: Written
  readonly ended: Effect.Effect<number>
  /** As a signal does, and waits until all is closed. */
  readonly interrupt: Effect.Effect<void>
}

export interface Written {
  readonly text: () => string
  /** The lines of JSON, so far. */
  readonly events: () => ReadonlyArray<Record<string, unknown>>
  /** Waits until this is written, or so many times. */
  readonly until: (text: string, times?: number) => Effect.Effect<void>
}

/** In this process, all but its signals and its own streams. It is interrupted when the Scope closes. */
export const runHere = (args: ReadonlyArray<string>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const stdin = new PassThrough()
    const stdout = written()
    const stderr = written()
    const fiber = yield* Effect.forkScoped(
      main(args, { stdin: () => stdin, stdout: stdout.output, stderr: stderr.output }, () => undefined)
    )
    return { stdin, stdout, stderr, ended: Fiber.join(fiber), interrupt: Effect.asVoid(Fiber.interrupt(fiber)) }
  })

/** Runs it to its end. */
export const runToEnd = (args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(runHere(args), ({ ended, stderr, stdin, stdout }) => {
      stdin.end()
      return Effect.map(ended, (code) => ({ code, stdout: stdout.text(), stderr: stderr.text() }))
    })
  )

const written = (): Written & { readonly output: Output } => {
  let all = ""
  const waiting = new Set<() => void>()
  const take = (chunk: string | Uint8Array) => {
    all += Buffer.from(chunk).toString()
    for (const look of waiting) look()
  }
  const paint = (text: string) => text
  return {
    output: {
      write: (chunk) => Effect.sync(() => take(chunk)),
      print: take,
      closed: Effect.never,
      colours: { isOn: false, bold: paint, dim: paint, red: paint, green: paint, yellow: paint, cyan: paint },
      columns: () => undefined
    },
    text: () => all,
    events: () =>
      all
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line)),
    until: (text, times = 1) =>
      Effect.async<void>((resume) => {
        const look = () => {
          if (all.split(text).length > times) resume(Effect.void)
        }
        waiting.add(look)
        look()
        return Effect.sync(() => waiting.delete(look))
      }).pipe(
        Effect.timeoutFail({ duration: "20 seconds", onTimeout: () => new Error(`never "${text}", but:\n${all}`) }),
        Effect.orDie
      )
  }
}
