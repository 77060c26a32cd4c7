import * as Socket from "@effect/platform/Socket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ClientService, Endpoint } from "effect-client-service"
import { WebSocket } from "ws"
import { timed } from "./measure.js"
import { answer } from "./servers/answer.js"
import { host } from "./tcp.js"

// A child process that sends 100,000 messages of 64 bytes each time that it is asked, takes as many that come back
// meanwhile, and answers with the milliseconds it took: `webSocketExchanger.ts service|bare PORT`.

const messages = 100_000
const message = new Uint8Array(64).fill(1)

/** Bytes that wait to be sent, above which nothing is added: as many as in the transport of the service. */
const sendBuffer = 1024 * 1024

type Exchange = Effect.Effect<void>

const [, , side, port] = process.argv
const url = `ws://${host}:${port}`

const constructor = (url: string, protocols?: string | Array<string>) =>
  // Its types differ from those of browsers in what nobody uses here.
  new WebSocket(url, protocols) as unknown as globalThis.WebSocket

const serviced: Effect.Effect<Exchange, never, Scope.Scope> = Effect.gen(function* () {
  const service = yield* ClientService.make({ endpoint: Endpoint.webSocket(url) })
  yield* service.start
  const { incoming, write } = yield* Effect.orDie(service.whenConnected())
  let left = 0
  let done = yield* Deferred.make<void>()
  yield* Effect.forkScoped(
    Stream.runForEach(incoming, () =>
      Effect.suspend(() => {
        left -= 1
        return left === 0 ? Deferred.succeed(done, undefined) : Effect.void
      })
    )
  )
  return Effect.gen(function* () {
    done = yield* Deferred.make<void>()
    left = messages
    let sent = 0
    yield* Effect.whileLoop({
      while: () => sent < messages,
      body: () => write(message),
      step: () => {
        sent += 1
      }
    })
    yield* Deferred.await(done)
  }).pipe(Effect.orDie)
}).pipe(Effect.provideService(Socket.WebSocketConstructor, constructor))

const bare: Effect.Effect<Exchange, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.async<WebSocket>((resume) => {
      const webSocket = new WebSocket(url)
      webSocket.once("open", () => resume(Effect.succeed(webSocket)))
      webSocket.on("error", (error) => resume(Effect.die(error)))
    }),
    (webSocket) => Effect.sync(() => webSocket.close())
  ),
  (webSocket) => {
    let left = 0
    let done = () => {}
    webSocket.on("message", () => {
      left -= 1
      if (left === 0) done()
    })
    return Effect.async<void>((resume) => {
      done = () => resume(Effect.void)
      left = messages
      let sent = 0
      const send = (): void => {
        while (sent < messages) {
          sent += 1
          if (webSocket.bufferedAmount <= sendBuffer) webSocket.send(message)
          else {
            webSocket.send(message, send)
            return
          }
        }
      }
      send()
    })
  }
)

Effect.gen(function* () {
  const exchange = yield* side === "service" ? serviced : bare
  const requests = yield* Queue.unbounded<unknown>()
  process.on("message", (request) => requests.unsafeOffer(request))
  yield* Effect.forever(
    Effect.zipRight(
      Queue.take(requests),
      Effect.map(timed(exchange), (millis) => answer(millis))
    )
  )
}).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.None), Effect.runFork)
