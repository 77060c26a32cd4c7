import { NodeEndpoint } from "effect-client-service-node"
import { exercise } from "./exercise.js"
import { main } from "./world.js"

await main((world) =>
  exercise(world, NodeEndpoint.tls({ host: "localhost", port: world.tls, ca: world.ca }), {
    broken: ["Reset"],
    refused: ["Refused"],
    isPushedBack: true
  })
)
