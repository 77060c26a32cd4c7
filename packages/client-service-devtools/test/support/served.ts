/**
 * A program with one service, and the page of it.
 */
import * as Http from "node:http"
import { text } from "node:stream/consumers"
import { HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Queue, type Scope, Stream, Subscribable } from "effect"
import { ClientService, ClientServices, RetryPolicy, TestEndpoint } from "effect-client-service"
import { Devtools } from "../../src/index.js"
import type { Update } from "../../src/internal/model.js"

export class Refused extends Error {
  readonly _tag = "Refused"
}

export const secret = "hunter2"

/** A service, with its server, which connects again after so many milliseconds. */
export const makeService = (name: string, delay: number | ((failures: number) => number), hasHeartbeat = false) =>
  Effect.gen(function* () {
    const server = yield* TestEndpoint.make<string, Refused>()
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      name,
      retryPolicy: RetryPolicy.fromFunction((failures) => (typeof delay === "number" ? delay : delay(failures))),
      ...(hasHeartbeat && { heartbeat: { probe: () => Effect.void, interval: "1 hour", timeout: "1 second" } })
    })
    return { server, service }
  })

/** Serves the page, and gives the port. */
export const serve = (
  options?: Devtools.Options
): Effect.Effect<number, never, Scope.Scope | ClientServices.ClientServices> =>
  Effect.gen(function* () {
    const layer = HttpServer.serve(Devtools.routes(options)).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => Http.createServer(), { port: 0, host: "127.0.0.1" })),
      Layer.orDie
    )
    const context = yield* Layer.build(layer)
    const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
    return address._tag === "TcpAddress" ? address.port : 0
  })

export interface Request {
  readonly path: string
  readonly method?: string
  readonly headers?: Http.OutgoingHttpHeaders
}

export const ask = (port: number, { headers = {}, method = "GET", path }: Request) =>
  Effect.async<{ readonly status: number; readonly headers: Http.IncomingHttpHeaders; readonly text: string }, Error>(
    (resume) => {
      const request = Http.request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
        text(response).then((text) =>
          resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, text }))
        )
      })
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end()
    }
  )

/** What a browser hears. */
export interface Ear {
  readonly updates: Queue.Dequeue<Update>
  /** All of it, as it came. */
  readonly raw: () => string
  readonly close: Effect.Effect<void>
  /** Waits until the program has ended it. */
  readonly ended: Effect.Effect<void>
}

export const listen = (port: number, path = "/services/events"): Effect.Effect<Ear, never, Scope.Scope> =>
  Effect.gen(function* () {
    const updates = yield* Queue.unbounded<Update>()
    let raw = ""
    let rest = ""
    const request = Http.get({ host: "127.0.0.1", port, path }, (response) => {
      response.setEncoding("utf8").on("data", (chunk: string) => {
        raw += chunk
        const blocks = (rest + chunk).split("\n\n")
        rest = blocks.pop() ?? ""
        for (const block of blocks) {
          if (block.startsWith("data: ")) Queue.unsafeOffer(updates, JSON.parse(block.slice(6)))
        }
      })
    })
    const ended = Effect.async<void>((resume) => {
      if (request.closed) resume(Effect.void)
      else request.once("close", () => resume(Effect.void))
    })
    request.on("error", () => {})
    const close = Effect.sync(() => request.destroy())
    yield* Effect.addFinalizer(() => close)
    return { updates, raw: () => raw, close, ended }
  })

/** The list in the context, and how many follow it. */
export const counted = Effect.map(ClientServices.ClientServices, ({ all }) => {
  let followers = 0
  const changes = all.changes.pipe(
    Stream.onStart(
      Effect.sync(() => {
        followers += 1
      })
    ),
    Stream.ensuring(
      Effect.sync(() => {
        followers -= 1
      })
    )
  )
  const services: ClientServices.ClientServices = { all: Subscribable.make({ get: all.get, changes }) }
  return { services, followers: () => followers }
})
