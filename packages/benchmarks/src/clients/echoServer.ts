/** Sends every message back over the WebSocket it came by. Its arguments are the port and the file of the password. */
import { readFileSync } from "node:fs"
import { WebSocketServer } from "ws"

const [port, file = ""] = process.argv.slice(2)
const password = readFileSync(file, "utf8")

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  verifyClient: ({ req }: { req: { url?: string | undefined } }) => req.url === `/?${password}`
})
server.on("listening", () => console.log("listening"))
server.on("connection", (client) => {
  client.on("message", (message, isBinary) => client.send(message, { binary: isBinary }))
})
