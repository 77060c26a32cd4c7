import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import * as ClientService from "effect-client-service/ClientService"
import * as Delays from "effect-client-service-driver/Delays"
import type { AmqpConnection } from "../AmqpConnection.js"
import { AmqpError, type ConnectFailure, type Reason } from "../AmqpError.js"
import type { AmqpReply } from "../AmqpMessage.js"
import { forever } from "./forever.js"
import type { Kept } from "./kept.js"
import { isRefusalOfMessage, type Publication } from "./publisher.js"
import type { Publishing } from "./publishing.js"

type Service = ClientService.ClientService<AmqpConnection, ConnectFailure>

type NotConnected = ClientService.NotConnected<ConnectFailure>

type End = ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>

export interface Send {
  readonly message: (
    publication: Publication,
    resend: boolean,
    maxWait: Duration.Duration
  ) => Effect.Effect<void, AmqpError | NotConnected | End>
  readonly call: (
    publication: Publication,
    resend: boolean,
    maxWait: Duration.Duration
  ) => Effect.Effect<AmqpReply, AmqpError | NotConnected | End>
}

/** How a message is sent on a connection, and what that gives. */
interface Way<A> {
  readonly publishing: (connection: AmqpConnection) => Publishing
  readonly channel: (connection: AmqpConnection) => Kept
  readonly begin: (
    connection: AmqpConnection,
    publication: Publication,
    onSent: () => void,
    resume: (effect: Effect.Effect<A, AmqpError>) => void
  ) => () => void
  /** On a channel of its own. */
  readonly alone: (connection: AmqpConnection, publication: Publication) => Effect.Effect<A, AmqpError>
  /** What it is if its channel is lost after it was sent. */
  readonly uncertain: "Unconfirmed" | "Unanswered"
}

const messages: Way<void> = {
  publishing: ({ publishing }) => publishing,
  channel: ({ publisher }) => publisher,
  begin: ({ publishing }, publication, onSent, resume) =>
    publishing.begin(publication, onSent, (error) => resume(error === undefined ? Effect.void : Effect.fail(error))),
  alone: (connection, publication) => connection.publishAlone(publication),
  uncertain: "Unconfirmed"
}

const calls: Way<AmqpReply> = {
  publishing: ({ caller }) => caller.publishing,
  channel: ({ calls }) => calls,
  begin: ({ caller, calls }, publication, onSent, resume) => {
    calls.start()
    return caller.begin(publication, onSent, (answer) =>
      resume(answer instanceof AmqpError ? Effect.fail(answer) : Effect.succeed(answer))
    )
  },
  alone: (connection, publication) => connection.callAlone(publication),
  uncertain: "Unanswered"
}

export const makeSend = (service: Service): Send => {
  // Each has a channel of its own, of which a connection has but so many.
  const few = Effect.unsafeMakeSemaphore(8)
  return {
    message: (publication, resend, maxWait) => send({ service, few, way: messages, resend, maxWait }, publication),
    call: (publication, resend, maxWait) => send({ service, few, way: calls, resend, maxWait }, publication)
  }
}

interface Sending<A> {
  readonly service: Service
  readonly few: Effect.Semaphore
  readonly way: Way<A>
  readonly resend: boolean
  readonly maxWait: Duration.Duration
}

const send = <A>(sending: Sending<A>, publication: Publication): Effect.Effect<A, AmqpError | NotConnected | End> => {
  const { maxWait } = sending
  if (!Duration.isFinite(maxWait)) return Effect.suspend(() => new Message(sending, publication, undefined).send)
  return Effect.zipWith(Effect.clock, Effect.runtime<never>(), (clock, runtime) => {
    const until = Delays.monotonic(clock) + Duration.toMillis(maxWait)
    const deadline = { left: () => Math.max(0, until - Delays.monotonic(clock)), fork: Runtime.runFork(runtime) }
    return new Message(sending, publication, deadline)
  }).pipe(Effect.flatMap((message) => message.send))
}

/** How long a message may wait until it is sent. */
interface Deadline {
  readonly left: () => number
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.RuntimeFiber<A>
}

