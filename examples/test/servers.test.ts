import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import mqtt from "mqtt"
import * as nats from "nats"
import type { Installed } from "test-servers/debian"
import * as mosquitto from "test-servers/mosquitto"
import * as natsServer from "test-servers/nats"
import type { ServerProcess } from "test-servers/serverProcess"
import { run } from "./program.js"

interface Server extends ServerProcess {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
}

/** An example that prints the prices which a server tells, one a line. */
interface Example<Executable extends string, S extends Server> {
  readonly file: string
  readonly installed: Installed<Executable>
  readonly make: (paths: Readonly<Record<Executable, string>>) => Effect.Effect<S, never, Scope.Scope>
  readonly address: (server: S) => string
  /** Tells the server a price. */
  readonly publish: (server: S, price: string) => Promise<void>
}

const gap = ["unsubscribed", "some may be missing", "subscribed"]
const story = ["subscribed", "1.01", ...gap, "1.02", ...gap, "1.03", "unsubscribed"]

const survives = <Executable extends string, S extends Server>(example: Example<Executable, S>) => {
  const { file, installed } = example
  if (!installed.isInstalled) console.log(`The test of ${file} is skipped: ${installed.reason}`)
  describe.skipIf(!installed.isInstalled)(file, () => {
    it.scopedLive("goes on when its server is killed, and when it is paused", () =>
      Effect.gen(function* () {
        if (!installed.isInstalled) return
        const server = yield* example.make(installed.paths)
        const program = yield* run(file, [example.address(server), server.user, server.password])
        const hear = (price: string) =>
          Effect.zipRight(
            Effect.promise(() => example.publish(server, price)),
            program.stdout.until(`\n${price}\n`)
          )

        yield* program.stdout.until("\nsubscribed\n")
        yield* hear("1.01")

        yield* server.kill
        yield* program.stdout.until("\nunsubscribed\n")
        yield* server.start
        yield* program.stdout.until("\nsubscribed\n", 2)
        yield* hear("1.02")

        // Only its silence tells: the system goes on accepting what is sent to it.
        yield* server.pause
        yield* program.stdout.until("\nunsubscribed\n", 2)
        yield* server.resume
        yield* program.stdout.until("\nsubscribed\n", 3)
        yield* hear("1.03")

        yield* program.signal("SIGINT")
        yield* program.ended
        const said = program.stdout.text().split("\n")
        expect(said.filter((line) => /^(un)?subscribed$|^some|^1\.0/.test(line))).toEqual(story)
        expect(program.stderr.text()).toBe("")
      })
    )
  })
}

survives({
  file: "mqtt.ts",
  installed: await mosquitto.install(),
  make: mosquitto.make,
  address: ({ host, port }) => `mqtt://${host}:${port}`,
  publish: async ({ host, password, port, user }, price) => {
    const client = await mqtt.connectAsync(`mqtt://${host}:${port}`, { username: user, password })
    await client.publishAsync("prices/EURUSD", price, { qos: 1 })
    await client.endAsync()
  }
})

survives({
  file: "nats.ts",
  installed: await natsServer.install(),
  make: natsServer.make,
  address: ({ host, port }) => `nats://${host}:${port}`,
  publish: async ({ host, password, port, user }, price) => {
    const connection = await nats.connect({ servers: `${host}:${port}`, user, pass: password })
    connection.publish("prices.EURUSD", price)
    await connection.drain()
  }
})
