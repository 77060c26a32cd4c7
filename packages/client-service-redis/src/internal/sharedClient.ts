import { ErrorReply, type RedisArgument, type RedisClientType, WatchError } from "@redis/client"
import { RedisError } from "../RedisError.js"
import { ruleOf } from "./commandRules.js"
import type { OwnClients } from "./ownClients.js"
import type { Owner } from "./owner.js"
import { Unsent, UnsentChain } from "./unsent.js"

type CommandOptions = NonNullable<Parameters<RedisClientType["sendCommand"]>[1]>

type Commands = Parameters<RedisClientType["_executePipeline"]>[0]

/**
 * Has a client refuse what is not for one of several callers to ask, run what keeps back its answer on a client of its own,
 * and take back a pipeline or a transaction as a whole or not at all. Gives what its owner asks by. `spoiled` is told that a
 * transaction is open, in which all that comes would be queued.
 */
export const share = (client: RedisClientType, own: OwnClients, endpoint: string, spoiled: () => void): Owner => {
  const refusal = (name: string) =>
    new RedisError({
      reason: "Session",
      endpoint,
      detail: `${name} is for a connection of its own, as Redis.session gives one, since several callers share this one`
    })
  const refuse = (name: string) => () => Promise.reject(refusal(name))
  const send = client.sendCommand

  function sendCommand<T>(
    this: RedisClientType,
    args: ReadonlyArray<RedisArgument>,
    options?: CommandOptions
  ): Promise<T> {
    const rule = ruleOf(args)
    if (rule === "shared") return send.call<RedisClientType, Parameters<typeof send>, Promise<T>>(this, args, options)
    if (rule === "session") return Promise.reject(refusal(nameOf(args)))
    const { abortSignal, ...others } = { ...optionsOf(this), ...options }
    return own.run(({ owner }) => owner.sendCommand<T>(args, others), abortSignal, "one that blocks")
  }

  const chain = (
    client: RedisClientType,
    commands: ReadonlyArray<ReadonlyArray<RedisArgument>>
  ): ReadonlyArray<Promise<unknown>> => {
    const { abortSignal, ...options } = optionsOf(client)
    const unsent = new UnsentChain()
    const abort = () => unsent.abort()
    if (abortSignal?.aborted) abort()
    else abortSignal?.addEventListener("abort", abort)
    const answers = commands.map((args) => send.call(client, args, { ...options, abortSignal: unsent }))
    // One that a caller gives may outlive all that it is given for.
    if (abortSignal !== undefined && !(abortSignal instanceof Unsent)) {
      void Promise.allSettled(answers).then(() => abortSignal.removeEventListener("abort", abort))
    }
    return answers
  }

  async function _executePipeline(this: RedisClientType, commands: Commands): Promise<Array<unknown>> {
    const all = commands.map(({ args }) => args)
    const rules = all.map(ruleOf)
    const refused = all[rules.indexOf("session")]
    if (refused !== undefined) throw refusal(nameOf(refused))
    if (!rules.includes("blocking")) return Promise.all(chain(this, all))
    return own.run(({ owner }) => owner._executePipeline(commands), optionsOf(this).abortSignal, "some that block")
  }

  async function _executeMulti(this: RedisClientType, commands: Commands): Promise<Array<unknown>> {
    const all = commands.map(({ args }) => args)
    const refused = all.find((args) => ruleOf(args) === "session")
    if (refused !== undefined) throw refusal(nameOf(refused))
    const answers = chain(this, [["MULTI"], ...all, ["EXEC"]])
    const last = answers[answers.length - 1]
    // Another command that is refused has EXEC discard them.
    last?.catch((error) => {
      if (error instanceof ErrorReply && !/^EXECABORT |^ERR EXEC without MULTI/.test(error.message)) spoiled()
    })
    await Promise.all(answers)
    const answer = await last
    if (!Array.isArray(answer)) throw new WatchError()
    return answer
  }

  const owner: Owner = {
    sendCommand: client.sendCommand.bind(client),
    _executePipeline: client._executePipeline.bind(client),
    subscribe: client.subscribe.bind(client),
    unsubscribe: client.unsubscribe.bind(client),
    pSubscribe: client.pSubscribe.bind(client),
    pUnsubscribe: client.pUnsubscribe.bind(client),
    sSubscribe: client.sSubscribe.bind(client),
    sUnsubscribe: client.sUnsubscribe.bind(client)
  }
  const refusals = methods.flatMap((name) => [
    [name, refuse(name.toUpperCase())] as const,
    [name.toUpperCase(), refuse(name.toUpperCase())] as const
  ])
  const refused = (name: string) => () => {
    throw refusal(name)
  }
  const { legacy } = client
  Object.assign(baseOf(client), Object.fromEntries(refusals), {
    destroy: refused("DESTROY"),
    // They are those of others, too.
    removeAllListeners: refused("REMOVEALLLISTENERS"),
    // What fails there with nobody to tell is said to the client, which is to say that the connection is lost.
    legacy(this: RedisClientType) {
      return legacy.call(Object.create(this, { emit: { value: () => true } }))
    },
    sendCommand,
    _executePipeline,
    _executeMulti
  })
  return owner
}

// Those that do not send their command by `sendCommand`.
const methods = [
  "subscribe",
  "unsubscribe",
  "pSubscribe",
  "pUnsubscribe",
  "sSubscribe",
  "sUnsubscribe",
  "monitor",
  "reset",
  "quit",
  "close",
  "disconnect"
] as const

const containers = ["CLIENT", "SCRIPT", "DEBUG", "HIMPORT"]

const nameOf = ([name = "", subcommand]: ReadonlyArray<RedisArgument>): string => {
  const command = name.toString().toUpperCase()
  return containers.includes(command) ? `${command} ${subcommand?.toString().toUpperCase()}` : command
}

// What `withAbortSignal` and the like make inherits from this, as the client itself does.
export const baseOf = (client: RedisClientType): object => {
  const base: unknown = Reflect.get(client, "_self")
  return base instanceof Object ? base : client
}

// Those of a client that was made by `withAbortSignal` and the like, which has no other way to tell.
export const optionsOf = (client: RedisClientType): CommandOptions => {
  const options: unknown = Reflect.get(client, "_commandOptions")
  return typeof options === "object" && options !== null ? options : {}
}
