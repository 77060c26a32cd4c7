import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { Endpoint } from "effect-client-service"
import { Redis, type RedisOptions } from "ioredis"
import * as redis from "test-servers/redis"
import { temporaryDirectory } from "test-servers/serverProcess"
import { type Call, type Client, Failed, type Server, serverOf } from "./Client.js"

const connect = ({ host, password, port }: Server, options?: Pick<RedisOptions, "lazyConnect" | "retryStrategy">) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis({ host, port, password, ...options })),
    (client) => Effect.sync(() => client.disconnect())
  )

const callOf =
  (client: Redis): Call =>
  () =>
    client.get("key")

export const redisClient: Client = {
  name: "`ioredis`",
  server: serverOf(redis.install, (paths) =>
    Effect.gen(function* () {
      const aclfile = join(yield* temporaryDirectory, "users.acl")
      const setPassword = (password: string) =>
        Effect.promise(() => writeFile(aclfile, `user default on >${password} ~* &* +@all\n`))
      const password = "secret"
      yield* setPassword(password)
      const server = yield* redis.make(paths, { settings: { aclfile } })
      return { ...server, user: "default", password, setPassword }
    })
  ),
  alone: (server, hasListener) =>
    Effect.map(connect(server), (client) => {
      if (hasListener) client.on("error", () => {})
      return callOf(client)
    }),
  endpoint: (server) =>
    Endpoint.make({
      name: "redis",
      connect: (signal: Endpoint.ConnectionSignal<Failed>) =>
        Effect.gen(function* () {
          const client = yield* connect(server, { lazyConnect: true, retryStrategy: () => null })
          client.on("error", (error) => signal.lost(new Failed(error))).on("close", () => signal.lost())
          yield* Effect.tryPromise({ try: () => client.connect(), catch: (cause) => new Failed(cause) })
          return callOf(client)
        })
    })
}
