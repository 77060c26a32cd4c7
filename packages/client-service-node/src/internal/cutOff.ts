import type * as Net from "node:net"
import type * as Tls from "node:tls"

/** Whether TLS ended without the peer having said so (close_notify), as when its process or a proxy was killed. */
export const isCutOff = (socket: Net.Socket): boolean => cutOff.has(socket)

const cutOff = new WeakSet<Net.Socket>()

/**
 * Finds out how the stream of a socket ends. Node.js does not tell: to it, the end of TLS and the end of the connection
 * below are the same. But the first comes in bytes, and the second does not: it came by itself if nothing has come from
 * below since an earlier turn of the event loop. Where nothing can be told, the end is taken for a clean one.
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
      if (before > socket.bytesRead && before === bytesBelow(socket)) cutOff.add(socket)
    }
    return push(chunk, encoding)
  }
  // Tickets come in bytes too.
  return socket.on("secureConnect", look).on("session", look)
}

const bytesBelow = (socket: Tls.TLSSocket): number => {
  const bytes = propertyOf(propertyOf(propertyOf(socket, "_handle"), "_parent"), "bytesRead")
  return typeof bytes === "number" ? bytes : 0
}

const propertyOf = (value: unknown, property: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, property) : undefined
