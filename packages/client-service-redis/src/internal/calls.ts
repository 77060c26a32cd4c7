import type { RedisClientType } from "@redis/client"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ConnectionLost } from "effect-client-service/ConnectionError"
import { RedisError } from "../RedisError.js"
import { Call, type WhenRoom } from "./load.js"
import { OwnClientLost } from "./ownClients.js"
import { withAllOptions } from "./unsent.js"

/** What a call asks a client for. What it asks another for, it has counted by itself. */
export type Ask<A> = (client: RedisClientType, call: Call) => Promise<A>

export type Resume<A> = (exit: Exit.Exit<A, RedisError | ConnectionLost>) => void

/** How much may be without its answer at a time, and how many calls may wait until less is. */
export interface Limits {
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
  readonly maxWaiting: number
}

/**
 * The calls on one connection, of which so many may be without their answer, of so many bytes. The others wait for a place, in
 * turn, and not too many of them: what they are about to send is not made before they have one.
 *
 * A call begins in the very step in which its caller asks for it if there is a place, so that the client sends all that is
 * asked for in one turn of the event loop in one write.
 */
export class Calls {
  readonly #template: RedisClientType
  readonly #errorOf: (error: unknown) => RedisError
  readonly #waiting = new Set<() => void>()
  /** What calls that have a place wait to go on with, until there is room for more bytes. */
  readonly #steps = new Set<() => void>()
  readonly #limits: Limits
  #places: number
  #bytes = 0
  readonly #name: string
  #isAdmitting = false

  constructor(client: RedisClientType, limits: Limits, errorOf: (error: unknown) => RedisError, name: string) {
    this.#limits = limits
    this.#name = name
    this.#template = withAllOptions(client)
    this.#places = limits.maxInFlight
    this.#errorOf = errorOf
  }

  /** How many callers may wait. */
  get maxWaiting(): number {
    return this.#limits.maxWaiting
  }

  /** Begins a call, and gives what takes back as much of it as was not sent yet. */
  begin<A>(f: Ask<A>, resume: Resume<A>): () => void {
    if (this.#hasRoom()) {
      this.#places -= 1
      return this.#call(f, resume)
    }
    if (this.#waiting.size >= this.#limits.maxWaiting) {
      resume(Exit.fail(new RedisError({ reason: "Overloaded", endpoint: this.#name, detail: "maxWaiting calls wait" })))
      return () => {}
    }
    const begin = () => {
      takeBack = this.#call(f, resume)
    }
    let takeBack = () => {
      this.#waiting.delete(begin)
    }
    this.#waiting.add(begin)
    return () => takeBack()
  }

  /** Waits for the answer of a call. */
  readonly run = <A>(f: Ask<A>): Effect.Effect<A, RedisError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Deferred.make<A, RedisError>(), (answer) => {
        const takeBack = this.begin(f, (exit) => Deferred.unsafeDone(answer, Exit.mapError(exit, this.#asRedisError)))
        return Effect.onInterrupt(restore(Deferred.await(answer)), () => Effect.sync(takeBack))
      })
    )

  readonly #asRedisError = (error: RedisError | ConnectionLost): RedisError =>
    error._tag === "RedisError" ? error : new RedisError({ reason: "Lost", endpoint: this.#name, cause: error.cause })

  readonly #onBytes = (bytes: number): void => {
    this.#bytes += bytes
  }

  readonly #whenRoom: WhenRoom = (go) => {
    this.#steps.add(go)
    this.#admit()
    return () => this.#steps.delete(go)
  }

  // How much a call is to send is known once it has begun, so the last one may be of any size.
  #hasRoom(): boolean {
    return this.#places > 0 && this.#bytes < this.#limits.maxInFlightBytes
  }

  #failureOf(error: unknown): RedisError | ConnectionLost {
    if (!(error instanceof OwnClientLost)) return this.#errorOf(error)
    return new ConnectionLost({ service: this.#name, cause: this.#errorOf(error.cause) })
  }

  // A command that was sent can't be taken back, so its place is free only when it is answered, not when its caller leaves.
  #call<A>(f: Ask<A>, resume: Resume<A>): () => void {
    const unsent = new Call(this.#onBytes, this.#whenRoom)
    const failed = (error: unknown) => {
      this.#free(unsent.bytes)
      resume(Exit.fail(this.#failureOf(error)))
    }
    try {
      f(this.#template.withCommandOptions({ timeout: 0, abortSignal: unsent }), unsent).then((value) => {
        this.#free(unsent.bytes)
        resume(Exit.succeed(value))
      }, failed)
    } catch (error) {
      failed(error)
    }
    return () => unsent.abort()
  }

  // Not within itself, when all who wait have functions that throw.
  #free(bytes: number): void {
    this.#places += 1
    this.#bytes -= bytes
    this.#admit()
  }

  // Those that have a place come first.
  #admit(): void {
    if (this.#isAdmitting || (this.#waiting.size === 0 && this.#steps.size === 0)) return
    this.#isAdmitting = true
    for (const go of this.#steps) {
      if (this.#bytes >= this.#limits.maxInFlightBytes) break
      this.#steps.delete(go)
      go()
    }
    for (const begin of this.#waiting) {
      if (!this.#hasRoom()) break
      this.#places -= 1
      this.#waiting.delete(begin)
      begin()
    }
    this.#isAdmitting = false
  }
}
