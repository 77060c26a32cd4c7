/**
 * A market that listens while the program that imports this runs, and stands in for yours. It numbers its trades and tells
 * a subscriber of those after the one that it names. Every connection gets two and then fails in a way of its own: the
 * first is dropped, the second is left open in silence, and only the third goes on.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"

const http = createServer()
const server = new WebSocketServer({ server: http, autoPong: false })
const trades: Array<{ readonly number: number; readonly symbol: string }> = []
let connections = 0

const trade = (symbol: string) => {
  const made = { number: trades.length + 1, symbol }
  trades.push(made)
  return made
}

const serve = (client: WebSocket, connection: number) => {
  let isSilent = false
  client.on("ping", (data) => {
    if (!isSilent) client.pong(data)
  })
  client.on("message", (message) => {
    const { after, subscribe } = JSON.parse(String(message)) as { after: number; subscribe: ReadonlyArray<string> }
    for (const symbol of subscribe) trade(symbol)
    for (const made of trades.slice(after)) client.send(JSON.stringify(made))
    if (connection === 1) {
      client.terminate()
      // There is nobody to hear of this one.
      trade("EURUSD")
    }
    isSilent = connection === 2
  })
}

server.on("connection", (client) => serve(client, ++connections))
await once(http.listen(0, "127.0.0.1").unref(), "listening")

export const { port } = http.address() as AddressInfo
