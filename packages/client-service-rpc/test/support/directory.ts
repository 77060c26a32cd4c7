import { Headers } from "@effect/platform"
import { Rpc, RpcClient, type RpcClientError, RpcGroup, RpcMiddleware, RpcServer } from "@effect/rpc"
import { Context, Effect, Layer, Mailbox, Option, Queue, Schema } from "effect"

export class Person extends Schema.Class<Person>("Person")({ id: Schema.String, name: Schema.String }) {}

export class NoSuchPerson extends Schema.TaggedError<NoSuchPerson>()("NoSuchPerson", { id: Schema.String }) {}

export class Stranger extends Schema.TaggedError<Stranger>()("Stranger", {}) {}

class Caller extends Context.Tag("test/Caller")<Caller, Person>() {}

class Identified extends RpcMiddleware.Tag<Identified>()("test/Identified", {
  provides: Caller,
  failure: Stranger,
  requiredForClient: true
}) {}

class Counted extends RpcMiddleware.Tag<Counted>()("test/Counted", { wrap: true }) {}

/** What the tests of an RPC client need a server to do. */
export const Directory = RpcGroup.make(
  Rpc.make("Whoami", { success: Person }),
  Rpc.make("Get", { payload: { id: Schema.String }, success: Person, error: NoSuchPerson }),
  Rpc.make("Find", { payload: { id: Schema.String }, success: Schema.Option(Person) }),
  Rpc.make("Everyone", { payload: { from: Schema.Number }, success: Schema.Number, stream: true }),
  Rpc.make("UpTo", { payload: { count: Schema.Number }, success: Person, error: NoSuchPerson, stream: true }),
  Rpc.make("Never"),
  Rpc.make("Crash"),
  Rpc.make("CrashInDetail", { defect: Schema.Unknown }),
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Repeat", { payload: { text: Schema.String, times: Schema.Number }, success: Schema.String }),
  Rpc.make("nested.Touch"),
  Rpc.make("Measured", { payload: { succeed: Schema.Boolean }, success: Schema.Number }).middleware(Counted)
).middleware(Identified)

/** A group that no server has. */
export const Elsewhere = RpcGroup.make(Rpc.make("Ghost", { success: Schema.String }))

/** What the server has done. */
export class Seen extends Context.Tag("test/Seen")<
  Seen,
  {
    /** The names of calls that were interrupted. */
    readonly interrupted: Queue.Queue<string>
    /** The names of calls that have begun. */
    readonly begun: Queue.Queue<string>
    emitted: number
    readonly measured: { all: number; succeeded: number; died: number }
  }
>() {
  static readonly Live = Layer.effect(
    Seen,
    Effect.gen(function* () {
      return {
        interrupted: yield* Queue.unbounded<string>(),
        begun: yield* Queue.unbounded<string>(),
        emitted: 0,
        measured: { all: 0, succeeded: 0, died: 0 }
      }
    })
  )
}

const handlers = Directory.toLayer(
  Effect.gen(function* () {
    const seen = yield* Seen
    return Directory.of({
      Whoami: () => Rpc.fork(Caller),
      Get: ({ id }) =>
        id === "nobody" ? new NoSuchPerson({ id }) : Effect.succeed(new Person({ id, name: `Person ${id}` })),
      Find: ({ id }) => Effect.succeed(Option.some(new Person({ id, name: `Person ${id}` }))),
      Everyone: ({ from }) =>
        Effect.gen(function* () {
          const mailbox = yield* Mailbox.make<number>(0)
          yield* Effect.addFinalizer(() => Queue.offer(seen.interrupted, "Everyone"))
          let next = from
          yield* Effect.suspend(() => mailbox.offer(next)).pipe(
            Effect.tap(() => {
              next += 1
              seen.emitted += 1
            }),
            Effect.forever,
            Effect.forkScoped
          )
          yield* Queue.offer(seen.begun, "Everyone")
          return mailbox
        }),
      UpTo: ({ count }) =>
        Effect.gen(function* () {
          const mailbox = yield* Mailbox.make<Person, NoSuchPerson>()
          for (let i = 0; i < count; i++) yield* mailbox.offer(new Person({ id: String(i), name: `Person ${i}` }))
          yield* mailbox.fail(new NoSuchPerson({ id: String(count) }))
          return mailbox
        }),
      Never: () =>
        Queue.offer(seen.begun, "Never").pipe(
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() => Queue.offer(seen.interrupted, "Never"))
        ),
      Crash: () => Effect.die("boom"),
      CrashInDetail: () => Effect.die({ message: "boom", where: "here" }),
      Echo: ({ text }) => Effect.succeed(text),
      Repeat: ({ text, times }) => Effect.succeed(text.repeat(times)),
      "nested.Touch": () => Effect.void,
      Measured: ({ succeed }) => (succeed ? Effect.succeed(1) : Effect.die("boom"))
    })
  })
)

const IdentifiedLive = Layer.succeed(
  Identified,
  Identified.of(({ headers }) =>
    headers["stranger"] === undefined
      ? Effect.succeed(new Person({ id: headers["userid"] ?? "none", name: headers["name"] ?? "none" }))
      : new Stranger()
  )
)

const CountedLive = Layer.effect(
  Counted,
  Effect.map(Seen, ({ measured }) =>
    Counted.of(({ next }) =>
      next.pipe(
        Effect.tap(() => {
          measured.succeeded += 1
        }),
        Effect.tapDefect(() =>
          Effect.sync(() => {
            measured.died += 1
          })
        ),
        Effect.ensuring(
          Effect.sync(() => {
            measured.all += 1
          })
        )
      )
    )
  )
)

/** The server, whose protocol is still to be given. */
export const ServerLive = (options?: { readonly disableFatalDefects?: boolean }) =>
  RpcServer.layer(Directory, options).pipe(Layer.provide([handlers, IdentifiedLive, CountedLive]))

export class Client extends Context.Tag("test/Client")<
  Client,
  RpcClient.RpcClient<RpcGroup.Rpcs<typeof Directory>, RpcClientError.RpcClientError>
>() {
  static readonly make = (options?: Parameters<typeof RpcClient.make>[1] & { readonly flatten?: false }) =>
    Layer.scoped(Client, RpcClient.make(Directory, options)).pipe(
      Layer.provide(
        RpcMiddleware.layerClient(Identified, ({ request }) =>
          Effect.succeed({ ...request, headers: Headers.set(request.headers, "name", "the caller") })
        )
      )
    )

  static readonly Live = Client.make()
}
