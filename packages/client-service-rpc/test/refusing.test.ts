import { Socket, type SocketServer } from "@effect/platform"
import { NodeSocketServer } from "@effect/platform-node"
import { Rpc, type RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Option, Schema, type Scope, Stream } from "effect"
import { ClientService } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { RpcConnection } from "effect-client-service-rpc"

const host = "127.0.0.1"

class Api extends RpcGroup.make(
  Rpc.make("Login", { success: Schema.String }),
  Rpc.make("Rules", { success: Schema.String, stream: true }),
  Rpc.make("Wait")
) {}

class AuthInvalid extends Data.TaggedError("AuthInvalid") {}

const listening = {
  TCP: {
    listen: NodeSocketServer.make({ port: 0, host }),
    endpoint: (port: number) => NodeEndpoint.tcp({ host, port })
  },
  "a WebSocket": {
    listen: NodeSocketServer.makeWebSocket({ port: 0, host }),
    endpoint: (port: number) => NodeEndpoint.webSocket(`ws://${host}:${port}`)
  }
}

/** A server that refuses whoever logs in, and ends: it has nothing more to say. */
const refuse = (server: SocketServer.SocketServer["Type"], { unsafeMake }: RpcSerialization.RpcSerialization["Type"]) =>
  server.run((socket) =>
    Effect.gen(function* () {
      const parser = unsafeMake()
      const write = yield* socket.writer
      const send = (response: unknown) => write(parser.encode(response) ?? "")
      yield* socket.runRaw((data) =>
        Effect.forEach(parser.decode(data), (request) => {
          const { id: requestId, tag } = request as { readonly id: string; readonly tag: string }
          if (tag === "Wait") return Effect.void
          const answer =
            tag === "Login"
              ? { _tag: "Exit", requestId, exit: { _tag: "Success", value: "auth_invalid" } }
              : { _tag: "Chunk", requestId, values: ["auth_invalid"] }
          return Effect.zipRight(send(answer), write(new Socket.CloseEvent(1000)))
        })
      )
    }).pipe(Effect.scoped, Effect.ignore)
  )

type Client = RpcClient.RpcClient<RpcGroup.Rpcs<typeof Api>, unknown>

const judge = (answer: string) =>
  Effect.zipRight(Effect.sleep("1 millis"), answer === "auth_invalid" ? new AuthInvalid() : Effect.void)

const preparing: Record<string, (client: Client) => Effect.Effect<unknown, unknown, Scope.Scope>> = {
  "an answer": (client) => Effect.flatMap(client.Login(), judge),
  "an answer, while another call waits": (client) =>
    Effect.all([Effect.flatMap(client.Login(), judge), client.Wait()], { concurrency: "unbounded" }),
  "an answer of a call that it has forked": (client) =>
    Effect.flatMap(Effect.fork(client.Login()), (fiber) => Effect.flatMap(fiber, judge)),
  "an element": (client) => Effect.flatMap(Stream.runHead(client.Rules()), (rule) => judge(Option.getOrThrow(rule))),
  "an element, of a stream that it reads on": (client) => Stream.runForEach(client.Rules(), judge)
}

for (const [transport, { endpoint, listen }] of Object.entries(listening)) {
  for (const [name, serialization] of [
    ["NDJSON", RpcSerialization.ndjson],
    ["JSON-RPC", RpcSerialization.ndJsonRpc()],
    ["MsgPack", RpcSerialization.msgPack]
  ] as const) {
    describe(`a server that refuses, and ends (${transport}, ${name})`, () => {
      for (const [what, prepare] of Object.entries(preparing)) {
        // Kind 1
        it.scopedLive(`prepare says why, which it has from ${what}`, () =>
          Effect.gen(function* () {
            const server = yield* listen
            if (server.address._tag !== "TcpAddress") return yield* Effect.dieMessage("no port")
            yield* Effect.forkScoped(refuse(server, serialization))
            const service = yield* ClientService.make({
              endpoint: endpoint(server.address.port),
              protocol: RpcConnection.make,
              prepare: (connection) => Effect.flatMap(RpcConnection.client(connection, Api), prepare),
              retryPolicy: { while: (error) => !(error instanceof AuthInvalid), times: 3 }
            })
            yield* service.start
            const exit = yield* Effect.exit(service.whenConnected())
            const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
            expect(error).toMatchObject({ _tag: "RetriesExhausted", failures: 1 })
            expect(Cause.squash((error as { readonly cause: Cause.Cause<unknown> }).cause)).toBeInstanceOf(AuthInvalid)
          }).pipe(Effect.provideService(RpcSerialization.RpcSerialization, serialization))
        )
      }
    })
  }
}
