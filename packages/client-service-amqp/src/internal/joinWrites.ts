import type { Duplex } from "node:stream"

/**
 * Has a socket send at once what it is given in one turn. The client gives it frame by frame, and to hand each to the system
 * costs more than all else of a message.
 */
export const joinWrites = (socket: Duplex): void => {
  const write: (chunk: Uint8Array) => boolean = socket.write
  let isJoining = false
  const flush = (): void => {
    isJoining = false
    socket.uncork()
  }
  const joined = (chunk: Uint8Array): boolean => {
    if (!isJoining) {
      isJoining = true
      socket.cork()
      process.nextTick(flush)
    }
    return write.call(socket, chunk)
  }
  Object.assign(socket, { write: joined })
}
