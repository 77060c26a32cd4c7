import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

type Response = RpcMessage.FromServerEncoded

/** Who gets responses. */
export interface Recipient {
  readonly respond: (response: Response) => Effect.Effect<void>
  /** What it has not taken yet. */
  delivery: Delivery | undefined
  /** Whether it has thrown, so that it takes no more. */
  readonly isBroken: boolean
  /** It could not be handed a response, as a schema of its own throws. */
  readonly threw: (defect: unknown) => void
}

/** A response, and the call that it is for. */
export interface Parcel {
  readonly call: Recipient
  readonly response: Response
  /** What hands it over, if that is known already. */
  handingOver?: Effect.Effect<void>
}

/** What is under way to a caller that takes its time. */
export interface Delivery {
  readonly fiber: Fiber.RuntimeFiber<void>
  /** What has come since. */
  readonly backlog: Array<Parcel>
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
      backlog.push(parcel)
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

/** Finds out whether a response can be handed over, before its caller is told that it has come, if it is the next for that one. */
export const lookAhead = (parcel: Parcel): void => {
  if (parcel.call.delivery === undefined) parcel.handingOver = handOver(parcel)
}

/**
 * Has a caller take a response. A schema of its own may throw, which ends its call alone: with what comes after that, a stream
 * would have a gap, or end as if it were whole. A defect is one of all calls of its client.
 */
const handOver = ({ call, response }: Parcel): Effect.Effect<void> => {
  if (call.isBroken && response._tag !== "Defect") return Effect.void
  try {
    return call.respond(response)
  } catch (defect) {
    call.threw(defect)
    return Effect.void
  }
}

interface Round {
  parcel: Parcel
  /** That of the call which has held the round up. */
  backlog: Array<Parcel> | undefined
}

const runRound = (round: Round, take: () => Parcel | undefined): Effect.Effect<void> => {
  let hasNext = true
  return Effect.whileLoop({
    while: () => hasNext,
    // One that can't be decoded has ended the call with that, and nobody else needs to know.
    body: () => Effect.exit(round.parcel.handingOver ?? handOver(round.parcel)),
    step: () => {
      const next = round.backlog === undefined ? take() : round.backlog.shift()
      if (next === undefined) hasNext = false
      else round.parcel = next
    }
  })
}
