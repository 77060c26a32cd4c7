/**
 * A WebSocket server in a process of its own, which sends every message back. On `down` it drops all its clients and refuses new ones; on `up` it takes
 * them again, on the same port, and answers with the time at which it does.
 */
import * as Http from "node:http"
import { WebSocketServer } from "ws"
import { monotonicMillis } from "../monotonicMillis.js"
import { answer } from "./answer.js"

const webSockets = new WebSocketServer({ noServer: true })

let port = 0
let http: Http.Server

const up = (listening: () => number): void => {
  http = Http.createServer()
  http.on("upgrade", (request, socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (client) => {
      client.on("error", () => {})
      client.on("message", (message, isBinary) => client.send(message, { binary: isBinary }))
    })
  })
  http.listen(port, "127.0.0.1", () => {
    const address = http.address()
    if (address !== null && typeof address === "object") port = address.port
    answer(listening())
  })
}

const down = (): void => {
  http.close(() => answer(monotonicMillis()))
  for (const client of webSockets.clients) client.terminate()
}

up(() => port)
process.on("message", (request) => {
  if (request === "down") down()
  else up(monotonicMillis)
})
