import type { RedisArgument } from "@redis/client"

/**
 * How a command goes with a connection that several callers share.
 *
 * - `session`: it changes what the connection is for all of them, takes what others say for its own, has no answer, or ends it.
 * - `blocking`: it keeps back its answer, and so those of all that come after it.
 */
export type Rule = "session" | "blocking" | "shared"

type Arguments = ReadonlyArray<RedisArgument>

/** The rule of a command. It is looked up for each command that is sent. */
export const ruleOf = (args: Arguments): Rule => {
  const [name] = args
  const rule = known.get(name)
  if (rule === undefined) return learn(name, args)
  return typeof rule === "string" ? rule : rule(args)
}

/** Whether a command keeps back its answer, be it one that is not for several callers. */
export const keepsBack = (args: Arguments): boolean => {
  const [name] = args
  return ruleOf(args) === "blocking" || (name !== undefined && waits.has(upper(name)))
}

type RuleOrTest = Rule | ((args: Arguments) => Rule)

const blocks = (option: string) => (args: Arguments) =>
  args.some((arg, index) => index > 0 && upper(arg) === option) ? "blocking" : "shared"

const changes = (subcommands: ReadonlyArray<string>) => (args: Arguments) =>
  subcommands.includes(upper(args[1] ?? "")) ? "session" : "shared"

const upper = (arg: RedisArgument): string => arg.toString().toUpperCase()

const named = (names: string, rule: RuleOrTest) => names.split(" ").map((name) => [name, rule] as const)

const waits = new Set(["WAIT", "WAITAOF"])

const rules: ReadonlyMap<string, RuleOrTest> = new Map<string, RuleOrTest>([
  ...named("BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP", "blocking"),
  ...named("XREAD XREADGROUP", blocks("BLOCK")),
  ...named("WATCH UNWATCH MULTI EXEC DISCARD", "session"),
  // What they wait for is what this connection has written, and what they keep back is all that comes after them.
  ...named("WAIT WAITAOF", "session"),
  ...named("SELECT AUTH HELLO RESET QUIT MONITOR SYNC PSYNC READONLY READWRITE ASKING", "session"),
  ...named("SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE", "session"),
  ...named(
    "CLIENT",
    changes(["REPLY", "TRACKING", "CACHING", "SETNAME", "SETINFO", "NO-EVICT", "NO-TOUCH", "CAPA", "IMPORT-SOURCE"])
  ),
  // They have no answer, or none that is an answer, so that the next command would get its place.
  ...named("REPLCONF", "session"),
  // The server takes them for HTTP, and closes the connection.
  ...named("POST HOST:", "session"),
  ...named("DEBUG", changes(["PROTOCOL"])),
  ...named("SCRIPT", changes(["DEBUG"])),
  ...named("HIMPORT", changes(["PREPARE", "DISCARD", "DISCARDALL"]))
])

// By the name as it is given, so that it is put into capitals once.
const known = new Map<RedisArgument | undefined, RuleOrTest>(rules)
const mostKnown = 1000

const learn = (name: RedisArgument | undefined, args: Arguments): Rule => {
  const rule = rules.get(upper(name ?? "")) ?? "shared"
  if (typeof name === "string" && known.size < mostKnown) known.set(name, rule)
  return typeof rule === "string" ? rule : rule(args)
}
