/**
 * A server that misbehaves in every usual way, when it is told to.
 */
import * as Net from "node:net"
import { createInterface } from "node:readline"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as FaultProxy from "effect-client-service-node/FaultProxy"

export interface MisbehavingServer {
  readonly port: number
  /** Listens, which it does not at first. */
  readonly listen: Effect.Effect<void>
  /** Stops listening, and drops every connection. */
  readonly shut: Effect.Effect<void>
  /** Drops every connection, without a goodbye. */
  readonly drop: Effect.Effect<void>
  readonly rejectLogins: (rejects: boolean) => Effect.Effect<void>
}

export const misbehavingServer: Effect.Effect<MisbehavingServer, never, Scope.Scope> = Effect.gen(function* () {
  let rejectsLogins = false
  const upstream = yield* lineServer((line) => {
    switch (line.split(" ", 1)[0]) {
      case "LOGIN":
        return rejectsLogins ? "-too many users" : "+WELCOME"
      case "PING":
        return "+PONG"
    }
    // `REPORT` is a question that it never answers.
    return undefined
  })
  const proxy = yield* FaultProxy.make({ upstream })
  yield* proxy.set(FaultProxy.refuse)
  return {
    port: proxy.port,
    listen: Effect.orDie(proxy.heal),
    shut: Effect.zipRight(Effect.orDie(proxy.set(FaultProxy.refuse)), proxy.dropAll),
    drop: proxy.dropAll,
    rejectLogins: (rejects: boolean) =>
      Effect.sync(() => {
        rejectsLogins = rejects
      })
  }
}).pipe(Effect.orDie)

const lineServer = (
  answer: (line: string) => string | undefined
): Effect.Effect<{ readonly host: string; readonly port: number }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        const lines = createInterface({ input: socket })
        // It passes on the errors of its input.
        lines.on("error", () => {})
        lines.on("line", (line) => {
          const reply = answer(line)
          if (reply !== undefined) socket.write(`${reply}\n`)
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return { host: "127.0.0.1", port: address === null || typeof address === "string" ? 0 : address.port }
    })
  )
