import { NodeEndpoint } from "effect-client-service-node"
import { exercise } from "./exercise.js"
import { main } from "./world.js"

await main((world) =>
  exercise(world, NodeEndpoint.webSocket(`ws://localhost:${world.webSocket}`), {
    broken: ["WebSocketClosed"],
    refused: ["Connection"],
    isPushedBack: true
  })
)
