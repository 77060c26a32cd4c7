import { Socket } from "@effect/platform"
import { Cause, Effect, Exit } from "effect"
import { coreAlone } from "./coreAlone.js"
import { worldOf } from "./world.js"

// The same in a page and in a worker that it starts; each tells its own server how it went.
const { origin } = new URL(import.meta.url)
const said: Array<string> = []
const { log } = console
console.log = (text: string) => {
  said.push(text)
  log(text)
}
const exit = await Effect.runPromiseExit(
  worldOf(origin).pipe(Effect.flatMap(coreAlone), Effect.provide(Socket.layerWebSocketConstructorGlobal))
)
const problem = Exit.isSuccess(exit) ? "" : Cause.pretty(exit.cause)
await fetch("/report", { method: "POST", body: JSON.stringify({ said, problem }) })
