import type * as Net from "node:net"

/**
 * Tells of the reset behind the end of a socket, if there is one. Where the last bytes and a reset come in one turn of the event
 * loop, Node.js tells of an end, though what the peer had yet to send is lost. The system remembers the reset, and has the next
 * write fail by it, be it one of no bytes, which sends nothing.
 *
 * Of a socket whose own side has ended already, nothing can be told.
 */
export const hiddenReset = (socket: Net.Socket, tell: (reset: Error | undefined) => void): void => {
  if (!socket.writable) {
    tell(undefined)
    return
  }
  let isTold = false
  const ended = (error?: Error | null) => {
    socket.off("error", ended)
    if (!isTold) tell(isReset(error) ? error : undefined)
    isTold = true
  }
  // What still waits to be sent fails by it as well.
  socket.on("error", ended)
  if (socket.writableLength === 0) socket.write(new Uint8Array(0), ended)
  // The error comes within two turns.
  setImmediate(() => setImmediate(ended))
}

// If the peer had ended its side before, and all of it has come, it is EPIPE.
const isReset = (error: Error | null | undefined): error is Error =>
  error instanceof Error && "code" in error && error.code === "ECONNRESET"
