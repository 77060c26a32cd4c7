import type { RedisClientType } from "@redis/client"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Delays from "effect-client-service-driver/Delays"

/** What is known of the socket of a client. */
export interface SocketSigns {
  /** When the server last sent something, or read what it had no room for before, by a clock that nobody sets. */
  readonly lastHeard: () => number | undefined
}

/**
 * Within so many milliseconds, the buffers of the system alone may take what had no room. After that, the server must have read,
 * unless the event loop was held up meanwhile.
 */
const slow = 50

/**
 * Has a client keep what its socket has no room for, so that it can be taken back. By itself, it would write one command more in
 * each turn in which something is asked for. Tells of the signs of life that the server gives.
 */
export const watchSocket = (client: RedisClientType, clock: Clock.Clock): SocketSigns => {
  const socket = client._ejectSocket()
  const { write } = socket
  let fullSince: number | undefined
  let lastHeard: number | undefined
  const full = () => {
    fullSince = Delays.monotonic(clock)
  }
  socket.write = (commands) => {
    if (fullSince === undefined) write.call(socket, whileTaken(commands, full))
  }
  client._insertSocket(socket)
  socket.on("data", () => {
    lastHeard = Delays.monotonic(clock)
  })
  socket.on("drain", () => {
    const now = Delays.monotonic(clock)
    if (fullSince !== undefined && now - fullSince >= slow) lastHeard = now
    fullSince = undefined
  })
  return { lastHeard: () => lastHeard }
}

/** Waits until the server has given no sign of life for so long, from now on. */
export const silence = (limit: Duration.Duration, lastHeard: SocketSigns["lastHeard"]): Effect.Effect<void> =>
  Effect.flatMap(Delays.monotonicMillis, (start) => {
    const left = Effect.map(
      Delays.monotonicMillis,
      (now) => Math.max(start, lastHeard() ?? start) + Duration.toMillis(limit) - now
    )
    const wait: Effect.Effect<void> = Effect.flatMap(left, (left) =>
      left > 0 ? Effect.zipRight(Effect.sleep(left), wait) : Effect.void
    )
    return wait
  })

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
