import { AbortError, type RedisArgument, type RedisClientType } from "@redis/client"
import { baseOf, optionsOf } from "./sharedClient.js"
import { Unsent } from "./unsent.js"

/** Has something run once there is room for more bytes, and gives what takes that back. */
export type WhenRoom = (go: () => void) => () => void

/** A call, which knows how many bytes it has asked a client to send. */
export class Call extends Unsent {
  bytes = 0
  readonly #onBytes: (bytes: number) => void
  readonly #whenRoom: WhenRoom

  constructor(onBytes: (bytes: number) => void, whenRoom: WhenRoom) {
    super()
    this.#onBytes = onBytes
    this.#whenRoom = whenRoom
  }

  count(args: ReadonlyArray<RedisArgument>): void {
    let bytes = 0
    for (const arg of args) bytes += sizeOf(arg)
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

/** Has a client tell each call of what it is asked for on its behalf. */
export const measure = (client: RedisClientType): void => {
  const { _executeMulti: multi, _executePipeline: pipeline, sendCommand: send } = client
  const base = baseOf(client)
  const complete = client.withAbortSignal(new Unsent())

  function sendCommand<T>(
    this: RedisClientType,
    args: ReadonlyArray<RedisArgument>,
    options?: Parameters<typeof send>[1]
  ): Promise<T> {
    const call = callOf(this, options)
    if (call === undefined) return send.call<RedisClientType, Parameters<typeof send>, Promise<T>>(this, args, options)
    call.count(args)
    // The client lays the options over its own, which costs more than all else of a call where those lack a key.
    const all = this === base ? options : { ...optionsOf(this), ...options }
    return send.call<RedisClientType, Parameters<typeof send>, Promise<T>>(complete, args, all)
  }
  function _executePipeline(this: RedisClientType, ...rest: Parameters<typeof pipeline>) {
    const call = callOf(this)
    for (const { args } of rest[0]) call?.count(args)
    return pipeline.apply(this, rest)
  }
  function _executeMulti(this: RedisClientType, ...rest: Parameters<typeof multi>) {
    const call = callOf(this)
    for (const { args } of rest[0]) call?.count(args)
    return multi.apply(this, rest)
  }

  Object.assign(base, { sendCommand, _executePipeline, _executeMulti })
}

const callOf = (client: RedisClientType, options?: Parameters<RedisClientType["sendCommand"]>[1]): Call | undefined => {
  const signal = options?.abortSignal ?? optionsOf(client).abortSignal
  return signal instanceof Call ? signal : undefined
}

// At once, and if it throws, as a promise that fails.
const begun = async <A>(f: () => Promise<A>): Promise<A> => f()

// Of a short text, which may take up to three times as much, an estimate will do.
const sizeOf = (arg: RedisArgument): number => {
  if (typeof arg === "string") return arg.length < 1024 ? arg.length : Buffer.byteLength(arg)
  return arg instanceof Uint8Array ? arg.byteLength : 0
}
