import { NodeEndpoint } from "effect-client-service-node"
import { exercise } from "./exercise.js"
import { main } from "./world.js"

await main((world) =>
  exercise(world, NodeEndpoint.unix({ path: world.path }), {
    // A Unix socket has no reset.
    broken: ["ConnectionLost", "Reset"],
    refused: ["Refused"],
    isPushedBack: true
  })
)
