import { type Client, TypeOverrides } from "pg"
import { isCutWithinLetter } from "./sessionState.js"

export interface LentClient {
  readonly client: Client
  /** Has it refuse all that it is asked from now on. */
  readonly revoke: () => void
  readonly isRevoked: () => boolean
  /** Has its types be its own: how values are read is not for one caller to say to all. */
  readonly keepTypes: () => void
  readonly giveBackTypes: () => void
}

/** A client as somebody has it whose turn it is, and who is not to have it any longer. */
export const lend = (client: Client): LentClient => {
  let isRevoked = false
  let types: unknown
  const query = (...args: ReadonlyArray<unknown>): unknown => {
    const [first] = args
    const error = isRevoked ? new Error("The turn of this caller is over") : nameError(first)
    if (error === undefined) return Reflect.apply(client.query, client, args)
    const callback = args.find((arg) => typeof arg === "function")
    if (typeof callback === "function") return callback(error)
    const fail = typeof first === "object" && first !== null && "submit" in first && Reflect.get(first, "handleError")
    if (typeof fail !== "function") return Promise.reject(error)
    fail.call(first, error, client.connection)
    return first
  }
  // It would end it for all the others.
  const end = (callback?: (error: Error) => void): unknown => {
    const error = new Error("The client is shared, and not for one caller to end")
    return callback === undefined ? Promise.reject(error) : callback(error)
  }
  const own: ReadonlyMap<string | symbol, unknown> = new Map([
    ["query", query],
    ["end", end]
  ])
  return {
    client: new Proxy(client, { get: (target, key, receiver) => own.get(key) ?? Reflect.get(target, key, receiver) }),
    revoke: () => {
      isRevoked = true
    },
    isRevoked: () => isRevoked,
    keepTypes: () => {
      types = Reflect.get(client, "_types")
      if (types instanceof TypeOverrides) Reflect.set(client, "_types", new TypeOverrides(types))
    },
    giveBackTypes: () => void Reflect.set(client, "_types", types)
  }
}

/** Why a statement is not to be prepared by the name that it has, if it is not. */
export const nameError = (query: unknown): Error | undefined => {
  const name: unknown = typeof query === "object" && query !== null && "name" in query ? query.name : undefined
  if (typeof name !== "string" || !isCutWithinLetter(name)) return undefined
  return new Error("The server keeps 63 bytes of the name of a statement, which end within a letter of this one")
}
