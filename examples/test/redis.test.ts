import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Redis, RedisEndpoint } from "effect-client-service-redis"
import * as servers from "test-servers/redis"
import { run } from "./program.js"

const installed = await servers.install()
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

const startServer = installed.isInstalled ? servers.make(installed.paths) : Effect.dieMessage(installed.reason)

describe.skipIf(!installed.isInstalled)("redis", () => {
  it.scopedLive("runs commands, and is subscribed across a restart of the server", () =>
    Effect.gen(function* () {
      const server = yield* startServer
      const url = `redis://127.0.0.1:${server.port}`
      const program = yield* run("redis.ts", [], { REDIS_URL: url })
      yield* program.stdout.until("subscribed\n")
      yield* server.kill
      yield* server.start
      yield* program.stdout.until("may have missed some\n")
      const redis = yield* Redis.make({ endpoint: RedisEndpoint.make({ url }) })
      yield* redis.use((client) => client.publish("news", "good night"))
      expect(yield* program.ended).toBe(0)
      const lines = program.stdout.text().split("\n")
      expect(lines.filter((line) => /^(visits|name|subscribed|may|news)/.test(line))).toEqual([
        "visits: 1",
        "name: alice",
        "subscribed",
        "may have missed some",
        "news: good night"
      ])
      expect(program.stderr.text()).toBe("")
    })
  )
})
