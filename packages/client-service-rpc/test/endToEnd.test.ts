import { RpcClient, RpcSerialization } from "@effect/rpc"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Option, Queue, Stream } from "effect"
import { ProtocolLive } from "./support/connecting.js"
import { Client, Elsewhere, NoSuchPerson, Person, Seen, ServerLive, Stranger } from "./support/directory.js"
import { tcp, webSocket } from "./support/servers.js"

const overTcp = Client.Live.pipe(
  Layer.provideMerge(ProtocolLive(tcp.endpoint)),
  Layer.provideMerge(ServerLive()),
  Layer.provideMerge(tcp.listen()),
  Layer.provideMerge(Seen.Live)
)

const overWebSocket = Client.Live.pipe(
  Layer.provideMerge(ProtocolLive(webSocket.endpoint)),
  Layer.provideMerge(ServerLive()),
  Layer.provideMerge(webSocket.listen()),
  Layer.provideMerge(Seen.Live)
)

const suites: Record<string, Layer.Layer<Client | Seen | RpcClient.Protocol, unknown>> = {
  "TCP, NDJSON": Layer.provide(overTcp, RpcSerialization.layerNdjson),
  "TCP, MsgPack": Layer.provide(overTcp, RpcSerialization.layerMsgPack),
  "TCP, JSON-RPC by lines": Layer.provide(overTcp, RpcSerialization.layerNdJsonRpc()),
  "WebSocket, NDJSON": Layer.provide(overWebSocket, RpcSerialization.layerNdjson),
  "WebSocket, JSON": Layer.provide(overWebSocket, RpcSerialization.layerJson),
  "WebSocket, MsgPack": Layer.provide(overWebSocket, RpcSerialization.layerMsgPack),
  "WebSocket, JSON-RPC": Layer.provide(overWebSocket, RpcSerialization.layerJsonRpc())
}

for (const [name, layer] of Object.entries(suites)) {
  describe(name, () => {
    it.scopedLive("a call is answered, through the middleware of both sides", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const caller = yield* client.Whoami()
        expect(caller).toBeInstanceOf(Person)
        expect(caller).toEqual(new Person({ id: "none", name: "the caller" }))
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("headers reach the server", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const caller = yield* client.Whoami().pipe(RpcClient.withHeaders({ userId: "123" }))
        expect(caller).toEqual(new Person({ id: "123", name: "the caller" }))
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("errors of the handler and of the middleware are typed", () =>
      Effect.gen(function* () {
        const client = yield* Client
        expect(yield* Effect.flip(client.Get({ id: "nobody" }))).toEqual(new NoSuchPerson({ id: "nobody" }))
        const stranger = client.Get({ id: "1" }).pipe(RpcClient.withHeaders({ stranger: "yes" }))
        expect(yield* Effect.flip(stranger)).toEqual(new Stranger())
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("an Option in the answer stays one", () =>
      Effect.gen(function* () {
        const client = yield* Client
        expect(yield* client.Find({ id: "1" })).toEqual(Option.some(new Person({ id: "1", name: "Person 1" })))
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a call of a nested name is answered", () =>
      Effect.gen(function* () {
        const client = yield* Client
        expect(yield* client.nested.Touch()).toBe(undefined)
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("an answer of a megabyte arrives, with every character", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const answer = yield* client.Repeat({ text: "füßchen🙂", times: 100_000 })
        expect(answer === "füßchen🙂".repeat(100_000)).toBe(true)
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a stream ends with its error, after what came before", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const seen: Array<string> = []
        const end = yield* client.UpTo({ count: 100 }).pipe(
          Stream.runForEach(({ id }) => Effect.sync(() => seen.push(id))),
          Effect.flip
        )
        expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => String(i)))
        expect(end).toEqual(new NoSuchPerson({ id: "100" }))
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a stream that is not read to its end is interrupted at the server", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const { interrupted } = yield* Seen
        const five = yield* client.Everyone({ from: 7 }).pipe(Stream.take(5), Stream.runCollect)
        expect([...five]).toEqual([7, 8, 9, 10, 11])
        expect(yield* Queue.take(interrupted)).toBe("Everyone")
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a stream that is not read is held back at the server", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const seen = yield* Seen
        const mailbox = yield* client.Everyone({ from: 0 }, { asMailbox: true, streamBufferSize: 4 })
        expect(yield* mailbox.take).toBe(0)
        // Far longer than it takes the server to send more, if it were not for the acknowledgements.
        yield* Effect.repeatN(client.Whoami(), 50)
        expect(seen.emitted).toBeLessThan(10)
        for (let i = 1; i < 100; i++) expect(yield* mailbox.take).toBe(i)
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a call that is interrupted is interrupted at the server", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const { begun, interrupted } = yield* Seen
        const call = yield* Effect.fork(client.Never())
        expect(yield* Queue.take(begun)).toBe("Never")
        yield* Fiber.interrupt(call)
        expect(yield* Queue.take(interrupted)).toBe("Never")
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a defect of the handler is the caller's, and the connection goes on", () =>
      Effect.gen(function* () {
        const client = yield* Client
        expect(yield* Effect.exit(client.Crash())).toEqual(Exit.die("boom"))
        expect(yield* client.Echo({ text: "still here" })).toBe("still here")
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a middleware around the handler runs", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const { measured } = yield* Seen
        expect(yield* client.Measured({ succeed: true })).toBe(1)
        expect(Exit.isFailure(yield* Effect.exit(client.Measured({ succeed: false })))).toBe(true)
        expect(measured).toEqual({ all: 2, succeeded: 1, died: 1 })
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("a call that the server does not know dies, and the connection goes on", () =>
      Effect.gen(function* () {
        const client = yield* Client
        const elsewhere = yield* RpcClient.make(Elsewhere)
        const exit = yield* Effect.exit(elsewhere.Ghost())
        expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("Unknown request tag: Ghost")
        expect(yield* client.Echo({ text: "still here" })).toBe("still here")
      }).pipe(Effect.provide(layer))
    )

    it.scopedLive("several clients share the connection", () =>
      Effect.gen(function* () {
        const clients = [yield* Client, Context.get(yield* Layer.build(Layer.fresh(Client.Live)), Client)]
        const texts = Array.from({ length: 20 }, (_, i) => String(i))
        const echoes = yield* Effect.forEach(
          clients,
          (client) => Effect.forEach(texts, (text) => client.Echo({ text }), { concurrency: "unbounded" }),
          { concurrency: "unbounded" }
        )
        expect(echoes).toEqual([texts, texts])
      }).pipe(Effect.provide(layer))
    )
  })
}

describe("a server whose defects are not fatal", () => {
  it.scopedLive("gives each in the form that its schema says", () =>
    Effect.gen(function* () {
      const client = yield* Client
      expect(yield* Effect.exit(client.CrashInDetail())).toEqual(Exit.die({ message: "boom", where: "here" }))
    }).pipe(
      Effect.provide(
        Client.Live.pipe(
          Layer.provide(ProtocolLive(tcp.endpoint)),
          Layer.provide(ServerLive({ disableFatalDefects: true })),
          Layer.provide(tcp.listen()),
          Layer.provide(Seen.Live),
          Layer.provide(RpcSerialization.layerNdjson)
        )
      )
    )
  )
})
