import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
import * as servers from "test-servers/rabbitmq"
import { run } from "./program.js"

const installed = await servers.install()
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

const startServer = installed.isInstalled ? servers.make(installed.paths) : Effect.dieMessage(installed.reason)

describe.skipIf(!installed.isInstalled)("amqp", () => {
  it.scopedLive(
    "publishes, and consumes across a loss of its connection",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer
        const program = yield* run("amqp.ts", [], { AMQP_URL: server.url })
        yield* program.stdout.until("write the report\n")
        yield* server.control("close_all_connections", "bye")
        const amqp = yield* Amqp.make({ endpoint: AmqpEndpoint.make({ url: server.url }) })
        yield* amqp.sendToQueue("jobs", "go home")
        expect(yield* program.ended).toBe(0)
        const lines = program.stdout.text().split("\n")
        expect(lines.filter((line) => line === "write the report").length).toBeGreaterThan(0)
        expect(lines).toContain("go home")
        expect(program.stderr.text()).toBe("")
      }),
    60_000
  )
})
