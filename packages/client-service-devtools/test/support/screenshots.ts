/**
 * Makes the pictures of the README anew.
 */

import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { ClientServices } from "effect-client-service"
import { start, type View } from "test-servers/browser"
import { install } from "test-servers/chromium"
import { Devtools } from "../../src/index.js"
import { scene } from "./scene.js"

const directory = process.argv[2] ?? join(import.meta.dirname, "../..")

const pictures: ReadonlyArray<View & { readonly file: string }> = [
  { file: "devtools-desktop.png", width: 1240, height: 860, scheme: "light" },
  { file: "devtools-phone.png", width: 360, height: 780, scheme: "dark" }
]

const chromium = await install()
if (!chromium.isInstalled) throw new Error(chromium.reason)
const { paths } = chromium

const program = Effect.gen(function* () {
  const { address } = yield* HttpServer.HttpServer
  const port = address._tag === "TcpAddress" ? address.port : 0
  const browser = yield* start(paths.chromium)
  for (const { file, ...view } of pictures) {
    const tab = yield* browser.open(`http://127.0.0.1:${port}/services`, view)
    yield* tab.until("document.querySelectorAll('.service').length === 7")
    yield* tab.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")
    const picture = yield* tab.screenshot
    writeFileSync(join(directory, file), picture)
    console.log(file, picture.length, tab.complaints())
    yield* tab.close
  }
})

const served = HttpServer.serve(Devtools.routes({ title: "Shop", actions: true })).pipe(
  Layer.provide(Layer.effect(ClientServices.ClientServices, scene)),
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

await Effect.runPromise(Effect.scoped(Effect.provide(program, served)))
