import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

type Response = RpcMessage.FromServerEncoded

/** Who gets responses. */
export interface Recipient {
  readonly respond: (response: Response) => Effect.Effect<void>
  /** What it has not taken yet. */
  delivery: Delivery | undefined
}

/** A response, and the call that it is for. */
export interface Parcel {
  readonly call: Recipient
  readonly response: Response
}

/** What is under way to a caller that takes its time. */
export interface Delivery {
  readonly fiber: Fiber.RuntimeFiber<void>
  /** The responses that have come since. */
  readonly backlog: Array<Response>
}

/** Runs an Effect in a fiber that begins at once. */
export type Fork = (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>

/**
 * Hands responses to their callers, each after those before it.
 *
 * A caller that takes its time holds up neither the responses to others nor the answer to a ping: whichever fiber it holds
 * up is its own from then on, and another one goes on. Most take what they get at once, and then one fiber is enough for
 * all.
 */
export const deliver = (parcels: ReadonlyArray<Parcel>, fork: Fork): void => {
  let next = 0
  const take = (): Parcel | undefined => {
    for (;;) {
      const parcel = parcels[next]
      next += 1
      const backlog = parcel?.call.delivery?.backlog
      if (parcel === undefined || backlog === undefined) return parcel
      backlog.push(parcel.response)
    }
  }
  for (let parcel = take(); parcel !== undefined; parcel = take()) {
    const round: Round = { parcel, backlog: undefined }
    const fiber = fork(runRound(round, take))
    if (fiber.unsafePoll() !== null) return
    const { call } = round.parcel
    round.backlog = []
    call.delivery = { fiber, backlog: round.backlog }
    fiber.addObserver(() => {
      call.delivery = undefined
    })
  }
}

/** Has a caller take a response. A schema of its own may throw, which ends its call alone, unless that has ended by then. */
const handOver = (call: Recipient, response: Response): Effect.Effect<void> => {
  try {
    return call.respond(response)
  } catch (defect) {
    if (response._tag !== "Chunk") return Effect.die(defect)
    const { requestId } = response
    return call.respond({ _tag: "Exit", requestId, exit: { _tag: "Failure", cause: { _tag: "Die", defect } } })
  }
}

interface Round {
  parcel: Parcel
  /** That of the call which has held the round up. */
  backlog: Array<Response> | undefined
}

const runRound = (round: Round, take: () => Parcel | undefined): Effect.Effect<void> => {
  let response: Response | undefined = round.parcel.response
  const following = (): Response | undefined => {
    if (round.backlog !== undefined) return round.backlog.shift()
    const parcel = take()
    if (parcel !== undefined) round.parcel = parcel
    return parcel?.response
  }
  return Effect.whileLoop({
    while: () => response !== undefined,
    // One that can't be decoded has ended the call with that, and nobody else needs to know.
    body: () => (response === undefined ? Effect.void : Effect.exit(handOver(round.parcel.call, response))),
    step: () => {
      response = following()
    }
  })
}
