import { readSync } from "node:fs"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { propertyOf } from "./propertyOf.js"

/**
 * Has a socket take what had come before a write failed. Node.js closes it for that at once, and what the event loop has not
 * looked at yet is gone with it, though the system has it still: mostly what the peer says of why it ends the connection.
 * `ended` is told if the peer had ended its side before.
 *
 * Of TLS, whose bytes are not those below, nothing can be taken; but its writes fail a turn later.
 */
export const keepUnread = <S extends Net.Socket>(socket: S, ended: () => void = () => {}): S => {
  if (socket instanceof Tls.TLSSocket) return socket
  const destroy = socket.destroy.bind(socket)
  socket.destroy = (error) => {
    if (!isOfWrite(error) || socket.errored !== error || socket.destroyed || socket.readableEnded) return destroy(error)
    try {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) socket.emit("data", chunk)
      // Behind a reset there is the same end, but that of what came of it.
      if (readRest(socket) && error.code === "EPIPE") ended()
    } finally {
      destroy(error)
    }
    return socket
  }
  return socket
}

/** Reads what the system has, and tells whether that comes to the end. */
const readRest = (socket: Net.Socket): boolean => {
  const fd = propertyOf(propertyOf(socket, "_handle"), "fd")
  if (typeof fd !== "number" || fd < 0) return false
  for (let left = most; left > 0; ) {
    const chunk = readSome(fd)
    if (chunk === undefined) return false
    if (chunk.length === 0) return true
    left -= chunk.length
    socket.emit("data", chunk)
  }
  return false
}

/** Reads some of what the system has, which is nothing at the end. */
const readSome = (fd: number): Uint8Array | undefined => {
  const buffer = Buffer.allocUnsafe(size)
  try {
    return buffer.subarray(0, readSync(fd, buffer))
  } catch {
    // There is no more, or no way to read it.
    return undefined
  }
}

const size = 64 * 1024

/** More than systems keep for a socket, so that a peer that goes on sending does not hold up the event loop. */
const most = 8 * 1024 * 1024

const isOfWrite = (error: Error | undefined): error is Error & { readonly code: unknown } =>
  error !== undefined && "syscall" in error && error.syscall === "write" && "code" in error
