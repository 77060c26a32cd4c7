import type { Socket } from "@effect/platform"
import type { Effect } from "effect"
import { Endpoint } from "effect-client-service"
import { exercise } from "./exercise.js"
import type { World } from "./world.js"

/** The core over the WebSocket of the platform, which the program gives. */
export const coreAlone = (world: World): Effect.Effect<void, unknown, Socket.WebSocketConstructor> =>
  exercise(world, Endpoint.webSocket(`ws://127.0.0.1:${world.webSocket}`, { name: "peer" }), {
    broken: ["WebSocketClosed"],
    refused: ["Connection", "Failed"],
    // Most platforms can't hold a WebSocket back.
    isPushedBack: false
  })
