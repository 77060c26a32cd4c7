import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Tracer from "effect/Tracer"
import type { Phase } from "../connection/phase.js"

/**
 * A span for each attempt, linked to the one before. A tracer that throws leaves the attempt without its span.
 */
export class AttemptSpans {
  readonly #service: string
  readonly #endpoint: string
  readonly #clock: Clock.Clock
  // The identity of the last span alone: a link to the span itself would hold on to all the spans before.
  #last: Tracer.ExternalSpan | undefined

  constructor(service: string, endpoint: string, clock: Clock.Clock) {
    this.#service = service
    this.#endpoint = endpoint
    this.#clock = clock
  }

  begin(attempt: number): Effect.Effect<Tracer.Span | undefined> {
    return Effect.matchCause(
      Effect.makeSpan("ClientService.attempt", {
        kind: "client",
        root: true,
        captureStackTrace: false,
        attributes: { service: this.#service, endpoint: this.#endpoint, attempt },
        links: this.#last === undefined ? [] : [{ _tag: "SpanLink", span: this.#last, attributes: {} }]
      }),
      {
        onFailure: () => undefined,
        onSuccess: (span) => {
          this.#last = Tracer.externalSpan(span)
          // The ids are put together letter by letter, and keep all the parts until somebody looks into them.
          this.#last.spanId.charCodeAt(0)
          this.#last.traceId.charCodeAt(0)
          return span
        }
      }
    )
  }

  /** Ends the span of an attempt that is no longer under way. */
  ended(span: Tracer.Span, phase: Phase<unknown, unknown>): void {
    try {
      span.end(this.#clock.unsafeCurrentTimeNanos(), exitOf(phase))
    } catch {}
  }
}

const exitOf = (phase: Phase<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (phase._tag === "Ready") return Exit.succeed(phase.protocol)
  return phase._tag === "Failed" ? Exit.failCause(phase.cause) : Exit.interrupt(FiberId.none)
}
