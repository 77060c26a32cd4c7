export type Attributes = Readonly<Record<string, string | number | undefined>>

/** A `ServerAddress` of an endpoint. */
export interface Server {
  readonly address: string
  readonly port?: number | undefined
  readonly transport?: string | undefined
}

/** What a service is known by, in the words of OpenTelemetry, as far as it is known. */
export const attributesOf = (name: string | undefined, server: Server | undefined): Attributes => ({
  "client_service.name": name,
  "server.address": server?.address,
  "server.port": server?.port,
  "network.transport": server?.transport
})
