import type * as RpcMessage from "@effect/rpc/RpcMessage"
import type * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Predicate from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scheduler from "effect/Scheduler"
import * as Incoming from "effect-client-service/Incoming"
import { type Transport, TransportError } from "effect-client-service/Transport"
import { CallInterrupted, MalformedResponse, type RpcConnectionError, TooLarge } from "../RpcConnectionError.js"
import type { Call } from "./call.js"
import { deliver, type Fork, lookAhead, type Parcel } from "./deliveries.js"
import { type Limits, Outbox, type Outgoing } from "./outbox.js"
import { Room } from "./room.js"

const ping: RpcMessage.Ping = { _tag: "Ping" }

// The transport tells of its end in so many steps, and how it was. Should it not, nobody else would.
const aWhile = Effect.repeatN(Effect.yieldNow(), 64)

// For as long as an endpoint waits for who reads. Then the sockets are looked at once more.
const aSecond = Effect.zipRight(Effect.sleep(1000), Effect.sleep(0))

/** A response that a server sends. */
type Response = Exclude<RpcMessage.FromServerEncoded, RpcMessage.ClientProtocolError>

interface Signal {
  readonly lost: (error?: RpcConnectionError) => void
}

/**
 * The messages of one connection: requests, and what answers them.
 */
export class Exchange {
  /** By the ids that they have on this connection. */
  readonly #calls = new Map<string, Call>()
  /** And who waits for them. */
  readonly #pings = new Map<Deferred.Deferred<void, TransportError>, Fiber.RuntimeFiber<unknown, unknown>>()
  readonly #parser: RpcSerialization.Parser
  readonly #room: Room | undefined
  readonly #text: TextDecoder | undefined
  readonly #transport: Transport
  readonly #outbox: Outbox
  readonly #fork: Fork
  readonly #scheduler: Scheduler.Scheduler
  readonly #signal: Signal
  readonly #answers: Incoming.Answers
  /** Whether nothing more is read. */
  #isReadOut = false
  /** Whether a write has failed, so that nothing more is sent. */
  #isBroken = false
  #closed: TransportError | undefined
  readonly #end = Deferred.unsafeMake<void>(FiberId.none)
  #ping: Outgoing | undefined
  #lastOwnId = 0
  /** The ids of calls that were given up after they were sent. */
  readonly #left = new Set<string>()

  constructor(
    serialization: RpcSerialization.RpcSerialization["Type"],
    transport: Transport,
    runtime: Runtime.Runtime<never>,
    signal: Signal,
    answers: Incoming.Answers
  ) {
    this.#parser = serialization.unsafeMake()
    this.#room = serialization.includesFraming ? new Room(serialization) : undefined
    this.#transport = transport
    this.#fork = Runtime.runFork(Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption))
    this.#scheduler = FiberRefs.getOrDefault(runtime.fiberRefs, FiberRef.currentScheduler)
    this.#outbox = new Outbox(transport, this.#scheduler, serialization.includesFraming)
    this.#signal = signal
    this.#answers = answers
    // A serialization of text takes each chunk for whole characters, which the peer may have been cut off in.
    this.#text = typeof this.#parser.encode(ping) === "string" ? new TextDecoder() : undefined
  }

