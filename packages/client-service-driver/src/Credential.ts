/**
 * What a driver logs in with.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/**
 * A password or a token; or an Effect that gives it, which runs at every attempt to connect: one that was rotated needs no
 * restart.
 *
 * @since 0.1.0
 * @category models
 */
export type Credential<R = never> = Secret | Effect.Effect<Secret, unknown, R>

/**
 * A secret that is known. As a text, it may be told by whoever prints the options.
 *
 * @since 0.1.0
 * @category models
 */
export type Secret = string | Redacted.Redacted<string>

/**
 * What is given; or an Effect that gives it, which runs at every attempt to connect, such as options of TLS whose certificate
 * is renewed.
 *
 * @since 0.1.0
 * @category models
 */
export type Fresh<A, R = never> = A | Effect.Effect<A, unknown, R>

/**
 * Gives what is given, or what the Effect gives now. A driver makes an error of its own of what that fails with, as of a
 * credential.
 *
 * @since 0.1.0
 * @category getters
 */
export const obtain = <A, E, R>(given: Fresh<A, R>, onFailure: OnFailure<E>): Effect.Effect<A, E, R> =>
  isFresh(given) ? asked(given, onFailure, messageOf) : Effect.succeed(given)

/**
 * Makes an error of what an Effect has failed with, and of what may be told of that. Of an error it is the message, and of one
 * that is about a secret the name alone, if it has one of its own: the message of a value that can't be decoded, say, shows it.
 *
 * @since 0.1.0
 * @category models
 */
export type OnFailure<E> = (cause: unknown, detail: string | undefined) => E

/**
 * Tells whether something is had at every attempt.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFresh = <A, R>(given: Fresh<A, R>): given is Effect.Effect<A, unknown, R> => Effect.isEffect(given)

/**
 * Gives the text of a credential. What an Effect fails with is the source's and not the server's, so a driver makes an error
 * of its own of it, after which the next attempt asks again. It is the cause of that error even if it is a defect.
 *
 * @since 0.1.0
 * @category getters
 */
export const reveal = <E, R>(credential: Credential<R>, onFailure: OnFailure<E>): Effect.Effect<string, E, R> =>
  isAskedAgain(credential)
    ? Effect.map(asked(Effect.filterOrFail(credential, isSecret, noSecret), onFailure, nameOf), textOf)
    : Effect.succeed(textOf(credential))

/**
 * Tells whether a credential is asked for at every attempt. One that the server has refused is final only if it is not.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAskedAgain = <R>(credential: Credential<R>): credential is Effect.Effect<Secret, unknown, R> =>
  Effect.isEffect(credential)

/**
 * The text of a secret.
 *
 * @since 0.1.0
 * @category getters
 */
export const textOf = (secret: Secret): string => (Redacted.isRedacted(secret) ? Redacted.value(secret) : secret)

/**
 * The name of an error, if it has one of its own.
 *
 * @since 0.1.0
 * @category getters
 */
export const nameOf = (error: unknown): string | undefined =>
  error instanceof Error && error.name !== "Error" ? error.name : undefined

// A defect is the source's failure like any other, and so is a source that interrupts itself: whom another interrupts does not
// come here.
const asked = <A, E, R>(
  source: Effect.Effect<A, unknown, R>,
  onFailure: OnFailure<E>,
  detailOf: (cause: unknown) => string | undefined
): Effect.Effect<A, E, R> =>
  Effect.catchAllCause(source, (failed) => {
    const cause = Cause.squash(failed)
    return Effect.fail(onFailure(cause, detailOf(cause)))
  })

const messageOf = (cause: unknown): string | undefined => (cause instanceof Error ? cause.message : undefined)

const noSecret = () => new TypeError("a credential must be a text or a Redacted")

const isSecret = (value: unknown): value is Secret => typeof value === "string" || Redacted.isRedacted(value)
