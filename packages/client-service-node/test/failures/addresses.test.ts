import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { resolvingTo } from "../support/addresses.js"
import { echo, listen } from "../support/server.js"
import { startService } from "../support/service.js"

describe("addresses", () => {
  // Failure 38: A name is looked up once, and the client goes on with an address that the peer has left.
  // Reported: hashicorp/consul#838, StackExchange/StackExchange.Redis#1015, etaty/rediscala#59, quickfix-j/quickfixj#384,
  // scylladb/python-driver#254, netbirdio/netbird#5113
  it.scopedLive("each attempt looks its name up, and goes where the peer has moved", () =>
    Effect.gen(function* () {
      const old = yield* listen(echo)
      yield* listen(echo, { port: old.port, host: "127.0.0.2" })
      yield* resolvingTo("127.0.0.1")
      const service = yield* startService(NodeEndpoint.tcp({ host: "peer.example", port: old.port }))
      const remotes: Array<string> = []
      yield* service.connections.pipe(
        Stream.take(2),
        Stream.runForEach(({ remote }) => {
          remotes.push(remote)
          return Effect.zipRight(resolvingTo("127.0.0.2"), old.kill)
        })
      )
      expect(remotes).toEqual([`127.0.0.1:${old.port}`, `127.0.0.2:${old.port}`])
    })
  )
})
