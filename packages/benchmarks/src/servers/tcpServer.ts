/**
 * A TCP server in a process of its own: `drop` closes each connection at once, `echo` sends back what it gets, `send` waits
 * for a request, answers it with as many bytes as its argument says, and closes.
 */
import * as Net from "node:net"
import { answer } from "./answer.js"

const [mode, bytes] = process.argv.slice(2)
const chunk = Buffer.alloc(64 * 1024)

const drop = (socket: Net.Socket): void => {
  socket.resume()
  socket.end()
}

const send = (socket: Net.Socket): void => {
  let left = Number(bytes)
  const more = (): void => {
    while (left > 0) {
      left -= chunk.length
      if (!socket.write(chunk) && left > 0) {
        socket.once("drain", more)
        return
      }
    }
    socket.end()
  }
  socket.once("data", more)
}

const server = Net.createServer((socket) => {
  // Clients go away as they please.
  socket.on("error", () => {})
  if (mode === "drop") drop(socket)
  else if (mode === "echo") socket.pipe(socket)
  else send(socket)
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (address !== null && typeof address === "object") answer(address.port)
})
