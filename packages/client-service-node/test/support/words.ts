import type * as Net from "node:net"
import { Data, Deferred, Effect, type Scope, Stream } from "effect"
import { type Endpoint, Transport } from "effect-client-service"

/** A protocol of lines: the first line that comes answers the first that was asked. */
export interface Words {
  readonly ask: (line: string) => Effect.Effect<string, Transport.TransportError>
}

/** The peer sent more than a line may have. */
export class LineTooLong extends Data.TaggedError("LineTooLong") {}

const longest = 64 * 1024

export const make = (
  transport: Transport.Transport,
  signal: Endpoint.ConnectionSignal<LineTooLong>
): Effect.Effect<Words, never, Scope.Scope> =>
  Effect.gen(function* () {
    const asked: Array<Deferred.Deferred<string, Transport.TransportError>> = []
    const closed = new Transport.TransportError({ reason: "Closed" })
    let isOpen = true
    let rest = ""

    const receive = (text: string) => {
      const lines = (rest + text).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) {
        const question = asked.shift()
        if (question !== undefined) Deferred.unsafeDone(question, Effect.succeed(line))
      }
      return rest.length > longest ? Effect.fail(new LineTooLong()) : Effect.void
    }
    yield* transport.incoming.pipe(
      Stream.decodeText(),
      Stream.runForEach(receive),
      Effect.catchTag("LineTooLong", (error) => Effect.sync(() => signal.lost(error))),
      Effect.ignore,
      Effect.ensuring(
        Effect.suspend(() => {
          isOpen = false
          return Effect.forEach(asked.splice(0), (question) => Deferred.fail(question, closed))
        })
      ),
      Effect.forkScoped
    )
    return {
      // A question that is interrupted keeps its place, or its answer would go to the next one.
      ask: (line) =>
        Effect.flatMap(Deferred.make<string, Transport.TransportError>(), (question) => {
          if (!isOpen) return closed
          asked.push(question)
          return Effect.zipRight(transport.write(`${line}\n`), Deferred.await(question))
        })
    }
  })

/** Answers each line, so that no answer is that of another line. */
export const answer = (socket: Net.Socket): void => {
  let rest = ""
  socket.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) if (socket.writable) socket.write(`answer to ${line}\n`)
  })
}
