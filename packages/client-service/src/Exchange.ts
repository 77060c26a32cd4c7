/**
 * Requests and their answers over framed transports: in order, or by an id.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { FrameError } from "./FrameError.js"
import type { Framed } from "./Framing.js"
import { Conversation } from "./internal/framing/conversation.js"
import { link } from "./internal/framing/link.js"
import { ById, InOrder, type Pairing } from "./internal/framing/pairing.js"
import * as Validate from "./internal/options.js"
import type { TransportError } from "./Transport.js"

/**
 * Requests and answers on one connection, until its Scope closes. Any number of calls may be under way. Those of one turn go
 * out in one write.
 *
 * In a `use` of the service, a call that has no answer when the connection is lost ends with `ConnectionLost`, as the `use`
 * does; elsewhere, it fails with the `FrameError` that the connection is lost by, or a `TransportError` of reason `Closed`.
 *
 * When the peer ends the connection, those who were answered within the last second, in an attempt or in a `use`, have until a
 * second after the last answer to act on that, and the loss is known then; or before, once each of them has ended or asks again.
 * Who has asked nothing of late is not waited for. Of more than a thousand uses, the last to be answered are remembered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exchange<in Request, out Response, out Event = never, in Message = Request> {
  /**
   * Sends a request, and waits for its answer. What is interrupted before it was sent is not sent; after that, its answer is
   * dropped when it comes. Fails with a `FrameError` of reason `Unencodable`, and sends nothing, for what can't be a frame.
   */
  readonly ask: (request: Request) => Effect.Effect<Response, FrameError | TransportError>
  /** Sends what has no answer, after what was asked before. Completes as a write to the transport does. */
  readonly tell: (message: Message) => Effect.Effect<void, FrameError | TransportError>
  /**
   * What nobody has asked for. It has one consumer at a time, and fails for another with a `TransportError` of reason `Busy`;
   * a later one goes on where an earlier one stopped.
   *
   * As much as `eventBuffer` is kept for it. When that is full, the peer is pushed back, as long as no call waits for its
   * answer; if one does, the connection is lost with a `FrameError` of reason `Unread`. Leave `events` unread only where none
   * come. When the peer ends the connection, those that a consumer has not come back for within a second are lost.
   */
  readonly events: Stream.Stream<Event, FrameError | TransportError>
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** How many bytes of events are kept. An event counts for 512 more. Default 1 MiB. */
  readonly eventBuffer?: number | undefined
}

/**
 * @since 0.1.0
 * @category options
 */
export interface InOrderOptions<out IsEvent> extends Options {
  /** Whether a message is an event, rather than the next answer. A type guard tells the types of both apart. Default: none is. */
  readonly isEvent?: IsEvent
}

/**
 * What a type guard takes for an event; what a function takes that is none.
 *
 * @since 0.1.0
 * @category models
 */
export type EventOf<In, IsEvent> = IsEvent extends Guard<In, infer Event> ? Event : In

/**
 * What a type guard for events takes for an answer; what a function takes that is none.
 *
 * @since 0.1.0
 * @category models
 */
export type AnswerOf<In, IsEvent> = IsEvent extends Guard<In, infer Event> ? Exclude<In, Event> : In

/**
 * An exchange in which the first answer is that of the first request. A message that answers nothing, and is no event, loses
 * the connection with a `FrameError` of reason `Unasked`: from there on no answer can be told from the next.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ClientService, type Endpoint, Exchange, Framing, type Transport } from "effect-client-service"
 *
 * declare const endpoint: Endpoint.Endpoint<Transport.Transport, Error>
 *
 * const protocol = Framing.protocol(Framing.lines(), Exchange.inOrder)
 *
 * const program = Effect.gen(function* () {
 *   const service = yield* ClientService.make({
 *     endpoint,
 *     protocol,
 *     prepare: (peer) => peer.ask("LOGIN alice")
 *   })
 *   yield* service.start
 *   return yield* service.use((peer) => peer.ask("PING"))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `eventBuffer` is not a positive integer
 */
export function inOrder<In, Out, IsEvent extends (message: In) => boolean = (message: In) => message is never>(
  framed: Framed<In, Out>,
  options?: InOrderOptions<IsEvent>
): Effect.Effect<Exchange<Out, AnswerOf<In, IsEvent>, EventOf<In, IsEvent>>, never, Scope.Scope>
export function inOrder<In, Out>(
  framed: Framed<In, Out>,
  options?: InOrderOptions<(message: In) => boolean>
): Effect.Effect<Exchange<Out, In, In>, never, Scope.Scope> {
  return start("Exchange.inOrder", framed, () => new InOrder<In, Out>(options?.isEvent), options)
}

/**
 * @since 0.1.0
 * @category options
 */
export interface ByIdOptions<in In, out Out, in Request> extends Options {
  /** Makes the message of a request, which has the id in it. */
  readonly request: (id: number, request: Request) => Out
  /** The id of the request that a message answers. A message without one is an event. */
  readonly idOf: (message: In) => number | undefined
  /**
   * The highest id, after which they begin at 1 again. Default 2,147,483,647.
   *
   * An id is not used again before its answer has come, though its caller may have left. While all are in use, `ask` fails
   * with a `FrameError` of reason `Unencodable`.
   */
  readonly maxId?: number | undefined
}

/**
 * An exchange in which each answer has the id of its request. An id that was never given away loses the connection with a
 * `FrameError` of reason `Unasked`; a second answer to one is dropped, as is that to a caller who has left.
 *
 * @example
 * ```ts
 * import { Effect, Predicate } from "effect"
 * import { Exchange, Framing } from "effect-client-service"
 *
 * const json = Framing.transform(Framing.lines(), {
 *   decode: (line): unknown => JSON.parse(line),
 *   encode: (message: object) => JSON.stringify(message)
 * })
 *
 * // The `protocol` of a service of JSON-RPC.
 * const jsonRpc = Framing.protocol(json, (framed) =>
 *   Exchange.byId(framed, {
 *     request: (id, call: { readonly method: string; readonly params: unknown }) => ({ jsonrpc: "2.0", id, ...call }),
 *     idOf: (message) =>
 *       Predicate.hasProperty(message, "id") && !Predicate.hasProperty(message, "method") ? Number(message.id) : undefined
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `eventBuffer` or `maxId` is not a positive integer
 */
export const byId = <In, Out, Request>(
  framed: Framed<In, Out>,
  options: ByIdOptions<In, Out, Request>
): Effect.Effect<Exchange<Request, In, In, Out>, never, Scope.Scope> => {
  const where = "Exchange.byId"
  const maxId = Validate.integer(where, "maxId", options.maxId ?? 2 ** 31 - 1, 1, Number.MAX_SAFE_INTEGER)
  return start(where, framed, () => new ById(options.request, options.idOf, maxId), options)
}

const start = <In, Out, Request>(
  where: string,
  framed: Framed<In, Out>,
  pairing: () => Pairing<In, Out, Request>,
  options: Options | undefined
): Effect.Effect<Exchange<Request, In, In, Out>, never, Scope.Scope> => {
  const capacity = Validate.integer(where, "eventBuffer", options?.eventBuffer ?? 1024 * 1024, 1)
  return Conversation.begin(framed[link], pairing, capacity)
}

type Guard<In, Event extends In> = (message: In) => message is Event
