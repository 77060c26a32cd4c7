import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ClientService, Endpoint, Incoming, type Transport } from "effect-client-service"
import { cpuTimed, interleave } from "../measure.js"
import type { Row } from "../row.js"

const chunk = new Uint8Array(64)

const endpoint = Endpoint.make({
  name: "memory",
  connect: ({ lost }: Endpoint.ConnectionSignal<Transport.TransportError>) =>
    Incoming.make({ lost, linger: 1000, capacity: 64 * 1024 * 1024 })
})

/** Has so many chunks arrive, `burst` of them in each turn of the event loop. */
const arrive = (incoming: Incoming.Incoming, chunks: number, burst: number): void => {
  const last = chunks - burst
  for (let sent = 0; sent < burst; sent += 1) incoming.offer(chunk)
  if (last > 0) setImmediate(() => arrive(incoming, last, burst))
}

const streamBy = (burst: number, chunks: number, ratio: number): Row => ({
  name: `a chunk of ClientService.stream, ${burst === 1 ? "one" : burst} in a turn`,
  against: "the incoming of its transport alone",
  unit: "ms",
  reach: { ratio },
  samples: Effect.gen(function* () {
    const service = yield* ClientService.make({ endpoint })
    yield* service.start
    const incoming = yield* Effect.orDie(service.whenConnected())
    const readBy = <E>(stream: Stream.Stream<Uint8Array, E>): Effect.Effect<number> =>
      Effect.suspend(() => {
        setImmediate(() => arrive(incoming, chunks, burst))
        const all = Stream.runDrain(Stream.take(stream, chunks))
        return Effect.map(cpuTimed(Effect.orDie(all)), (millis) => millis / chunks)
      })
    return yield* interleave({
      rounds: 15,
      warmUp: 4,
      subject: readBy(ClientService.stream(service, ({ stream }) => stream)),
      against: readBy(incoming.stream)
    })
  })
})

export const streams: ReadonlyArray<Row> = [streamBy(1, 20_000, 2), streamBy(100, 40_000, 3)]
