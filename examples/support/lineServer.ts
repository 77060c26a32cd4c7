/**
 * A server on the loopback interface that the examples connect to, and that can be made to misbehave.
 */
import * as net from "node:net"
import { Effect, type Scope } from "effect"

export interface LineServer {
  readonly port: number
  /** Listens again, on the same port. */
  readonly listen: Effect.Effect<void>
  /** Stops listening, and drops every connection. */
  readonly shut: Effect.Effect<void>
  /** Drops every connection, without a goodbye. */
  readonly drop: Effect.Effect<void>
  /** Lets the process end though the server still listens. */
  readonly unref: Effect.Effect<void>
}

/** A client that sends a longer line is one that never ends it. */
const longest = 64 * 1024

export interface Peer {
  readonly send: (line: string) => void
  /** Closes the connection once everything is sent. */
  readonly end: () => void
}

/** Makes a server that listens on a port of the system's choice, and calls `onLine` for each line it is sent. */
export const make = (onLine: (line: string, peer: Peer) => void): Effect.Effect<LineServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets = new Set<net.Socket>()
    const server = net.createServer((socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
      // A peer that resets its connection is no concern of a server that does the same.
      socket.on("error", () => {})
      let rest = ""
      socket.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n")
        rest = lines.pop() ?? ""
        if (rest.length > longest) socket.destroy()
        for (const line of lines) {
          onLine(line, {
            send: (reply) => void (socket.writable && socket.write(`${reply}\n`)),
            end: () => void socket.end()
          })
        }
      })
    })

    const listenOn = (port: number) =>
      Effect.async<void>((resume) => {
        const onError = (error: Error) => resume(Effect.die(error))
        server.once("error", onError)
        server.listen(port, "127.0.0.1", () => {
          server.off("error", onError)
          resume(Effect.void)
        })
      })
    const dropAll = () => {
      for (const socket of sockets) socket.resetAndDestroy()
    }
    const shut = Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      dropAll()
    })

    yield* listenOn(0)
    yield* Effect.addFinalizer(() => shut)
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.dieMessage("not a TCP server")
    return {
      port: address.port,
      listen: listenOn(address.port),
      shut,
      drop: Effect.sync(dropAll),
      unref: Effect.sync(() => server.unref())
    }
  })

/** What a well-behaved server of the examples answers. */
export const reply = (line: string): string => {
  const [command = "", ...words] = line.split(" ")
  switch (command) {
    case "LOGIN":
      return words.length === 1 ? `+WELCOME ${words[0]}` : "-who is it?"
    case "PING":
      return "+PONG"
    case "ECHO":
      return `+${words.join(" ")}`
    default:
      return `-unknown command ${command}`
  }
}
