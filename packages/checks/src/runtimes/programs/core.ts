import { NodeSocket } from "@effect/platform-node"
import { Effect } from "effect"
import { coreAlone } from "./coreAlone.js"
import { main } from "./world.js"

await main((world) => Effect.provide(coreAlone(world), NodeSocket.layerWebSocketConstructor))
