import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** A connection through a proxy: what a client has to do with, and what goes to the server. */
export interface Link {
  readonly client: Socket
  readonly server: Socket
}

/**
 * Stands between clients and a server. `asked` may take what a client sends away, by `undefined`, and `answered` may change what
 * the server says.
 */
export const startProxy = (
  port: number,
  {
    answered = (data) => data,
    asked = (data) => data
  }: {
    readonly asked?: (data: string, link: Link, index: number) => string | undefined
    readonly answered?: (data: string) => string
  }
): Effect.Effect<{ readonly port: number; readonly links: ReadonlyArray<Link> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const links: Array<Link> = []
      const proxy = createServer((client) => {
        const link = { client, server: connect(port, "127.0.0.1") }
        const index = links.push(link) - 1
        for (const [one, other] of [
          [client, link.server],
          [link.server, client]
        ] as const) {
          one.on("error", () => {}).once("close", () => other.destroy())
        }
        client.on("data", (data) => {
          const sent = asked(data.toString("latin1"), link, index)
          if (sent !== undefined) link.server.write(sent, "latin1")
        })
        link.server.on("data", (data) => void client.write(answered(data.toString("latin1")), "latin1"))
      })
      await once(proxy.listen(0, "127.0.0.1"), "listening")
      return { links, port: (proxy.address() as AddressInfo).port, proxy }
    }),
    ({ links, proxy }) =>
      Effect.promise(async () => {
        for (const { client } of links) client.destroy()
        await once(proxy.close(), "close")
      })
  )
