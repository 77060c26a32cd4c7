import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import type { Stage } from "../connection/attemptStatus.js"
import type { Phase } from "../connection/phase.js"
import { attributesOf } from "./attributes.js"
import { errorTypeOf } from "./errorType.js"
import type { Source } from "./source.js"

/**
 * A span for each attempt, linked to the one before, and one for each connection if that is asked for, linked to its attempt.
 * A tracer that throws leaves them without their spans.
 */
export class Spans {
  readonly #source: Source
  /** Whether the connections have spans too. */
  readonly ofConnections: boolean
  #links: ReadonlyArray<Tracer.SpanLink> = []

  constructor(source: Source, ofConnections: boolean) {
    this.#source = source
    this.ofConnections = ofConnections
  }

  begin(attempt: number): Effect.Effect<Tracer.Span | undefined> {
    return Effect.map(this.#make("attempt", attempt, this.#links), (span) => {
      if (span !== undefined) this.#links = [linkTo(span)]
      return span
    })
  }

  /** Begins the span of the connection that an attempt has made. */
  connected(attempt: Tracer.Span, generation: number): Effect.Effect<Tracer.Span | undefined> {
    return this.#make("generation", generation, [linkTo(attempt)])
  }

  /** Ends the span of an attempt that is no longer under way, or of a connection that is over: `ended` unless it failed. */
  ended(span: Tracer.Span, phase: Phase<unknown, unknown>, ended: Exit.Exit<unknown>): void {
    try {
      const cause = phase._tag === "Failed" || phase._tag === "Lost" ? phase.cause : undefined
      if (cause !== undefined) span.attribute("error.type", errorTypeOf(cause))
      span.end(this.#source.clock.unsafeCurrentTimeNanos(), cause === undefined ? ended : Exit.failCause(cause))
    } catch {}
  }

  #make(
    what: "attempt" | "generation",
    number: number,
    links: ReadonlyArray<Tracer.SpanLink>
  ): Effect.Effect<Tracer.Span | undefined> {
    const { endpoint, server, service } = this.#source
    return Effect.matchCause(
      Effect.makeSpan(`ClientService.${what === "attempt" ? what : "connection"}`, {
        kind: "client",
        root: true,
        captureStackTrace: false,
        attributes: {
          ...attributesOf(service, server),
          "client_service.endpoint": endpoint,
          [`client_service.${what}`]: number
        },
        links
      }),
      { onFailure: () => undefined, onSuccess: (span) => span }
    )
  }
}

/** Tells a span how far its attempt is. */
export const tellStage = (span: Tracer.Span, stage: Stage, clock: Clock.Clock): void => {
  try {
    span.event(stage, clock.unsafeCurrentTimeNanos())
  } catch {}
}

// Its identity alone: a link to the span itself would hold on to all the spans before.
const linkTo = (span: Tracer.Span): Tracer.SpanLink => {
  // They are put together letter by letter, and keep all the parts until somebody looks into them.
  span.spanId.charCodeAt(0)
  span.traceId.charCodeAt(0)
  return { _tag: "SpanLink", span: Tracer.externalSpan(span), attributes: {} }
}
