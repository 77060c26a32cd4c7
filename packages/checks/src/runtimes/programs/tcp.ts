import { NodeEndpoint } from "effect-client-service-node"
import { exercise } from "./exercise.js"
import { main } from "./world.js"

await main((world) =>
  exercise(world, NodeEndpoint.tcp({ host: "localhost", port: world.tcp }), {
    broken: ["Reset"],
    refused: ["Refused"],
    isPushedBack: true
  })
)
