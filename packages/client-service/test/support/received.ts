import { Effect, Stream } from "effect"
import { Incoming, type Transport } from "effect-client-service"

/** A transport that has received something, and what was written to it. */
export interface Received {
  readonly transport: Transport.Transport
  readonly receive: (...chunks: ReadonlyArray<Uint8Array | string>) => void
  readonly end: (error?: Transport.TransportError) => void
  readonly written: Array<string>
  /** The losses that the transport has told. */
  readonly losses: Array<unknown>
}

export const bytesOf = (chunk: Uint8Array | string): Uint8Array =>
  typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk

const make = (wrap: (incoming: Transport.Transport["incoming"]) => Transport.Transport["incoming"]) =>
  Effect.gen(function* () {
    const losses: Array<unknown> = []
    const written: Array<string> = []
    const incoming = yield* Incoming.make<unknown>({
      lost: (error) => losses.push(error),
      linger: 1000,
      capacity: 64 * 1024 * 1024
    })
    const transport: Transport.Transport = {
      incoming: wrap(incoming.stream),
      write: (chunk) => Effect.sync(() => void written.push(Buffer.from(chunk).toString())),
      end: Effect.void,
      remote: "test"
    }
    const received: Received = {
      transport,
      receive: (...chunks) => {
        for (const chunk of chunks) incoming.offer(bytesOf(chunk))
      },
      end: (error) => incoming.end(error),
      written,
      losses
    }
    return received
  })

/** Of a transport of the library, and of one whose bytes are any stream. */
export const transports = {
  "a transport": make((incoming) => incoming),
  "a stream of one's own": make(Stream.map((chunk) => chunk))
}
