/**
 * A small protocol over a `Transport`: each line asked is answered by one line, and one that begins with "-" is a no.
 */
import { Data, Deferred, Effect, type Scope, Stream } from "effect"
import { type Endpoint, Transport } from "effect-client-service"

export interface Lines {
  readonly ask: (line: string) => Effect.Effect<string, LinesError>
}

export type LinesError = Rejected | LineTooLong | Transport.TransportError

export class Rejected extends Data.TaggedError("Rejected")<{ readonly reason: string }> {
  override get message(): string {
    return `rejected: ${this.reason}`
  }
}

/** What is kept of a line that has no end must have a bound. */
export class LineTooLong extends Data.TaggedError("LineTooLong") {
  override get message(): string {
    return `the peer sent a line of more than ${longest} characters`
  }
}

const longest = 64 * 1024

export const make = (
  transport: Transport.Transport,
  signal: Endpoint.ConnectionSignal<LineTooLong>
): Effect.Effect<Lines, never, Scope.Scope> =>
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
    // Not at the end of what is read: a `use` is to fail with ConnectionLost, which comes between that and this.
    yield* Effect.addFinalizer(() => {
      isOpen = false
      return Effect.forEach(asked.splice(0), (question) => Deferred.fail(question, closed))
    })
    yield* transport.incoming.pipe(
      Stream.decodeText(),
      Stream.mapAccumEffect("", wholeLines),
      Stream.flattenIterables,
      Stream.runForEach(answer),
      // Nobody reads on, and nobody else would notice.
      Effect.catchTag("LineTooLong", (error) => Effect.sync(() => signal.lost(error))),
      Effect.ignore,
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

const wholeLines = (rest: string, text: string): Effect.Effect<readonly [string, Array<string>], LineTooLong> => {
  const lines = (rest + text).split(/\r?\n/)
  const unfinished = lines.pop() ?? ""
  return unfinished.length > longest ? new LineTooLong() : Effect.succeed([unfinished, lines])
}
