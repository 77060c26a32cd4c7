import type * as RpcMessage from "@effect/rpc/RpcMessage"
import type * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Predicate from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as Stream from "effect/Stream"
import { type Transport, TransportError } from "effect-client-service/Transport"
import { MalformedResponse, type RpcConnectionError } from "../RpcConnectionError.js"
import { Outbox, type Outgoing } from "./outbox.js"

const ping: RpcMessage.Ping = { _tag: "Ping" }

/** Hands a response to the clients of the one who called. */
export type Respond = (response: RpcMessage.FromServerEncoded) => Effect.Effect<void>

/** A response that a server sends. */
type Response = Exclude<RpcMessage.FromServerEncoded, RpcMessage.ClientProtocolError>

interface Signal {
  readonly lost: (error?: RpcConnectionError) => void
}

/**
 * The messages of one connection: requests, and what answers them.
 */
export class Exchange {
  readonly #calls = new Map<string, Call>()
  readonly #pings = new Set<Deferred.Deferred<void, TransportError>>()
  readonly #parser: RpcSerialization.Parser
  readonly #text: TextDecoder | undefined
  readonly #transport: Transport
  readonly #outbox: Outbox
  readonly #runtime: Runtime.Runtime<never>
  readonly #signal: Signal
  #closed: TransportError | undefined

  constructor(
    serialization: RpcSerialization.RpcSerialization["Type"],
    transport: Transport,
    runtime: Runtime.Runtime<never>,
    signal: Signal
  ) {
    this.#parser = serialization.unsafeMake()
    this.#transport = transport
    this.#outbox = new Outbox(transport, serialization.includesFraming)
    this.#runtime = Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption)
    this.#signal = signal
    // A serialization of text takes each chunk for whole characters, which the peer may have been cut off in.
    this.#text = typeof this.#parser.encode(ping) === "string" ? new TextDecoder() : undefined
  }

