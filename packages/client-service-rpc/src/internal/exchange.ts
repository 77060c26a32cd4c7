import type * as RpcMessage from "@effect/rpc/RpcMessage"
import type * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Transport, TransportError } from "effect-client-service/Transport"
import { MalformedResponse, type RpcConnectionError } from "../RpcConnectionError.js"

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
  readonly #scope: Scope.Scope
  readonly #signal: Signal
  #closed: TransportError | undefined

  constructor(
    serialization: RpcSerialization.RpcSerialization["Type"],
    transport: Transport,
    scope: Scope.Scope,
    signal: Signal
  ) {
    this.#parser = serialization.unsafeMake()
    this.#transport = transport
    this.#scope = scope
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

  /** Ends everything that waits for the peer. */
  close(): void {
    const closed = new TransportError({ reason: "Closed" })
    this.#closed = closed
    for (const call of this.#calls.values()) call.fail(closed)
    for (const ping of this.#pings) Deferred.unsafeDone(ping, closed)
    this.#calls.clear()
  }

  /** Sends a message. If that fails, the connection is lost, which tells everyone who waits. */
  send(message: RpcMessage.FromClientEncoded): Effect.Effect<void> {
    return Effect.suspend(() => {
      const encoded = this.#parser.encode(message)
      if (encoded === undefined) return Effect.void
      return Effect.catchAll(this.#transport.write(encoded), (error) => Effect.sync(() => this.#lost(error)))
    })
  }

  get ping(): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => {
      if (this.#closed !== undefined) return this.#closed
      const pong = Deferred.unsafeMake<void, TransportError>(FiberId.none)
      this.#pings.add(pong)
      return Effect.zipRight(this.send(ping), Deferred.await(pong)).pipe(
        Effect.ensuring(Effect.sync(() => this.#pings.delete(pong)))
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

  /** Sends a message without waiting for that, if the connection is still there. */
  sendSoon(message: RpcMessage.FromClientEncoded): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkIn(Effect.interruptible(this.send(message)), this.#scope))
  }

  // A transport that is closed tells no more than that the connection is lost.
  #lost(error: RpcConnectionError): void {
    if (error._tag === "TransportError" && error.reason === "Closed") this.#signal.lost()
    else this.#signal.lost(error)
  }

  #receive(bytes: Uint8Array): Effect.Effect<void, MalformedResponse> {
    return Effect.flatMap(this.#decode(bytes), (messages) =>
      Effect.forEach(
        messages,
        (message) => (isResponse(message) ? this.#route(message) : new MalformedResponse({ reason: "Unexpected" })),
        { discard: true }
      )
    )
  }

  #decode(bytes: Uint8Array): Effect.Effect<ReadonlyArray<unknown>, MalformedResponse> {
    return Effect.try({
      try: () => this.#parser.decode(this.#text?.decode(bytes, { stream: true }) ?? bytes),
      catch: (error) =>
        new MalformedResponse({
          reason: Predicate.isTagged(error, "RpcSerializationError") ? "TooLarge" : "Undecodable"
        })
    })
  }

  #route(response: Response): Effect.Effect<void> {
    switch (response._tag) {
      case "Chunk":
        return this.#calls.get(response.requestId)?.deliver(response) ?? Effect.void
      case "Exit": {
        const call = this.#calls.get(response.requestId)
        this.#calls.delete(response.requestId)
        call?.answer()
        return call?.deliver(response) ?? Effect.void
      }
      case "Defect": {
        // It ends every call of the connection, and a client needs no more than one of it.
        const calls = [...this.#calls.values()]
        const callers = new Map(calls.map((call) => [call.respond, call]))
        this.#calls.clear()
        for (const call of calls) call.answer()
        return Effect.forEach(callers.values(), (call) => call.deliver(response), { discard: true })
      }
      case "Pong":
        for (const ping of this.#pings) Deferred.unsafeDone(ping, Effect.void)
        return Effect.void
    }
  }
}

/**
 * One request on one connection.
 */
export class Call {
  isAnswered = false
  readonly #answer = Deferred.unsafeMake<void, TransportError>(FiberId.none)
  #undelivered: Array<RpcMessage.FromServerEncoded> = []
  #delivery: Fiber.RuntimeFiber<void> | undefined

  constructor(
    private readonly exchange: Exchange,
    readonly request: RpcMessage.RequestEncoded,
    readonly respond: Respond
  ) {}

  /** Sends the request, and waits until the server has answered it. Fails if the connection closes before that. */
  get answered(): Effect.Effect<void, TransportError> {
    return Effect.zipRight(this.exchange.send(this.request), Deferred.await(this.#answer))
  }

  /** Waits until the caller has taken what came so far. */
  get delivered(): Effect.Effect<void> {
    return Effect.suspend(() => (this.#delivery === undefined ? Effect.void : Fiber.await(this.#delivery)))
  }

  /** Tells the server that the caller has taken what it sent. */
  get acknowledge(): Effect.Effect<void> {
    return this.exchange.send({ _tag: "Ack", requestId: this.request.id })
  }

  /** Gives the call up, and tells the server of that if it has not answered yet. */
  get cancel(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#delivery?.unsafeInterruptAsFork(FiberId.none)
      if (!this.exchange.end(this)) return Effect.void
      return this.exchange.sendSoon({ _tag: "Interrupt", requestId: this.request.id })
    })
  }

  /** The server has answered, and sends no more. */
  answer(): void {
    this.isAnswered = true
    Deferred.unsafeDone(this.#answer, Effect.void)
  }

  fail(error: TransportError): void {
    Deferred.unsafeDone(this.#answer, error)
  }

  /** The caller is done. */
  end(): void {
    this.exchange.end(this)
  }

  /**
   * Hands a response to the caller, after those before it. A caller that takes its time holds up neither the responses to
   * others nor the answer to a ping, so it is not waited for.
   */
  deliver(response: RpcMessage.FromServerEncoded): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#undelivered.push(response)
      if (this.#delivery !== undefined) return Effect.void
      return Effect.map(Effect.forkDaemon(this.#deliverAll), (delivery) => {
        this.#delivery = delivery
        delivery.addObserver(() => {
          this.#delivery = undefined
        })
      })
    })
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
