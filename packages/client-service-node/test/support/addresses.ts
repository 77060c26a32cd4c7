import Dns from "node:dns"
import * as Net from "node:net"
import { Worker } from "node:worker_threads"
import { vi } from "@effect/vitest"
import { Effect, type Scope } from "effect"

interface Resolver {
  readonly lookup: (host: string, options: Dns.LookupAllOptions) => Promise<Array<Dns.LookupAddress>>
}

const resolver: Resolver = Dns.promises

export interface LookUps {
  /** The options of each look-up so far. */
  (): ReadonlyArray<Dns.LookupAllOptions>
  /** Their names. */
  readonly names: () => ReadonlyArray<string>
}

/** Has every name resolve to some addresses. */
export const resolvingTo = (...addresses: ReadonlyArray<string>): Effect.Effect<LookUps, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        vi
          .spyOn(resolver, "lookup")
          .mockImplementation(async () => addresses.map((address) => ({ address, family: Net.isIP(address) })))
      ),
      (spy) => Effect.sync(() => spy.mockRestore())
    ),
    (spy) =>
      Object.assign(() => spy.mock.calls.map(([, options]) => options), {
        names: () => spy.mock.calls.map(([name]) => name)
      })
  )

/** Has every look-up hang. */
export const resolvingNever: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
  Effect.acquireRelease(
    Effect.sync(() => vi.spyOn(resolver, "lookup").mockImplementation(() => new Promise(() => {}))),
    (spy) => Effect.sync(() => spy.mockRestore())
  )
)

const connected = (host: string, port: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => Net.connect(port, host)),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => Effect.async<void>((resume) => void socket.on("connect", () => resume(Effect.void)))
  )

/** Makes a port of an address that answers nobody who connects to it, and gives that port. */
export const blackHole = (host: string): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function* () {
    // A thread that listens and then stands still, so that it accepts nothing.
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(standStill, { eval: true, workerData: host })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    const port = yield* Effect.async<number>(
      (resume) => void worker.on("message", (port) => resume(Effect.succeed(port)))
    )
    // The system accepts one connection more than the backlog, and then drops what comes.
    for (let i = 0; i < 2; i++) yield* connected(host, port)
    return port
  })

const standStill = `
  const { parentPort, workerData } = require("node:worker_threads")
  const server = require("node:net").createServer()
  server.listen({ host: workerData, port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })
`
