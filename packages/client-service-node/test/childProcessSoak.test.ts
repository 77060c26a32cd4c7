import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, LogLevel, Random, type Scope, Stream } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { ChildProcessEndpoint } from "effect-client-service-node"
import { build } from "esbuild"
import type { Asking } from "./support/asking.js"
import * as LanguageServer from "./support/languageServer.js"
import * as Mcp from "./support/mcp.js"
import { folder, type ProcessEndpoint, running } from "./support/processes.js"
import { until } from "./support/turns.js"
import { nothingUncaught } from "./support/uncaught.js"

/** How often a server is killed and stopped, and what decides when. */
const { KILLS, SEED, STOPS } = process.env
const kills = Number(KILLS ?? 10)
const stops = Number(STOPS ?? 3)
const seed = Number(SEED ?? 1)

/** Makes one file of the MCP server with the SDK, of which it would take most of the time to find all the others. */
const bundle = (outfile: string) =>
  Effect.promise(() =>
    build({
      entryPoints: [join(import.meta.dirname, "fixtures/mcpServer.mjs")],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url)' }
    })
  )

/** How many services of each kind there are. */
const atOnce = 3

/** A machine that others use too may take long to start a server. */
const timeout = 60_000 + 5000 * (kills + stops)

/** A call that has not ended by then hangs. */
const patience = "1 minute"

interface Outcome {
  readonly answered: ReadonlySet<string>
  /** Calls that did not end. */
  readonly hung: number
  readonly groups: ReadonlySet<number>
}

/** Asks a server, and kills or stops it in the middle, again and again. */
const storm = <E>(
  name: string,
  signals: ReadonlyArray<NodeJS.Signals>,
  endpoint: ProcessEndpoint,
  protocol: (transport: ChildProcessEndpoint.ChildProcessTransport) => Effect.Effect<Asking<E>, never, Scope.Scope>
): Effect.Effect<Outcome, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const answered = new Set<string>()
    const groups = new Set<number>()
    let asked = 0
    let hung = 0
    const random = Random.make(`${name} ${seed}`)
    const service = yield* ClientService.make({
      endpoint,
      protocol,
      prepare: ({ login }) => login,
      heartbeat: { probe: ({ ping }) => ping, interval: 100, timeout: 1000 },
      retryPolicy: RetryPolicy.fromFunction(() => 1)
    })
    yield* service.start
    /** Asks until the connection is lost. */
    const caller: Effect.Effect<void> = Effect.suspend(() => {
      const text = `${name}/${asked++}`
      return service
        .use(({ ask }) => ask(text))
        .pipe(
          Effect.exit,
          Effect.timeoutTo({ duration: patience, onSuccess: (exit) => exit, onTimeout: () => undefined }),
          Effect.flatMap((exit) => {
            if (exit === undefined) hung += 1
            if (exit === undefined || Exit.isFailure(exit)) return Effect.void
            expect(exit.value).toBe(text)
            answered.add(text)
            return caller
          })
        )
    })
    for (const signal of signals) {
      const { pid } = yield* service.whenConnected()
      groups.add(pid)
      const enough = answered.size + (yield* random.nextIntBetween(0, 50))
      const callers = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 5 }, () => caller),
          { concurrency: "unbounded" }
        )
      )
      yield* until(() => answered.size >= enough)
      process.kill(pid, signal)
      yield* Fiber.join(callers)
      yield* service.connections.pipe(
        Stream.filter((next) => next.pid !== pid),
        Stream.runHead
      )
    }
    yield* service.stop
    return { answered, groups, hung }
  })

/** As many storms as there are services, each with its share of the signals. */
const storms = <E>(
  name: string,
  endpointOf: (name: string) => ProcessEndpoint,
  protocol: (transport: ChildProcessEndpoint.ChildProcessTransport) => Effect.Effect<Asking<E>, never, Scope.Scope>
) =>
  Effect.gen(function* () {
    yield* nothingUncaught
    const signals = Array.from(
      { length: kills + stops },
      (_, index): NodeJS.Signals => (index % Math.ceil((kills + stops) / stops) === 0 ? "SIGSTOP" : "SIGKILL")
    )
    const outcomes = yield* Effect.forEach(
      Array.from({ length: atOnce }, (_, index) => `${name}${index}`),
      (name, index) =>
        storm(
          name,
          signals.filter((_, n) => n % atOnce === index),
          endpointOf(name),
          protocol
        ),
      { concurrency: "unbounded" }
    )
    const groups = new Set(outcomes.flatMap(({ groups }) => [...groups]))
    expect(groups.size).toBe(kills + stops)
    expect(outcomes.reduce((sum, { hung }) => sum + hung, 0)).toBe(0)
    expect(running().filter(({ group }) => groups.has(group))).toEqual([])
    return new Set(outcomes.flatMap(({ answered }) => [...answered]))
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

describe("through kills and stops, no call hangs, no answer is lost and no process is left", () => {
  // Kind 15
  it.scopedLive(
    "of an MCP server",
    () =>
      Effect.gen(function* () {
        const directory = yield* folder
        const mcpServer = join(yield* folder, "mcpServer.mjs")
        yield* bundle(mcpServer)
        const fileOf = (name: string) => join(directory, name)
        const answered = yield* storms(
          "mcp",
          (name) => {
            writeFileSync(fileOf(name), "")
            return ChildProcessEndpoint.make(process.execPath, [mcpServer, fileOf(name)], { killTimeout: 100 })
          },
          Mcp.make
        )
        const told = readdirSync(directory).flatMap((name) =>
          readFileSync(fileOf(name), "utf8").split("\n").slice(0, -1)
        )
        expect(told.length).toBeGreaterThan(kills)
        expect(told.filter((text) => !answered.has(text))).toEqual([])
      }),
    timeout
  )

  // Kind 15
  it.scopedLive(
    "of a language server",
    () =>
      Effect.gen(function* () {
        const answered = yield* storms(
          "language",
          () => ChildProcessEndpoint.make(process.execPath, [LanguageServer.program, "--stdio"], { killTimeout: 100 }),
          LanguageServer.make
        )
        expect(answered.size).toBeGreaterThan(kills)
      }),
    timeout
  )
})
