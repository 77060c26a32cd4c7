import { syncBuiltinESMExports } from "node:module"
import Net from "node:net"
import Tls from "node:tls"
import { Effect, type Scope } from "effect"

const host = "127.0.0.1"

/** Has sockets connect to 127.0.0.1 from the very port that they connect to, as the system may choose to. */
export const fromOwnPort: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
  Effect.acquireRelease(
    Effect.sync(() => {
      const { connect } = Net
      const connectTls = Tls.connect
      const fromItsPort = (given: unknown): object => {
        const options = typeof given === "object" && given !== null ? given : {}
        return Reflect.get(options, "host") === host
          ? { ...options, localAddress: host, localPort: Reflect.get(options, "port") }
          : options
      }
      Reflect.set(Net, "connect", (options: unknown) => Reflect.apply(connect, Net, [fromItsPort(options)]))
      Reflect.set(Tls, "connect", (options: unknown) => Reflect.apply(connectTls, Tls, [fromItsPort(options)]))
      syncBuiltinESMExports()
      return { connect, connectTls }
    }),
    ({ connect, connectTls }) =>
      Effect.sync(() => {
        Object.assign(Net, { connect })
        Object.assign(Tls, { connect: connectTls })
        syncBuiltinESMExports()
      })
  )
)
