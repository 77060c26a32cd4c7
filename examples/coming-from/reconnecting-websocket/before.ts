import { WebSocket } from "ws"
// import ReconnectingWebSocket from "reconnecting-websocket"
import { ReconnectingWebSocket } from "../../support/reconnectingWebSocket.js"

export const before = (url: string, onMessage: (message: string) => void) => {
  const socket = new ReconnectingWebSocket(url, undefined, { WebSocket, minReconnectionDelay: 10 })
  socket.addEventListener("open", () => socket.send("login alice"))
  socket.addEventListener("message", ({ data }) => onMessage(String(data)))
  return {
    send: (message: string) => socket.send(message),
    close: () => socket.close()
  }
}
