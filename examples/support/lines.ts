/**
 * A small protocol over a `Transport`: each line asked is answered by one line, and one that begins with "-" is a no.
 */
import { Data, Effect } from "effect"
import { Exchange, type FrameError, Framing, type Transport } from "effect-client-service"

export interface Lines {
  readonly ask: (line: string) => Effect.Effect<string, LinesError>
}

export type LinesError = Rejected | FrameError.FrameError | Transport.TransportError

export class Rejected extends Data.TaggedError("Rejected")<{ readonly reason: string }> {
  override get message(): string {
    return `rejected: ${this.reason}`
  }
}

export const make = Framing.protocol(Framing.lines({ limit: 64 * 1024 }), (lines) =>
  Effect.map(
    Exchange.inOrder(lines),
    ({ ask }): Lines => ({
      ask: (line) =>
        Effect.filterOrFail(
          ask(line),
          (reply) => !reply.startsWith("-"),
          (reply) => new Rejected({ reason: reply.slice(1) })
        )
    })
  )
)
