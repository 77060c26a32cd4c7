import { AbortError, type RedisArgument, type RedisClientType } from "@redis/client"
import { RedisError } from "../RedisError.js"
import { keepsBack } from "./commandRules.js"
import { baseOf, optionsOf } from "./sharedClient.js"
import { EitherSignal, Unsent, withAllOptions } from "./unsent.js"

/** Has something run once there is room for more bytes, and gives what takes that back. */
export type WhenRoom = (go: () => void) => () => void

/** A call, which knows how many bytes it has asked a client to send. */
export class Call extends Unsent {
  bytes = 0
  /** Whether it has asked for what keeps back its answer. */
  isBlocking = false
  readonly #onBytes: (bytes: number) => void
  readonly #whenRoom: WhenRoom

  constructor(onBytes: (bytes: number) => void, whenRoom: WhenRoom) {
    super()
    this.#onBytes = onBytes
    this.#whenRoom = whenRoom
  }

  count(args: ReadonlyArray<RedisArgument>): void {
    const bytes = sizeOfAll(args, Number.POSITIVE_INFINITY)
    // What is no argument is refused when it is sent. Added up, it would be no number, and have all others wait.
    if (!Number.isNaN(bytes)) this.add(bytes)
  }

  add(bytes: number): void {
    this.bytes += bytes
    this.#onBytes(bytes)
  }

  /**
   * Goes on once there is room for more bytes. What was asked before was answered, and is not counted any longer: those who
   * wait have nothing that others would wait for.
   */
  next<A>(f: () => Promise<A>): Promise<A> {
    const { bytes } = this
    this.bytes = 0
    this.#onBytes(-bytes)
    return new Promise((resolve, reject) => {
      let giveUp = (): void => {}
      const leave = (): void => {
        giveUp()
        reject(new AbortError())
      }
      if (this.aborted) return leave()
      this.addEventListener("abort", leave)
      giveUp = this.#whenRoom(() => {
        this.removeEventListener("abort", leave)
        resolve(begun(f))
      })
    })
  }
}

/** How large what is sent may be, in bytes. Beyond that, a server closes the connection. */
export interface Sizes {
  readonly argument: number
  /** All arguments of a transaction. */
  readonly transaction: number
}

/**
 * By what the server has of its settings, or would have if nobody had changed them, and what it says of itself. Redis looks at
 * what it keeps of a transaction since 7.4; so may Valkey since 8, which comes of that and says that it is Redis 7.2.
 */
export const sizesOf = (bulk = 512 * 1024 * 1024, query = 1024 * 1024 * 1024, info = ""): Sizes => {
  const isOld = /^redis_version:([0-6]|7\.[0-3])\./m.test(info) && !/^valkey_version:([89]|\d\d)/m.test(info)
  return {
    // It may have read some of what comes next by the time that it looks.
    argument: Math.min(bulk, query - 32 * 1024),
    transaction: isOld ? Number.POSITIVE_INFINITY : query - 64 * 1024
  }
}

/** Why a server has no answer to a command, or closes the connection for it, if it does. */
export const refusalOf = (
  args: ReadonlyArray<RedisArgument>,
  { endpoint, limits }: { readonly endpoint: string; readonly limits: Sizes },
  bytes = sizeOfAll(args, limits.argument)
): RedisError | undefined => {
  const invalid = (detail: string) => new RedisError({ reason: "Invalid", endpoint, detail })
  if (args.length === 0) return invalid("a command has a name")
  if (Number.isNaN(bytes)) return invalid("an argument is a text or bytes")
  if (bytes === Number.POSITIVE_INFINITY) return invalid(`an argument takes more than ${limits.argument} bytes`)
  return undefined
}

/**
 * Has a client tell each call of what it is asked for on its behalf, and refuse what a server has no answer to, or closes the
 * connection for: an argument that is too large, or no command at all, so that another would get the answer to the next.
 */
