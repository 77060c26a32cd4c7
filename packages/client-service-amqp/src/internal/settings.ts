import type { ConnectionOptions } from "node:tls"
import type * as Duration from "effect/Duration"
import type { ChannelLimit } from "./channels.js"

/** The mechanisms of SASL, by which a client logs in. */
export type Mechanism = "PLAIN" | "AMQPLAIN" | "EXTERNAL"

export interface Settings {
  readonly name: string
  readonly host: string
  readonly port: number
  /** What the URL says of TLS, if there is to be any. */
  readonly tls: ConnectionOptions | undefined
  /** Files that are read at every attempt. */
  readonly tlsFiles: TlsFiles
  readonly username: string
  readonly mechanism: Mechanism
  /** Whether an Effect gives the password, or the options of TLS. */
  readonly isAskedAgain: boolean
  readonly vhost: string
  /** In seconds; 0 for none. */
  readonly heartbeat: number
  /** In bytes; 0 for what the server has. */
  readonly frameMax: number
  /** 0 for what the server has. */
  readonly channelMax: number
  readonly channelLimit: ChannelLimit
  readonly locale: string
  readonly connectionName: string | undefined
  /** How many messages may wait to be sent. */
  readonly maxWaiting: number
  readonly connectTimeout: Duration.Duration
  readonly linger: Duration.Duration
}

/** The paths of files with what `node:tls` takes. */
export interface TlsFiles {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

export interface Secret {
  readonly value: string
  /** From when it was given. */
  readonly expiresIn: Duration.Duration
}
