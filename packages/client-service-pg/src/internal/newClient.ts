import { Client, type ClientConfig } from "pg"
import { requireBinding } from "./channelBinding.js"
import { guardWire } from "./wire.js"

/** The config of a client, which may be one that logs in with channel binding or not at all. */
export interface Config extends ClientConfig {
  readonly isBindingRequired?: boolean
}

/** A client of a host as the wire takes it. What its listeners throw, or can't be read, ends no process. */
export const newClient = (
  config: Config,
  host: string,
  thrown: (error: unknown) => void,
  heard: () => void = () => {}
): Client => {
  // What gives the password takes the place of the one of the URL, or of none in it.
  const { password } = config
  const client = Object.assign(new Client(config), { host }, typeof password === "function" ? { password } : {})
  guardWire(client, thrown, heard)
  if (config.isBindingRequired) requireBinding(client)
  return client
}
