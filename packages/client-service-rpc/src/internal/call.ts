import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { TransportError } from "effect-client-service/Transport"
import { CallInterrupted, Overloaded, TooLarge } from "../RpcConnectionError.js"
import type { Delivery, Recipient } from "./deliveries.js"
import type { Outgoing } from "./outbox.js"

/** Hands a response to the clients of the one who called. */
export type Respond = (response: RpcMessage.FromServerEncoded) => Effect.Effect<void>

/** The request can't be encoded, which is a defect of the caller's. */
export class NotEncodable {
  constructor(readonly defect: unknown) {}
}

/** Has a caller go on. */
export type Resume = (effect: Effect.Effect<void, CallError>) => void

/** What a call fails with. */
export type CallError = TransportError | CallInterrupted | Overloaded | TooLarge | NotEncodable

const callErrorOf = (error: unknown): CallError =>
  error instanceof TransportError ||
  error instanceof CallInterrupted ||
  error instanceof Overloaded ||
  error instanceof TooLarge ||
  error instanceof NotEncodable
    ? error
    : new NotEncodable(error)

/** The connection of a call. */
interface Line {
  readonly add: (call: Call) => boolean
  readonly remove: (call: Call) => boolean
  readonly request: (call: Call) => Outgoing | undefined
  readonly tell: (call: Call, tag: "Ack" | "Interrupt") => void
  readonly recall: (message: Outgoing) => boolean
}

/**
 * One request on one connection.
 */
export class Call implements Recipient {
  /** What it is known by on its connection. */
  id = ""
  /** Whether the server has answered, and sends no more. */
  isAnswered = false
  /** Whether elements of its stream have come. */
  hasElements = false
  /** What its caller has not taken yet. */
  delivery: Delivery | undefined
  #sent: Outgoing | undefined
  #defect: { readonly value: unknown } | undefined

  constructor(
    private readonly exchange: Line,
    readonly request: RpcMessage.RequestEncoded,
    readonly respond: Respond,
    private readonly resume: Resume,
    /** The fiber that has made it, or that sends it. */
    readonly caller: Fiber.RuntimeFiber<unknown, unknown>,
    /** Whether it is one of what an attempt does, or a use of the connection. */
    readonly isPartOfUse: boolean
  ) {}

  /** Sends the request. Its caller goes on when the server has answered it. */
  begin(): void {
    try {
      if (this.exchange.add(this)) this.#sent = this.exchange.request(this)
    } catch (defect) {
      this.exchange.remove(this)
      this.resume(Effect.fail(callErrorOf(defect)))
    }
  }

  /** Waits until the caller has taken what came so far. */
  get delivered(): Effect.Effect<void> {
    const fiber = this.delivery?.fiber
    return fiber === undefined
      ? Effect.void
      : Effect.onInterrupt(Fiber.await(fiber), () => Effect.sync(() => fiber.unsafeInterruptAsFork(FiberId.none)))
  }

  /** Tells the server that the caller has taken what it sent. */
  get acknowledge(): Effect.Effect<void> {
    return Effect.sync(() => void this.exchange.tell(this, "Ack"))
  }

  /** Gives the call up, and tells the server of that if it knows of it and has not answered yet. */
  cancel(): void {
    this.delivery?.fiber.unsafeInterruptAsFork(FiberId.none)
    if (this.exchange.remove(this)) this.retract()
  }

  /** Takes the request back, or tells the server that nobody waits for its answer any more. */
  retract(): void {
    if (this.#sent === undefined || this.exchange.recall(this.#sent)) return
    this.exchange.tell(this, "Interrupt")
  }

  /** The server has answered. */
  answered(): void {
    this.isAnswered = true
    this.resume(Effect.suspend(() => Effect.zipRight(this.delivered, this.#taken)))
  }

  // The client knows nothing of a call any more whose answer it could not take: it hears of that as of a failure to send.
  get #taken(): Effect.Effect<void> {
    return Effect.suspend(() => (this.#defect === undefined ? Effect.void : Effect.die(this.#defect.value)))
  }

  get isBroken(): boolean {
    return this.#defect !== undefined
  }

  /** The client has thrown as it took a response, so that it takes no more. */
  threw(defect: unknown): void {
    this.#defect = { value: defect }
    if (this.exchange.remove(this)) {
      this.retract()
      this.resume(this.#taken)
    }
  }

  /** The connection has closed, or the server has stopped. */
  failed(error: TransportError | CallInterrupted): void {
    this.resume(error)
  }

  /** The connection is lost. Tells whether nothing of the call was sent. */
  lost(): boolean {
    this.exchange.remove(this)
    return this.#sent !== undefined && this.exchange.recall(this.#sent)
  }
}
