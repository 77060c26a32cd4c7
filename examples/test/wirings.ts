/**
 * The program of `layers.ts`, wired in the way that is named: as one may write it without a thought of its end.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { BackendLive, HttpLive, ServerLive } from "../support/httpApp.js"

const served = Effect.scoped(Effect.zipRight(Layer.build(HttpLive), Effect.never))

const wirings = {
  "service, then server": Layer.launch(HttpLive.pipe(Layer.provide(BackendLive), Layer.provide(ServerLive))),
  merged: Layer.launch(HttpLive.pipe(Layer.provide(Layer.merge(ServerLive, BackendLive)))),
  "service, then server, by provideMerge": Layer.launch(
    HttpLive.pipe(Layer.provideMerge(BackendLive), Layer.provideMerge(ServerLive))
  ),
  "server, then service, of an Effect": served.pipe(Effect.provide(ServerLive), Effect.provide(BackendLive)),
  "merged, of an Effect": served.pipe(Effect.provide(Layer.mergeAll(ServerLive, BackendLive)))
}

export type Wiring = keyof typeof wirings

const isWiring = (name: string | undefined): name is Wiring => name !== undefined && Object.hasOwn(wirings, name)

const [name] = process.argv.slice(2)
if (!isWiring(name)) throw new Error(`No such wiring: ${name}`)
NodeRuntime.runMain(wirings[name])
