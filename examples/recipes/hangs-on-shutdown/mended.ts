import { ClientService, type Endpoint } from "effect-client-service"
import type { Refused } from "../../support/connect.js"

export class Peer extends ClientService.Tag("app/Peer")<Peer, string, Refused>() {}

export const mended = (endpoint: Endpoint.Endpoint<string, Refused>) =>
  // An attempt is interrupted. A connection is closed, and for that the peer has 5 seconds.
  Peer.layer({ endpoint, closeTimeout: "5 seconds" })
