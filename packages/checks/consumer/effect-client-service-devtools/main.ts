import { HttpApp } from "@effect/platform"
import { Effect } from "effect"
import { ClientServices } from "effect-client-service"
import { Devtools } from "effect-client-service-devtools"

const program = Effect.gen(function* () {
  const runtime = yield* Effect.runtime<ClientServices.ClientServices>()
  const handle = HttpApp.toWebHandlerRuntime(runtime)(Devtools.routes({ path: "/live" }))
  const page = yield* Effect.promise(() => handle(new Request("http://localhost/live")))
  const text = yield* Effect.promise(() => page.text())
  return { status: page.status, isPage: text.startsWith("<!doctype html>"), size: text.length < 100 * 1024 }
}).pipe(Effect.provide(ClientServices.layer))

const result = JSON.stringify(await Effect.runPromise(program))
const expected = JSON.stringify({ status: 200, isPage: true, size: true })
if (result !== expected) throw new Error(`${result} instead of ${expected}`)
