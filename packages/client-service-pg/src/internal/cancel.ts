import type { Client, ClientConfig } from "pg"
import { Connection } from "pg"

/** What asks the server to end what a session runs, on a connection of its own, as libpq does. */
export interface Cancel {
  /** Resolves when the server has done so, or can't be asked. */
  readonly done: Promise<void>
  readonly destroy: () => void
}

export const cancel = (client: Client, { ssl = client.ssl, sslnegotiation, stream }: ClientConfig): Cancel => {
  const made = stream?.()
  const connection = new Connection({
    ssl,
    ...(made === undefined ? {} : { stream: () => made }),
    ...(sslnegotiation === undefined ? {} : { sslNegotiation: sslnegotiation })
  })
  const done = new Promise<void>((resolve) => {
    const ask = () => call(connection, "cancel", Reflect.get(client, "processID"), Reflect.get(client, "secretKey"))
    connection.once("connect", () => (ssl ? call(connection, "requestSsl") : ask()))
    connection.once("sslconnect", ask)
    // The server closes it once it has signalled the process of the session.
    connection.once("end", resolve)
    connection.on("error", () => connection.stream.destroy())
  })
  const { host, port } = client
  if (host.startsWith("/")) call(connection, "connect", `${host}/.s.PGSQL.${port}`)
  else call(connection, "connect", port, host)
  return { done, destroy: () => connection.stream.destroy() }
}

// The types of `pg` have few of its methods.
const call = (connection: Connection, method: string, ...args: ReadonlyArray<unknown>): void => {
  const f: unknown = Reflect.get(connection, method)
  if (typeof f === "function") f.apply(connection, args)
}