export const measure = (
  client: RedisClientType,
  {
    endpoint,
    isSession = false,
    limits
  }: { readonly endpoint: string; readonly isSession?: boolean; readonly limits: Sizes }
): void => {
  const { _executeMulti: multi, _executePipeline: pipeline, sendCommand: send } = client
  const { withCommandOptions: withOptions } = client
  const base = baseOf(client)
  const template = withAllOptions(client)

  const take = (call: Call | undefined, args: ReadonlyArray<RedisArgument>): RedisError | undefined => {
    const bytes = sizeOfAll(args, limits.argument)
    const refused = refusalOf(args, { endpoint, limits }, bytes)
    if (refused !== undefined) return refused
    call?.add(bytes)
    if (isSession && call !== undefined && keepsBack(args)) call.isBlocking = true
    return undefined
  }
  const takeAll = (call: Call | undefined, commands: Parameters<typeof pipeline>[0]): void => {
    for (const { args } of commands) {
      const refused = take(call, args)
      if (refused !== undefined) throw refused
    }
  }

  function sendCommand<T>(
    this: RedisClientType,
    args: ReadonlyArray<RedisArgument>,
    options?: Parameters<typeof send>[1]
  ): Promise<T> {
    const signal = this === base ? options?.abortSignal : both(optionsOf(this).abortSignal, options?.abortSignal)
    const call = callOf(signal)
    const refused = take(call, args)
    if (refused !== undefined) return Promise.reject(refused)
    if (call === undefined) return send.call<RedisClientType, Parameters<typeof send>, Promise<T>>(this, args, options)
    const all = this === base ? options : withSignal({ ...optionsOf(this), ...options }, signal)
    return send.call<RedisClientType, Parameters<typeof send>, Promise<T>>(template, args, all)
  }
  async function _executePipeline(this: RedisClientType, ...rest: Parameters<typeof pipeline>) {
    takeAll(callOf(optionsOf(this).abortSignal), rest[0])
    return pipeline.apply(this, rest)
  }
  async function _executeMulti(this: RedisClientType, ...rest: Parameters<typeof multi>) {
    takeAll(callOf(optionsOf(this).abortSignal), rest[0])
    if (!fits(rest[0], limits.transaction)) {
      const detail = `a transaction takes more than ${limits.transaction} bytes`
      throw new RedisError({ reason: "Invalid", endpoint, detail })
    }
    return multi.apply(this, rest)
  }

  function withCommandOptions(this: RedisClientType, options: Parameters<typeof withOptions>[0]) {
    return withOptions.call(this, withSignal(options, both(optionsOf(this).abortSignal, options.abortSignal)))
  }
  function withAbortSignal(this: RedisClientType, abortSignal: AbortSignal) {
    return this.withCommandOptions({ abortSignal })
  }

  Object.assign(base, { sendCommand, _executePipeline, _executeMulti, withCommandOptions, withAbortSignal })
}

const callOf = (signal: AbortSignal | undefined): Call | undefined => {
  if (signal instanceof Call) return signal
  return signal instanceof EitherSignal ? callOf(signal.first) : undefined
}

const withSignal = <O extends { abortSignal?: AbortSignal }>(options: O, signal: AbortSignal | undefined): O =>
  signal === undefined || signal === options.abortSignal ? options : { ...options, abortSignal: signal }

// One that a caller gives would take the place of that of the call, which could not be taken back any more.
const both = (known: AbortSignal | undefined, given: AbortSignal | undefined): AbortSignal | undefined => {
  if (given === undefined || known === undefined) return given ?? known
  return callOf(given) === undefined && callOf(known) !== undefined ? new EitherSignal(known, given) : given
}

// At once, and if it throws, as a promise that fails.
const begun = async <A>(f: () => Promise<A>): Promise<A> => f()

// Infinite if one is larger than it may be, and no number if one is none.
const sizeOfAll = (args: ReadonlyArray<RedisArgument>, max: number): number => {
  let bytes = 0
  for (const arg of args) {
    const size = sizeOf(arg)
    if (size > max) return Number.POSITIVE_INFINITY
    bytes += size
  }
  return bytes
}

/** Whether what a transaction has the server keep is no more than so many bytes, with some of its own for each argument. */
const fits = (commands: ReadonlyArray<{ readonly args: ReadonlyArray<RedisArgument> }>, most: number): boolean => {
  const total = (size: (arg: RedisArgument) => number): number =>
    commands.reduce((all, { args }) => args.reduce((sum, arg) => sum + 32 + size(arg), all), 0)
  // Of a text, it is no more than that.
  return total((arg) => 3 * arg.length) <= most || total(Buffer.byteLength) <= most
}

// Of a short text, which may take up to three times as much, an estimate will do.
const sizeOf = (arg: RedisArgument): number => {
  if (typeof arg === "string") return arg.length < 1024 ? arg.length : Buffer.byteLength(arg)
  return arg instanceof Buffer ? arg.byteLength : Number.NaN
}
