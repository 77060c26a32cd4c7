import * as v8 from "node:v8"
import * as vm from "node:vm"
import { expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { run } from "./support/child.js"

const MiB = 1024 * 1024
const total = 1024 * MiB

const { Bun } = globalThis as { readonly Bun?: { readonly gc: (isSync: boolean) => void } }
if (Bun === undefined) v8.setFlagsFromString("--expose-gc")
const collectGarbage: () => void = Bun === undefined ? vm.runInNewContext("gc") : () => Bun.gc(true)

const memory = () => {
  collectGarbage()
  const { arrayBuffers, external, rss } = process.memoryUsage()
  return { arrayBuffers, external, rss }
}

it.scopedLive("a reader that pauses holds its peer back, in constant memory", () =>
  Effect.gen(function* () {
    const sender = yield* run("sender.ts", [String(total)])
    const port = Number(yield* sender.line("listening"))
    const before = memory()
    const peak = { ...before }
    const sample = () => {
      const now = memory()
      peak.arrayBuffers = Math.max(peak.arrayBuffers, now.arrayBuffers)
      peak.external = Math.max(peak.external, now.external)
      peak.rss = Math.max(peak.rss, now.rss)
    }

    const transport = yield* NodeEndpoint.tcp({ host: "127.0.0.1", port }).connect({ lost: () => {} })
    let received = 0
    let pauses = 0
    const pause = Effect.gen(function* () {
      pauses += 1
      const taken = Number(yield* sender.line("held back"))
      sample()
      // What is on its way is in buffers of the system, whose size is bounded.
      expect(taken - received).toBeLessThan(32 * MiB)
    })

    yield* pause
    yield* transport.incoming.pipe(
      Stream.runForEach((chunk) => {
        const isHalfway = received < total / 2 && received + chunk.length >= total / 2
        received += chunk.length
        if (received % (32 * MiB) < chunk.length) sample()
        return isHalfway ? pause : Effect.void
      })
    )
    expect({ received, pauses }).toEqual({ received: total, pauses: 2 })
    expect((peak.arrayBuffers - before.arrayBuffers) / MiB).toBeLessThan(64)
    expect((peak.external - before.external) / MiB).toBeLessThan(64)
    expect((peak.rss - before.rss) / MiB).toBeLessThan(64)
  })
)