  /** Takes what the peer sends, until that ends. */
  get receive(): Effect.Effect<void> {
    const readOut = Effect.sync(() => {
      this.#isReadOut = true
    })
    const atEnd = Effect.zipRight(readOut, this.#answers.acted)
    return Incoming.receive(this.#transport.incoming, (bytes) => this.#receive(bytes), { atEnd }).pipe(
      Effect.catchAllDefect((cause) => new TransportError({ reason: "Read", cause })),
      Effect.matchEffect({
        onSuccess: () =>
          Effect.zipRight(
            aWhile,
            Effect.sync(() => this.#signal.lost())
          ),
        onFailure: (error) => Effect.sync(() => this.#lost(error))
      })
    )
  }

  /** Sends what is there to send. If that fails, the connection is lost, which tells everyone who waits. */
  get sending(): Effect.Effect<void> {
    return this.#outbox.sending.pipe(
      Effect.catchAllDefect((cause) => new TransportError({ reason: "Write", cause })),
      Effect.catchAll((error) => {
        this.#isBroken = true
        // What the peer has sent can still be read, and the reader tells when it has come to the end of that.
        return Effect.map(aSecond, () => this.#isReadOut || this.#lost(error))
      })
    )
  }

  /** Who waits for an answer and has none of it yet. */
  *asking(): Iterable<Fiber.RuntimeFiber<unknown, unknown>> {
    for (const { caller, hasElements } of this.#calls.values()) if (!hasElements) yield caller
    yield* this.#pings.values()
  }

  /** Ends everything that waits for the peer. */
  close(): void {
    const closed = new TransportError({ reason: "Closed" })
    this.#closed = closed
    for (const call of this.#calls.values()) call.failed(closed)
    for (const ping of this.#pings.keys()) Deferred.unsafeDone(ping, closed)
    this.#calls.clear()
    Deferred.unsafeDone(this.#end, Exit.void)
  }

  /** Waits until the connection is closed. */
  get ended(): Effect.Effect<void> {
    return Deferred.await(this.#end)
  }

  /** Whether nothing more is sent, though answers may still come. */
  get isBroken(): boolean {
    return this.#isBroken && this.#closed === undefined
  }

  /** When the peer last gave a sign of life, if the transport tells: it sent something, or read what held up a ping. */
  get lastReceived(): number | undefined {
    const { lastReceived } = this.#transport
    const { lastTaken } = this.#outbox
    return lastReceived === undefined || lastTaken === undefined
      ? (lastReceived ?? lastTaken)
      : Math.max(lastReceived, lastTaken)
  }

  get ping(): Effect.Effect<void, TransportError> {
    const asked = (restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>) =>
      Effect.withFiberRuntime<void, TransportError>((fiber) => {
        if (this.#closed !== undefined) return this.#closed
        // One that waits to be sent is enough for all who ask meanwhile.
        if (this.#ping === undefined || !this.#outbox.isWaiting(this.#ping)) this.#ping = this.#send(ping)
        const pong = Deferred.unsafeMake<void, TransportError>(FiberId.none)
        this.#pings.set(pong, fiber)
        this.#answers.asks(fiber)
        return Effect.ensuring(
          restore(Deferred.await(pong)),
          Effect.sync(() => this.#pings.delete(pong))
        )
      })
    // Who is interrupted before it waits would be kept.
    return Effect.uninterruptibleMask(asked)
  }

  /** Takes a call for under way, unless the connection has closed, which it is told. */
  add(call: Call): boolean {
    if (this.#closed === undefined) {
      call.id = this.#idFor(call.request.id)
      this.#calls.set(call.id, call)
      this.#answers.asks(call.caller)
    } else call.failed(this.#closed)
    return this.#closed === undefined
  }

  /** Takes a call for ended, and tells whether it was under way. */
  remove(call: Call): boolean {
    return this.#calls.get(call.id) === call && this.#calls.delete(call.id)
  }

  /** Sends the request of a call, and does not wait for that. Throws if it can't be encoded, or be sent. */
  request(call: Call): Outgoing | undefined {
    const { id, request } = call
    return this.#send(id === request.id ? request : { ...request, id })
  }

  /** Tells the server of a call that is under way. */
  tell(call: Call, tag: "Ack" | "Interrupt"): void {
    if (tag === "Interrupt" && this.#left.size < mostLeft) this.#left.add(call.id)
    this.#send({ _tag: tag, requestId: call.id })
  }

  /** Takes a message back, and tells whether it had not been sent yet. */
  recall(message: Outgoing): boolean {
    return this.#outbox.recall(message)
  }

  /** Whether no call more may wait to be sent. */
  isFull(limits: Limits): boolean {
    return this.#outbox.isFull(limits)
  }

  #send(message: RpcMessage.FromClientEncoded): Outgoing | undefined {
    const encoded = this.#parser.encode(message)
    if (encoded === undefined) return undefined
    if (this.#room?.isFor(encoded) === false) throw new TooLarge()
    const outgoing = { encoded }
    this.#outbox.post(outgoing)
    return outgoing
  }

  // A client's own, unless a serialization would lose it, such as JSON-RPC, whose ids are numbers and not 0, or a client of
  // the same connection has one under way that is alike, or has given it up. Then, it is one that no client has.
  //
  // The answer to a call that was given up may be on its way, and another one to the `Interrupt` follow it, so its id is not
  // used again. Once those are too many to keep, each call has one of the connection's own, which never repeat.
  #idFor(id: string): string {
    let own = this.#left.size < mostLeft ? id : none
    while (!isNumber.test(own) || this.#calls.has(own) || this.#left.has(own)) own = String(--this.#lastOwnId)
    return own
  }

  // A transport that is closed tells no more than that the connection is lost.
  #lost(error: RpcConnectionError): void {
    if (error._tag === "TransportError" && error.reason === "Closed") this.#signal.lost()
    else this.#signal.lost(error)
  }

  #receive(bytes: Uint8Array): Effect.Effect<void, MalformedResponse> | undefined {
    const messages = this.#decode(bytes)
    if (messages instanceof MalformedResponse) return messages
    const parcels: Array<Parcel> = []
    const interrupted: Array<Call> = []
    // In one step, so that who is interrupted has what came before that.
    const handOut = () => {
      deliver(parcels, this.#fork)
      for (const call of interrupted) call.failed(new CallInterrupted())
    }
    for (const message of messages) {
      if (!isResponse(message)) {
        handOut()
        return new MalformedResponse({ reason: "Unexpected" })
      }
      this.#route(message, parcels, interrupted)
    }
    // The client interrupts what still sends a call that it has the answer of, which costs more than to let that end first. A
    // stream may take its time, and goes on to be watched over.
    if (parcels.length > 0 && parcels.every(({ response }) => response._tag === "Exit")) {
      for (const parcel of parcels) lookAhead(parcel)
      this.#scheduler.scheduleTask(handOut, 0)
    } else handOut()
    return undefined
  }

  #decode(bytes: Uint8Array): ReadonlyArray<unknown> | MalformedResponse {
    try {
      return this.#parser.decode(this.#text?.decode(bytes, { stream: true }) ?? bytes)
    } catch (error) {
      return new MalformedResponse({
        reason: Predicate.isTagged(error, "RpcSerializationError") ? "TooLarge" : "Undecodable"
      })
    }
  }

  #route(response: Response, parcels: Array<Parcel>, interrupted: Array<Call>): void {
    switch (response._tag) {
      case "Chunk": {
        const call = this.#calls.get(response.requestId)
        if (call === undefined) return
        call.hasElements = true
        this.#answered(call)
        parcels.push({ call, response: asOwn(call, response) })
        return
      }
      case "Exit": {
        const call = this.#calls.get(response.requestId)
        if (call === undefined) {
          const { exit, requestId } = response
          if (noIds.has(requestId) && exit._tag === "Failure") this.#defect(defectOf(exit.cause), parcels)
          return
        }
        this.#calls.delete(response.requestId)
        this.#answered(call)
        if (isInterruption(response.exit)) {
          interrupted.push(call)
          return
        }
        call.answered()
        parcels.push({ call, response: asOwn(call, response) })
        return
      }
      case "Defect":
        this.#defect(response, parcels)
        return
      case "Pong":
        for (const [ping, fiber] of this.#pings) {
          this.#answers.answered(fiber)
          Deferred.unsafeDone(ping, Effect.void)
        }
    }
  }

  // It ends every call of the connection, and a client needs no more than one of it. The server goes on with all but one of
  // them, for nobody.
  #defect(response: RpcMessage.ResponseDefectEncoded, parcels: Array<Parcel>): void {
    const calls = [...this.#calls.values()]
    const callers = new Map(calls.map((call) => [call.respond, call]))
    this.#calls.clear()
    for (const call of calls) {
      this.#answered(call)
      call.answered()
      call.retract()
    }
    for (const call of callers.values()) parcels.push({ call, response })
  }

  // One that is made through the service is what uses the connection itself, and has all that came for it.
  #answered(call: Call): void {
    if (call.isPartOfUse) this.#answers.answered(call.caller)
  }
}

/** How many ids of calls that were given up are kept. */
const mostLeft = 100

/** No id. */
const none = ""

/** What JSON-RPC has as the id of a request that its server could not read, so that it does not tell which one it was. */
const noIds: ReadonlySet<string> = new Set(["null", "undefined"])

const defectOf = (cause: unknown): RpcMessage.ResponseDefectEncoded => ({
  _tag: "Defect",
  defect: Predicate.hasProperty(cause, "defect") ? cause.defect : cause
})

const isNumber = /^-?[1-9]\d{0,14}$/

/** A response by the id that the caller knows. */
const asOwn = <R extends Response & { readonly requestId: string }>({ id, request }: Call, response: R): R =>
  id === request.id ? response : { ...response, requestId: request.id }

const isResponse = (message: unknown): message is Response => {
  if (!Predicate.hasProperty(message, "_tag")) return false
  switch (message._tag) {
    case "Chunk":
      return isAnswer(message) && Predicate.hasProperty(message, "values") && isNonEmpty(message.values)
    case "Exit":
      return isAnswer(message) && Predicate.hasProperty(message, "exit") && Predicate.isObject(message.exit)
    case "Defect":
      return Predicate.hasProperty(message, "defect")
    case "Pong":
      return true
    default:
      return false
  }
}

// The caller would be interrupted, though nobody has asked for that.
const isInterruption = (exit: unknown): boolean => {
  const tags = tagsOf(Predicate.hasProperty(exit, "cause") ? exit.cause : undefined)
  return tags.has("Interrupt") && !tags.has("Fail") && !tags.has("Die")
}

const tagsOf = (cause: unknown): ReadonlySet<unknown> => {
  const tags = new Set<unknown>()
  const causes = [cause]
  for (let cause = causes.pop(); cause !== undefined; cause = causes.pop()) {
    if (Predicate.hasProperty(cause, "_tag")) tags.add(cause._tag)
    if (Predicate.hasProperty(cause, "left")) causes.push(cause.left)
    if (Predicate.hasProperty(cause, "right")) causes.push(cause.right)
  }
  return tags
}

const isAnswer = (message: object): boolean =>
  Predicate.hasProperty(message, "requestId") && typeof message.requestId === "string"

const isNonEmpty = (values: unknown): boolean => Array.isArray(values) && values.length > 0
