import { Socket } from "node:net"

/** A connection that something in this process has tried to make, by TCP. */
export interface Attempt {
  readonly at: number
  readonly port: number
  readonly socket: Socket
}

const attempts: Array<Attempt> = []

/** Every attempt on the port from that instant on, in order. */
export const attemptsOn = (port: number, since = 0): ReadonlyArray<Attempt> =>
  attempts.filter((attempt) => attempt.port === port && attempt.at >= since)

// A server that is down sees nobody who tries, so it is here that they are seen: every library connects through this.
const connect: (this: Socket, ...args: Array<never>) => Socket = Socket.prototype.connect

Socket.prototype.connect = function (this: Socket, ...args: Array<never>): Socket {
  const port = portOf(args[0])
  if (port !== undefined) attempts.push({ at: performance.now(), port, socket: this })
  return connect.apply(this, args)
}

/** Of `connect(options)`, `connect(port)`, and of what Node makes of the arguments of `net.connect`. */
const portOf = (target: unknown): number | undefined => {
  if (Array.isArray(target)) return portOf(target[0])
  if (typeof target === "object" && target !== null && "port" in target) return portOf(target.port)
  const port = Number(target)
  return Number.isInteger(port) ? port : undefined
}
