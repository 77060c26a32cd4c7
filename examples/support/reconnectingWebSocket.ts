/**
 * `import ReconnectingWebSocket from "reconnecting-websocket"`, as a bundler has it. Its types describe an ES module, with a
 * default export; what Node.js loads is CommonJS, and is the class itself.
 */
import reconnectingWebSocket from "reconnecting-websocket"

export const ReconnectingWebSocket = reconnectingWebSocket as unknown as typeof reconnectingWebSocket.default
