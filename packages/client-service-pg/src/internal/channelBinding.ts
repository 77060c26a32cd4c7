import type { Client, ClientConfig } from "pg"

/** The config of a client, which may be one that logs in with channel binding or not at all. */
export interface Config extends ClientConfig {
  readonly isBindingRequired?: boolean
}

/** Has a client send nothing of a password where the server does not take one that is bound to the TLS of the connection. */
export const requireBinding = ({ connection }: Client, refused: (error: Error) => void): void => {
  let isBound = false
  const check = () => {
    if (isBound) return
    refused(new Error("SASL: channel_binding=require, and the server does not offer it"))
    connection.stream.destroy()
  }
  // Before `pg` looks at them, which attaches its own listeners when it connects.
  connection.on("authenticationSASL", ({ mechanisms }: { readonly mechanisms: ReadonlyArray<string> }) => {
    isBound = mechanisms.includes("SCRAM-SHA-256-PLUS") && "getPeerCertificate" in connection.stream
    check()
  })
  for (const other of ["authenticationOk", "authenticationCleartextPassword", "authenticationMD5Password"]) {
    connection.on(other, check)
  }
}