/** A message that its caller waits for. */
class Message<A> {
  readonly #sending: Sending<A>
  readonly #publication: Publication
  readonly #deadline: Deadline | undefined
  #isSent = false

  constructor(sending: Sending<A>, publication: Publication, deadline: Deadline | undefined) {
    this.#sending = sending
    this.#publication = publication
    this.#deadline = deadline
  }

  /** Sends it as soon as there is a connection that takes it, and waits for what comes of it. */
  get send(): Effect.Effect<A, AmqpError | NotConnected | End> {
    const { maxWait, service } = this.#sending
    const options = this.#deadline && { maxWait: this.#deadline.left() }
    return service.useAsync<A, AmqpError | NotConnected>(this.#begin, options).pipe(
      Effect.catchAll((error) => {
        // What was left of the time is not what the caller has given.
        if (error._tag === "NotConnected") return new ClientService.NotConnected({ ...error, maxWait })
        if (!isLoss(error)) return error
        return this.#isSent ? this.#lost(error) : this.send
      })
    )
  }

  readonly #begin = (
    connection: AmqpConnection,
    resume: (effect: Effect.Effect<A, AmqpError | NotConnected>) => void
  ): (() => void) => {
    let isSettled = false
    let waiting: Fiber.RuntimeFiber<void> | undefined
    const settled = (): void => {
      isSettled = true
      waiting?.unsafeInterruptAsFork(FiberId.none)
    }
    const onSent = (): void => {
      this.#isSent = true
      settled()
    }
    const takeBack = this.#sending.way.begin(connection, this.#publication, onSent, (effect) => {
      settled()
      resume(effect)
    })
    const late = (): void => {
      if (isSettled) return
      takeBack()
      resume(this.#notSent(connection))
    }
    if (!isSettled && this.#deadline !== undefined) {
      const left = this.#deadline.left()
      if (left === 0) late()
      else waiting = this.#deadline.fork(Effect.zipRight(Effect.interruptible(Effect.sleep(left)), Effect.sync(late)))
    }
    return () => {
      settled()
      takeBack()
    }
  }

  #notSent(connection: AmqpConnection): Effect.Effect<never, AmqpError | NotConnected> {
    const { maxWait, service, way } = this.#sending
    const { name, state } = way.channel(connection)
    if (way.publishing(connection).isOpen) return new AmqpError({ reason: "Blocked", endpoint: service.name })
    return new ClientService.NotConnected({ service: name, state: state(), maxWait })
  }

  // The server may have it.
  #lost(error: AmqpError | ClientService.ConnectionLost): Effect.Effect<A, AmqpError | NotConnected | End> {
    const { few, resend, service, way } = this.#sending
    const detail = error._tag === "AmqpError" ? error.detail : error.message
    const uncertain = new AmqpError({ reason: way.uncertain, endpoint: service.name, detail, cause: error })
    if (!resend) return uncertain
    const again = Effect.catchTag(send(this.#sending, this.#publication), "NotConnected", () => uncertain)
    if (error._tag === "ConnectionLost" || !isRefusalOfMessage(error)) return again
    // It may be what the server has refused. Alone, it takes no others with it.
    const alone = service.use((connection) =>
      Effect.catchAll(way.alone(connection, this.#publication), (error) =>
        connection.hasEnded() ? forever : Effect.fail(error)
      )
    )
    return Effect.catchAll(few.withPermits(1)(alone), (error) => {
      if (error._tag === "ConnectionLost") return again
      return error._tag === "AmqpError" && untold.includes(error.reason) ? uncertain : error
    })
  }
}

// Of a channel that there was none for, or that was lost with the message.
const untold: ReadonlyArray<Reason> = ["ChannelClosed", "NoChannel"]

const isLoss = (
  error: AmqpError | ClientService.ConnectionLost | NotConnected | End
): error is AmqpError | ClientService.ConnectionLost =>
  error._tag === "ConnectionLost" || (error._tag === "AmqpError" && error.reason === "ChannelClosed")
