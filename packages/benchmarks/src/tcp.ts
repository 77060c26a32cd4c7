import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "./child.js"

export const host = "127.0.0.1"

const server = new URL("./servers/tcpServer.js", import.meta.url)

/** A server in a process of its own that drops each connection at once. Gives its port. */
export const droppingServer: Effect.Effect<number, never, Scope.Scope> = spawn(server, "drop").pipe(
  Effect.flatMap(({ next }) => next)
)

/** A server in a process of its own that sends back what it gets. Gives its port. */
export const echoingServer: Effect.Effect<number, never, Scope.Scope> = spawn(server, "echo").pipe(
  Effect.flatMap(({ next }) => next)
)

/** A server in a process of its own that sends so many bytes on request. Gives its port. */
export const sendingServer = (bytes: number): Effect.Effect<number, never, Scope.Scope> =>
  Effect.flatMap(spawn(server, "send", String(bytes)), ({ next }) => next)
