import { Context, Effect } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
class Peer extends Context.Tag("test/Peer")<Peer, ClientService.ClientService<{ bytes: true }, "x">>() {}
class Peer2 extends ClientService.Tag("test/Peer2")<Peer2, { bytes: true }, "x">() {}
const plain = Endpoint.make({ name: "plain", connect: () => Effect.succeed({ bytes: true as const }) })
export const l1: 1 = ClientService.layer(Peer, { endpoint: plain })
export const l5: 5 = Peer2.layer({ endpoint: plain, protocol: (t) => Effect.succeed(t) })
export const e1: 6 = Endpoint.map(plain, (b) => b)
export const e2: 7 = plain.pipe(Endpoint.map((b) => b))
export const e4: 9 = Endpoint.mapError(plain, (b) => b)
export const e7: 11 = plain.pipe(Endpoint.tap(() => Effect.addFinalizer(() => Effect.void)))
