import type { RedisArgument, RedisClientType } from "@redis/client"
import { baseOf, optionsOf } from "./sharedClient.js"
import { Unsent } from "./unsent.js"

/** A call, which knows how many bytes it has asked a client to send. */
export class Call extends Unsent {
  bytes = 0
  readonly #onBytes: (bytes: number) => void

  constructor(onBytes: (bytes: number) => void) {
    super()
    this.#onBytes = onBytes
  }

  count(args: ReadonlyArray<RedisArgument>): void {
    let bytes = 0
    for (const arg of args) bytes += sizeOf(arg)
    this.bytes += bytes
    this.#onBytes(bytes)
  }
}

/** Has a client tell each call of what it is asked for on its behalf. */
export const measure = (client: RedisClientType): void => {
  const { _executeMulti: multi, _executePipeline: pipeline, sendCommand: send } = client

  function sendCommand<T>(
    this: RedisClientType,
    args: ReadonlyArray<RedisArgument>,
    options?: Parameters<typeof send>[1]
  ): Promise<T> {
    callOf(this, options)?.count(args)
    return send.call<RedisClientType, Parameters<typeof send>, Promise<T>>(this, args, options)
  }
  function _executePipeline(this: RedisClientType, ...rest: Parameters<typeof pipeline>) {
    const call = callOf(this, undefined)
    for (const { args } of rest[0]) call?.count(args)
    return pipeline.apply(this, rest)
  }
  function _executeMulti(this: RedisClientType, ...rest: Parameters<typeof multi>) {
    const call = callOf(this, undefined)
    for (const { args } of rest[0]) call?.count(args)
    return multi.apply(this, rest)
  }

  Object.assign(baseOf(client), { sendCommand, _executePipeline, _executeMulti })
}

const callOf = (client: RedisClientType, options: Parameters<RedisClientType["sendCommand"]>[1]): Call | undefined => {
  const signal = options?.abortSignal ?? optionsOf(client).abortSignal
  return signal instanceof Call ? signal : undefined
}

// Of a short text, which may take up to three times as much, an estimate will do.
const sizeOf = (arg: RedisArgument): number => {
  if (typeof arg === "string") return arg.length < 1024 ? arg.length : Buffer.byteLength(arg)
  return arg instanceof Uint8Array ? arg.byteLength : 0
}
