import WebSocket from "partysocket/ws"
import { WebSocket as NodeWebSocket } from "ws"

export const before = (url: string, onMessage: (message: string) => void) => {
  const socket = new WebSocket(url, undefined, { WebSocket: NodeWebSocket, minReconnectionDelay: 10 })
  socket.addEventListener("open", () => socket.send("login alice"))
  socket.addEventListener("message", ({ data }) => onMessage(String(data)))
  return {
    send: (message: string) => socket.send(message),
    close: () => socket.close()
  }
}
