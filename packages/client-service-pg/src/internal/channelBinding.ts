import type { Client } from "pg"

/** Has a client log in with channel binding or not at all, so that whoever is in between learns no password and is nobody's server. */
export const requireBinding = ({ connection }: Client): void => {
  let isBound = false
  const refuse = (what: string) => {
    connection.emit("error", new Error(`SASL: channel_binding=require, and the server ${what}`))
    connection.stream.destroy()
  }
  const refuseUnbound = () => {
    if (!isBound) refuse("has not proved that it knows the password")
  }
  // Before `pg` looks at them, which attaches its own listeners when it connects.
  connection.on("authenticationSASL", ({ mechanisms }: { readonly mechanisms: ReadonlyArray<string> }) => {
    const isOffered = mechanisms.includes("SCRAM-SHA-256-PLUS") && "getPeerCertificate" in connection.stream
    if (!isOffered) refuse("does not offer it")
  })
  // Whatever it has offered before, a password would have it know that.
  connection.on("authenticationCleartextPassword", () => refuse("asks for the password"))
  connection.on("authenticationMD5Password", () => refuse("asks for the password"))
  // A proof that `pg` does not take is an error of it.
  connection.on("authenticationSASLFinal", () => {
    isBound = true
  })
  connection.on("authenticationOk", refuseUnbound)
  // It may leave that out.
  connection.once("readyForQuery", refuseUnbound)
}
