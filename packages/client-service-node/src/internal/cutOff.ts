import type * as Net from "node:net"
import type * as Tls from "node:tls"
import { propertyOf } from "./propertyOf.js"

/** Whether TLS ended without the peer having said so (close_notify), as when its process or a proxy was killed. */
export const isCutOff = (socket: Net.Socket): boolean => cutOff.has(socket)

const cutOff = new WeakSet<Net.Socket>()

/**
 * Finds out how the stream of a socket ends. Node.js does not tell: to it, the end of TLS and the end of the connection
 * below are the same. But the first comes in bytes, and the second does not: it came by itself if nothing has come from
 * below since an earlier turn of the event loop. Where the last bytes came in the same turn, it is that of the connection if
 * there is none any more, as after a reset. Where nothing can be told, the end is taken for a clean one.
 */
export const watchEnd = <S extends Tls.TLSSocket>(socket: S): S => {
  /** The bytes that had come from below in an earlier turn. */
  let before = 0
  let isDue = false
  let hasEnded = false
  const look = () => {
    if (isDue) return
    isDue = true
    setImmediate(() => {
      isDue = false
      before = bytesBelow(socket)
    })
  }
  const push = socket.push.bind(socket)
  socket.push = (chunk, encoding) => {
    if (chunk !== null) look()
    else if (!hasEnded) {
      hasEnded = true
      // What is below has more bytes than what is above, if it counts them at all.
      if ((before > socket.bytesRead && before === bytesBelow(socket)) || hasNoPeer(socket)) cutOff.add(socket)
    }
    return push(chunk, encoding)
  }
  // Tickets come in bytes too.
  return socket.on("secureConnect", look).on("session", look)
}

const bytesBelow = (socket: Tls.TLSSocket): number => {
  const bytes = propertyOf(below(socket), "bytesRead")
  return typeof bytes === "number" ? bytes : 0
}

// Its own side has not ended yet, with which a system would forget the peer too. The socket itself remembers what it was told.
const hasNoPeer = (socket: Tls.TLSSocket): boolean => {
  if (!socket.writable) return false
  const getPeerName = propertyOf(below(socket), "getpeername")
  const failure: unknown = typeof getPeerName === "function" ? Reflect.apply(getPeerName, below(socket), [{}]) : 0
  return typeof failure === "number" && failure < 0
}

const below = (socket: Tls.TLSSocket): unknown => propertyOf(propertyOf(socket, "_handle"), "_parent")
