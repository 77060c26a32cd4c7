/**
 * A server of WebSockets that listens while the program that imports this runs, and stands in for yours. It sends two ticks
 * to whoever subscribes.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import { WebSocketServer } from "ws"

const http = createServer()
const server = new WebSocketServer({ server: http })
let ticks = 0

server.on("connection", (client) => {
  client.on("message", () => {
    for (const _ of ["one", "two"]) client.send(JSON.stringify({ tick: ++ticks }))
  })
})

await once(http.listen(0, "127.0.0.1").unref(), "listening")

export const { port } = http.address() as AddressInfo

/** Closes every WebSocket, as a server does that goes down for a moment. */
export const restart = Effect.sync(() => {
  for (const client of server.clients) client.close(1001, "back in a moment")
})
