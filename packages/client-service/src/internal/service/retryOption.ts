import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type ConnectionFailure, fullJitter, type Options, type RetryPolicy, whileError } from "../../RetryPolicy.js"
import * as Validate from "../options.js"
import { whileInput } from "./whileInput.js"

export const defaultPolicy: RetryPolicy<unknown> = fullJitter()

/**
 * The policy that the option `retryPolicy` of a function stands for. Each of its steps has a Scope of its own.
 */
export const retryPolicyOf = <E, R>(
  where: string,
  option: RetryPolicy<E, R> | Options<E, R> | undefined
): RetryPolicy<E, Exclude<R, Scope.Scope>> => {
  if (option === undefined) return defaultPolicy
  if (isPolicy(option)) return scoped(option)
  if (typeof option !== "object" || option === null || !isPolicy(option.schedule ?? defaultPolicy)) {
    return Validate.refuse(where, "retryPolicy", option, "a Schedule, or { schedule?, while?, times? }")
  }
  const { schedule = defaultPolicy, times, while: goesOn } = option
  const asking =
    goesOn === undefined ? schedule : whileError(schedule, Validate.callback(where, "retryPolicy.while", goesOn))
  if (times === undefined) return scoped(asking)
  Validate.integer(where, "retryPolicy.times", times, 0)
  // By the failures in a row, so that a service and its policy never disagree on how many there were.
  return scoped(whileInput(asking, ({ failures }) => Effect.succeed(failures <= times)))
}

const isPolicy = <E, R>(option: RetryPolicy<E, R> | Options<E, R>): option is RetryPolicy<E, R> =>
  Schedule.isSchedule(option)

const scoped = <E, R>(policy: RetryPolicy<E, R>): RetryPolicy<E, Exclude<R, Scope.Scope>> =>
  Schedule.makeWithState<unknown, ConnectionFailure<E>, unknown, Exclude<R, Scope.Scope>>(
    policy.initial,
    (now, failure, state) => Effect.scoped(policy.step(now, failure, state))
  )
