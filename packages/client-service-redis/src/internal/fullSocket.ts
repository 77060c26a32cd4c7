import type { RedisClientType } from "@redis/client"

/**
 * Has a client keep what its socket has no room for, so that it can be taken back. By itself, it would write one command more in
 * each turn in which something is asked for.
 */
export const heedFullSocket = (client: RedisClientType): void => {
  const socket = client._ejectSocket()
  const { write } = socket
  let isFull = false
  const full = () => {
    isFull = true
  }
  socket.write = (commands) => {
    if (!isFull) write.call(socket, whileTaken(commands, full))
  }
  client._insertSocket(socket)
  socket.on("drain", () => {
    isFull = false
  })
}

// A socket that has no room for more leaves off in the middle.
function* whileTaken<A>(all: Iterable<A>, leftOff: () => void): Generator<A> {
  let isOver = false
  try {
    yield* all
    isOver = true
  } finally {
    if (!isOver) leftOff()
  }
}
