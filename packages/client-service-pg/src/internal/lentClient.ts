import type { EventEmitter } from "node:events"
import { type Client, TypeOverrides } from "pg"
import { isCutWithinLetter } from "./sessionState.js"

export interface LentClient {
  readonly client: Client
  /** Has it refuse all that it is asked from now on. */
  readonly revoke: () => void
  readonly isRevoked: () => boolean
  /** Has what it is set to be its own, such as how values are read: that is not for one caller to say to all. */
  readonly keep: () => void
  readonly giveBack: () => void
}

/** A client as somebody has it whose turn it is, and who is not to have it any longer. */
export const lend = (client: Client): LentClient => {
  let isRevoked = false
  let before: ReadonlyArray<readonly [string, unknown]> = []
  const listening: Array<readonly [string | symbol, Listener]> = []
  const query = (...args: ReadonlyArray<unknown>): unknown => {
    const [first, ...rest] = args
    const error = isRevoked ? new Error("The turn of this caller is over") : requestError(first)
    if (error === undefined) return Reflect.apply(client.query, client, [asked(first), ...rest])
    const callback = args.find((arg) => typeof arg === "function")
    if (typeof callback === "function") return callback(error)
    const fail = isSubmittable(first) && Reflect.get(first, "handleError")
    if (typeof fail !== "function") return Promise.reject(error)
    fail.call(first, error, client.connection)
    return first
  }
  // It would end it for all the others.
  const end = (callback?: (error: Error) => void): unknown => {
    const error = new Error("The client is shared, and not for one caller to end")
    return callback === undefined ? Promise.reject(error) : callback(error)
  }
  const listen = (method: "on" | "once") => (name: string, f: Listener) => {
    // Nobody would remove it again.
    if (isRevoked) return lent
    listening.push([name, f])
    const emitter: EventEmitter = client
    emitter[method](name, f)
    return lent
  }
  // Those of others are how a loss is heard of, and a notification.
  const removeAll = (name?: string | symbol): Client => {
    for (const [other, f] of listening) if (name === undefined || other === name) client.removeListener(other, f)
    return lent
  }
  const own: ReadonlyMap<string | symbol, unknown> = new Map<string | symbol, unknown>([
    ["query", query],
    ["end", end],
    ["on", listen("on")],
    ["addListener", listen("on")],
    ["once", listen("once")],
    // One that throws would keep from the others what they are called with.
    ["prependListener", listen("on")],
    ["prependOnceListener", listen("once")],
    ["removeAllListeners", removeAll]
  ])
  const lent: Client = new Proxy(client, {
    get: (target, key, receiver) => own.get(key) ?? Reflect.get(target, key, receiver)
  })
  return {
    client: lent,
    revoke: () => {
      isRevoked = true
    },
    isRevoked: () => isRevoked,
    keep: () => {
      before = settable.map((name) => [name, Reflect.get(client, name)])
      const types: unknown = Reflect.get(client, "_types")
      if (types instanceof TypeOverrides) Reflect.set(client, "_types", new TypeOverrides(types))
    },
    giveBack: () => {
      isRevoked = true
      removeAll()
      for (const [name, value] of before) Reflect.set(client, name, value)
    }
  }
}

type Listener = (...args: Array<unknown>) => void

// How it reads values, and how it sends what comes next.
const settable = ["_types", "binary", "pipeline"]

/**
 * Why a request is not to be made, if it is not: the server would keep a part of its name, or `pg` would stop in the middle of writing
 * it, and never send the next.
 */
export const requestError = (request: unknown): Error | undefined => {
  if (typeof request !== "object" || request === null) return undefined
  if (isSubmittable(request)) {
    const missing = ofAnyAnswer.find((name) => typeof Reflect.get(request, name) !== "function")
    return missing === undefined ? undefined : new TypeError(`What submits itself must have a method ${missing}`)
  }
  const [name, text]: ReadonlyArray<unknown> = ["name", "text"].map((key) => Reflect.get(request, key))
  for (const key of ["name", "portal", "text"]) {
    const value: unknown = Reflect.get(request, key)
    if (value !== undefined && value !== null && typeof value !== "string") {
      return new TypeError(`The ${key} of a statement must be a text`)
    }
  }
  for (const key of ["rows", "query_timeout"]) {
    const value: unknown = Reflect.get(request, key)
    if (value !== undefined && value !== null && !isWhole(value)) {
      return new TypeError(`The ${key} of a statement must be an integer from 0 to ${most}`)
    }
  }
  if (typeof name === "string" && name !== "" && typeof text !== "string") {
    return new TypeError("A statement must have a text")
  }
  if (typeof name !== "string" || !isCutWithinLetter(name)) return undefined
  return new Error("The server keeps 63 bytes of the name of a statement, which end within a letter of this one")
}

// What `pg` calls whatever the answer is.
const ofAnyAnswer = ["handleError", "handleReadyForQuery"]

// The server reads 32 bits with a sign of how many rows there are to be, and a timer of Node.js that is longer is over at once.
const most = 0x7fffffff

const isWhole = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most

const isSubmittable = (request: unknown): request is object =>
  typeof request === "object" && request !== null && typeof Reflect.get(request, "submit") === "function"

/** Why a request is not to be made by somebody who waits for its answer alone, if it is not. */
export const statementError = (request: unknown): Error | undefined => {
  if (typeof request !== "object" || request === null) return requestError(request)
  if (isSubmittable(request)) return new TypeError("What submits itself is for withClient")
  const callback: unknown = Reflect.get(request, "callback")
  return callback === undefined || callback === null
    ? requestError(request)
    : new TypeError("A statement has its Effect to tell the answer, and no callback")
}

// `pg` would wait for ever for the answer to what it could not submit.
const asked = (request: unknown): unknown => {
  if (!isSubmittable(request)) return safe(request)
  const submit: unknown = Reflect.get(request, "submit")
  return Object.assign(request, {
    submit: (connection: unknown): unknown => {
      try {
        return typeof submit === "function" ? submit.call(request, connection) : undefined
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error))
      }
    }
  })
}

/** A request whose way to read types fails itself alone, where `pg` would let it end the process. */
export const safe = <A>(request: A): A => {
  if (typeof request !== "object" || request === null || isSubmittable(request)) return request
  const types: unknown = Reflect.get(request, "types")
  return types === undefined || types === null
    ? request
    : Object.create(request, { types: { value: safeTypes(types) } })
}

/** A request of its own, into which `pg` writes the values: the one that is given may be others' as well. */
export const ownOf = <A>(request: A): A => {
  if (typeof request !== "object" || request === null || isSubmittable(request)) return request
  const types: unknown = Reflect.get(request, "types")
  return Object.create(request, {
    values: { value: undefined, writable: true },
    ...(types === undefined || types === null ? {} : { types: { value: safeTypes(types) } })
  })
}

const safeTypes = (types: unknown) => ({
  getTypeParser: (...args: ReadonlyArray<unknown>): unknown => {
    let parse: unknown
    try {
      const get: unknown = Object(types).getTypeParser
      if (typeof get !== "function") throw new TypeError("types must have a method getTypeParser")
      parse = get.apply(types, args)
    } catch (error) {
      return fail(error)
    }
    return (value: unknown): unknown => {
      try {
        return typeof parse === "function" ? parse(value) : value
      } catch (error) {
        return fail(error)()
      }
    }
  }
})

// `pg` would take what is nothing for no failure, and leave rows out.
const fail = (error: unknown) => () => {
  throw error || new Error("A type can't be read")
}
