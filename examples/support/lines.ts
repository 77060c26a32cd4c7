/**
 * A small protocol over a `Transport`: each line asked is answered by one line, and one that begins with "-" is a no.
 */
import { Data, Deferred, Effect, type Scope, Stream } from "effect"
import { Transport } from "effect-client-service"

export interface Lines {
  readonly ask: (line: string) => Effect.Effect<string, LinesError>
}

export type LinesError = Rejected | Transport.TransportError

export class Rejected extends Data.TaggedError("Rejected")<{ readonly reason: string }> {
  override get message(): string {
    return `rejected: ${this.reason}`
  }
}

export const make = (transport: Transport.Transport): Effect.Effect<Lines, never, Scope.Scope> =>
  Effect.gen(function* () {
    const asked: Array<Deferred.Deferred<string, LinesError>> = []
    const closed = new Transport.TransportError({ reason: "Closed" })
    let isOpen = true

    const answer = (reply: string) => {
      const question = asked.shift()
      return question === undefined
        ? Effect.void
        : Deferred.complete(
            question,
            reply.startsWith("-") ? new Rejected({ reason: reply.slice(1) }) : Effect.succeed(reply)
          )
    }
    const hangUp = Effect.suspend(() => {
      isOpen = false
      return Effect.forEach(asked.splice(0), (question) => Deferred.fail(question, closed))
    })
    yield* transport.incoming.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach(answer),
      Effect.ignore,
      Effect.ensuring(hangUp),
      Effect.forkScoped
    )

    return {
      // A question that is interrupted keeps its place, or its answer would go to the next one.
      ask: (line) =>
        Effect.flatMap(Deferred.make<string, LinesError>(), (question) => {
          if (!isOpen) return closed
          asked.push(question)
          return Effect.zipRight(transport.write(`${line}\n`), Deferred.await(question))
        })
    }
  })