  /** Takes what the peer sends, until that ends. */
  get receive(): Effect.Effect<void> {
    return Stream.runForEach(this.#transport.incoming, (bytes) => this.#receive(bytes)).pipe(
      Effect.catchAllDefect((cause) => new TransportError({ reason: "Read", cause })),
      Effect.match({ onSuccess: () => this.#signal.lost(), onFailure: (error) => this.#lost(error) })
    )
  }

  /** Sends what is there to send. If that fails, the connection is lost, which tells everyone who waits. */
  get sending(): Effect.Effect<void> {
    return Effect.catchAll(this.#outbox.sending, (error) => Effect.sync(() => this.#lost(error)))
  }

  /** Ends everything that waits for the peer. */
  close(): void {
    const closed = new TransportError({ reason: "Closed" })
    this.#closed = closed
    for (const call of this.#calls.values()) call.fail(closed)
    for (const ping of this.#pings) Deferred.unsafeDone(ping, closed)
    this.#calls.clear()
  }

  get ping(): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => {
      if (this.#closed !== undefined) return this.#closed
      const pong = Deferred.unsafeMake<void, TransportError>(FiberId.none)
      this.#pings.add(pong)
      this.send(ping)
      return Effect.ensuring(
        Deferred.await(pong),
        Effect.sync(() => this.#pings.delete(pong))
      )
    })
  }

  /** Begins a call, whose request is sent once it is run. */
  begin(request: RpcMessage.RequestEncoded, respond: Respond): Call {
    const call = new Call(this, request, respond)
    if (this.#closed === undefined) this.#calls.set(request.id, call)
    else call.fail(this.#closed)
    return call
  }

  /** Takes a call for ended, and tells whether it was under way. */
  end(call: Call): boolean {
    return this.#calls.get(call.request.id) === call && this.#calls.delete(call.request.id)
  }

  /** Sends a message, and does not wait for that. Throws if it can't be encoded. */
  send(message: RpcMessage.FromClientEncoded): Outgoing | undefined {
    const encoded = this.#parser.encode(message)
    if (encoded === undefined) return undefined
    const outgoing = { encoded }
    this.#outbox.post(outgoing)
    return outgoing
  }

  /** Takes a message back, and tells whether it had not been sent yet. */
  recall(message: Outgoing): boolean {
    return this.#outbox.recall(message)
  }

  /** Runs an Effect in a fiber that begins at once. */
  fork(effect: Effect.Effect<void>): Fiber.RuntimeFiber<void> {
    return Runtime.runFork(this.#runtime, effect)
  }

  // A transport that is closed tells no more than that the connection is lost.
  #lost(error: RpcConnectionError): void {
    if (error._tag === "TransportError" && error.reason === "Closed") this.#signal.lost()
    else this.#signal.lost(error)
  }

  #receive(bytes: Uint8Array): Effect.Effect<void, MalformedResponse> {
    return Effect.suspend(() => {
      const messages = this.#decode(bytes)
      if (messages instanceof MalformedResponse) return messages
      for (const message of messages) {
        if (!isResponse(message)) return new MalformedResponse({ reason: "Unexpected" })
        this.#route(message)
      }
      return Effect.void
    })
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

  #route(response: Response): void {
    switch (response._tag) {
      case "Chunk":
        this.#calls.get(response.requestId)?.deliver(response)
        return
      case "Exit": {
        const call = this.#calls.get(response.requestId)
        this.#calls.delete(response.requestId)
        call?.answer(response)
        return
      }
      case "Defect": {
        // It ends every call of the connection, and a client needs no more than one of it.
        const calls = [...this.#calls.values()]
        const callers = new Map(calls.map((call) => [call.respond, call]))
        this.#calls.clear()
        for (const call of calls) call.answer(callers.get(call.respond) === call ? response : undefined)
        return
      }
      case "Pong":
        for (const ping of this.#pings) Deferred.unsafeDone(ping, Effect.void)
    }
  }
}

/**
 * One request on one connection.
 */
export class Call {
  #isAnswered = false
  #outcome: Effect.Effect<void, TransportError> | undefined
  #resume: ((outcome: Effect.Effect<void, TransportError>) => void) | undefined
  #undelivered: Array<RpcMessage.FromServerEncoded> = []
  #delivery: Fiber.RuntimeFiber<void> | undefined
  #sent: Outgoing | undefined

  constructor(
    private readonly exchange: Exchange,
    readonly request: RpcMessage.RequestEncoded,
    readonly respond: Respond
  ) {}

  /** Whether the server has answered, and sends no more. */
  get isAnswered(): boolean {
    return this.#isAnswered
  }

  /** Sends the request, and waits until the server has answered it. Fails if the connection closes before that. */
  readonly answered: Effect.Effect<void, TransportError> = Effect.async((resume) => {
    if (this.#outcome !== undefined) return resume(this.#outcome)
    this.#resume = resume
    try {
      this.#sent = this.exchange.send(this.request)
    } catch (error) {
      resume(Effect.die(error))
    }
  })

  /** Whether the caller has taken what came so far. */
  get isDelivered(): boolean {
    return this.#delivery === undefined
  }

  /** Waits until the caller has taken what came so far. */
  get delivered(): Effect.Effect<void> {
    return Effect.suspend(() => (this.#delivery === undefined ? Effect.void : Fiber.await(this.#delivery)))
  }

  /** Tells the server that the caller has taken what it sent. */
  get acknowledge(): Effect.Effect<void> {
    return Effect.sync(() => void this.exchange.send({ _tag: "Ack", requestId: this.request.id }))
  }

  /** Gives the call up, and tells the server of that if it knows of it and has not answered yet. */
  cancel(): void {
    this.#delivery?.unsafeInterruptAsFork(FiberId.none)
    if (!this.exchange.end(this) || this.#sent === undefined || this.exchange.recall(this.#sent)) return
    this.exchange.send({ _tag: "Interrupt", requestId: this.request.id })
  }

  /** The server has answered. */
  answer(response: RpcMessage.FromServerEncoded | undefined): void {
    this.#isAnswered = true
    this.#settle(Effect.void)
    if (response !== undefined) this.deliver(response)
  }

  fail(error: TransportError): void {
    this.#settle(error)
  }

  /** The caller is done. */
  end(): void {
    this.exchange.end(this)
  }

  /**
   * Hands a response to the caller, after those before it. A caller that takes its time holds up neither the responses to
   * others nor the answer to a ping, so it is not waited for.
   */
  deliver(response: RpcMessage.FromServerEncoded): void {
    this.#undelivered.push(response)
    if (this.#delivery !== undefined) return
    const delivery = this.exchange.fork(this.#deliverAll)
    // Most callers take it at once.
    if (delivery.unsafePoll() !== null) return
    this.#delivery = delivery
    delivery.addObserver(() => {
      this.#delivery = undefined
    })
  }

  #settle(outcome: Effect.Effect<void, TransportError>): void {
    this.#outcome ??= outcome
    this.#resume?.(this.#outcome)
  }

  get #deliverAll(): Effect.Effect<void> {
    return Effect.whileLoop({
      while: () => this.#undelivered.length > 0,
      body: () => {
        const responses = this.#undelivered
        this.#undelivered = []
        // One that can't be decoded has ended the call with that, and nobody else needs to know.
        return Effect.forEach(responses, (response) => Effect.exit(this.respond(response)), { discard: true })
      },
      step: () => {}
    })
  }
}

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

const isAnswer = (message: object): boolean =>
  Predicate.hasProperty(message, "requestId") && typeof message.requestId === "string"

const isNonEmpty = (values: unknown): boolean => Array.isArray(values) && values.length > 0
