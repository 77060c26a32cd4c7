import type * as Http from "node:http"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { build } from "esbuild"
import { install } from "test-servers/chromium"
import { open } from "./support/chromium.js"
import { echo, listen } from "./support/webSocketServer.js"

const chromium = await install()
if (!chromium.isInstalled) console.log(`The tests in a browser are skipped: ${chromium.reason}`)

const bundle = Effect.map(
  Effect.promise(() =>
    build({
      entryPoints: [join(import.meta.dirname, "fixtures/browser.ts")],
      bundle: true,
      format: "esm",
      platform: "browser",
      write: false
    })
  ),
  ({ outputFiles }) => outputFiles.map((file) => file.text).join("")
)

/** Serves a page with a script, and takes what the script reports. */
const servePage =
  (script: string, reports: Queue.Enqueue<unknown>): Http.RequestListener =>
  (request, response) => {
    if (request.url === "/report") {
      text(request).then((body) => {
        Queue.unsafeOffer(reports, JSON.parse(body))
        response.end()
      })
    } else if (request.url === "/client.js") response.setHeader("content-type", "text/javascript").end(script)
    else response.setHeader("content-type", "text/html").end('<script type="module" src="/client.js"></script>')
  }

describe.skipIf(!chromium.isInstalled)("Endpoint.webSocket in Chromium", () => {
  it.scopedLive(
    "exchanges messages, sees each close, connects again with a fresh URL, and stops",
    () =>
      Effect.gen(function* () {
        const reports = yield* Queue.unbounded<unknown>()
        const kinds: Array<boolean> = []
        const server = yield* listen({
          onRequest: servePage(yield* bundle, reports),
          onMessage: (webSocket, data, isBinary) => {
            kinds.push(isBinary)
            echo(webSocket, data, isBinary)
          }
        })
        const origin = `127.0.0.1:${server.port}`
        const browser = yield* open(chromium.isInstalled ? chromium.paths.chromium : "", `http://${origin}/`)
        const program = Effect.gen(function* () {
          const connected = Effect.gen(function* () {
            const accepted = yield* Queue.take(server.accepted)
            expect(yield* Queue.take(reports)).toEqual({
              remote: `ws://${origin}`,
              echoes: [[...Buffer.from("text")], [1, 2], []]
            })
            expect(kinds.splice(0)).toEqual([false, true, false])
            return accepted
          })
          const first = yield* connected
          expect([first.request.url, first.webSocket.protocol]).toEqual(["/?attempt=1", "v2"])
          first.webSocket.close(1000, "done")
          const lost = { _tag: "WebSocketClosed", endpoint: "page" }
          expect(yield* Queue.take(reports)).toMatchObject({ lost: { ...lost, code: 1000, reason: "done" } })

          const second = yield* connected
          expect(second.request.url).toBe("/?attempt=2")
          second.webSocket.close(4000, "no such room")
          expect(yield* Queue.take(reports)).toMatchObject({ lost: { ...lost, code: 4000, reason: "no such room" } })

          const third = yield* connected
          third.webSocket.terminate()
          expect(yield* Queue.take(reports)).toMatchObject({ lost: { ...lost, code: 1006, reason: "" } })

          const fourth = yield* connected
          for (let sent = 0; sent < 1000; sent++) fourth.webSocket.send("")
          expect(yield* Queue.take(reports)).toMatchObject({ lost: { reason: "Overflow", limit: 100_000 } })

          // The browser has an error before this close.
          const fifth = yield* connected
          fifth.request.socket.write("no frame of a WebSocket")
          expect(yield* Queue.take(reports)).toMatchObject({ lost: { ...lost, code: 1006, reason: "" } })

          const sixth = yield* connected
          expect(yield* sixth.closed).toBe(1000)
          expect(yield* Queue.take(reports)).toBe("stopped")
        })
        yield* Effect.raceFirst(program, browser.ended)
      }),
    120_000
  )
})
