import { describe, expect, it } from "vitest"
import { type Contender, ours, unjittered } from "../src/herd/policies.js"
import { backWithin, peakShare, recover } from "../src/herd/simulation.js"
import { testTime } from "../src/herd/testTime.js"

// `npm run bench:herd` has five times as many.
const after = (outage: number, { policy }: Contender, clients = 1000) =>
  recover({ policy, clients, outage, seed: "herd" })

describe("1,000 services that lose their server at one instant", () => {
  // Failure 28: After an outage all clients come back at the same time, and bring the server down again.
  // Reported: mqttjs/MQTT.js#561, ueberdosis/hocuspocus#175, kubernetes/kubernetes#87794
  it("for 60 s come back as no herd: at most 2 % in any 100 ms, half within 10 s, all within 30 s", async () => {
    const recovery = await after(60_000, ours)
    expect(recovery.admissions).toHaveLength(1000)
    expect(peakShare(recovery, 100)).toBeLessThanOrEqual(0.02)
    expect(backWithin(recovery, 0.5)).toBeLessThanOrEqual(10_000)
    expect(backWithin(recovery, 1)).toBeLessThanOrEqual(30_000)
  })

  // Failure 29: The first retry has no jitter, so that all who lost the same server are back at the same time.
  // Reported: the specification of gRPC's connection backoff, simulated
  it("for no time at all spread over the whole first delay, since that has jitter too", async () => {
    const recovery = await after(0, ours)
    expect(recovery.attemptsPerClient).toBe(1)
    // A fifth of the half second, and what chance adds.
    expect(peakShare(recovery, 100)).toBeLessThanOrEqual(0.24)
    expect(backWithin(recovery, 1)).toBeLessThanOrEqual(500)
  })
})

describe("services that lose their server at one instant", () => {
  it("come back all at once without jitter", async () => {
    expect(peakShare(await after(5000, unjittered, 100), 100)).toBe(1)
  })

  it("come back on TestClock too", async () => {
    const recovery = await recover({ policy: ours.policy, clients: 50, outage: 60_000, seed: "herd", time: testTime() })
    expect(recovery.admissions).toHaveLength(50)
    expect(backWithin(recovery, 1)).toBeLessThanOrEqual(30_000)
    expect(recovery.attemptsPerClient).toBeGreaterThan(5)
  })

  it("come back the same way every time", async () => {
    expect(await after(1000, ours, 100)).toEqual(await after(1000, ours, 100))
  })
})
