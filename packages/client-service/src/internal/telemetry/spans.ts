import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Tracer from "effect/Tracer"
import type { Phase } from "../connection/phase.js"
import type { Source } from "./source.js"

/**
 * A span for each attempt, linked to the one before. A tracer that throws leaves the attempt without its span.
 */
export class AttemptSpans {
  readonly #source: Source
  #links: ReadonlyArray<Tracer.SpanLink> = []

  constructor(source: Source) {
    this.#source = source
  }

  begin(attempt: number): Effect.Effect<Tracer.Span | undefined> {
    const { endpoint, service } = this.#source
    return Effect.matchCause(
      Effect.makeSpan("ClientService.attempt", {
        kind: "client",
        root: true,
        captureStackTrace: false,
        attributes: { service, endpoint, attempt },
        links: this.#links
      }),
      {
        onFailure: () => undefined,
        onSuccess: (span) => {
          // Its identity alone: a link to the span itself would hold on to all the spans before. The ids are put together
          // letter by letter, and keep all the parts until somebody looks into them.
          span.spanId.charCodeAt(0)
          span.traceId.charCodeAt(0)
          this.#links = [{ _tag: "SpanLink", span: Tracer.externalSpan(span), attributes: {} }]
          return span
        }
      }
    )
  }

  /** Ends the span of an attempt that is no longer under way. */
  ended(span: Tracer.Span, phase: Phase<unknown, unknown>): void {
    try {
      span.end(this.#source.clock.unsafeCurrentTimeNanos(), exitOf(phase))
    } catch {}
  }
}

const exitOf = (phase: Phase<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (phase._tag === "Ready") return Exit.succeed(phase.protocol)
  return phase._tag === "Failed" ? Exit.failCause(phase.cause) : Exit.interrupt(FiberId.none)
}
