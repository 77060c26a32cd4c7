/**
 * A list of all services of a program, with what each is doing and has done.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import type { ClientService } from "./ClientService.js"
import type { ConnectionState } from "./ConnectionState.js"
import type { Model } from "./internal/service/table.js"
import { errorTypeOf } from "./internal/telemetry/errorType.js"
import type { Instruments } from "./internal/telemetry/instruments.js"
import { type Listable, type Place, Registry } from "./internal/telemetry/registry.js"
import { Tally } from "./internal/telemetry/tally.js"
import { Changes } from "./internal/time/changes.js"
import { wait } from "./internal/time/wait.js"

/**
 * A state that a service entered: plain data, without its protocol and the words of its errors.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly state: ConnectionState<unknown>["_tag"]
  /** When, in milliseconds by the clock. */
  readonly at: number
  /** The number of the attempt since `start`. */
  readonly attempt: number
  /** Failures in a row. */
  readonly failures: number
  /** The number of the connection. */
  readonly generation: number
  /** When the next attempt begins, while the service waits for that. */
  readonly retryAt?: number | undefined
  /** The class of the last failure, such as `ConnectTimeout`, if there is one. */
  readonly cause?: string | undefined
}

/**
 * A service of the list, as it is at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed {
  readonly name: string
  readonly service: Pick<ClientService<unknown>, "name" | "start" | "stop" | "reconnect">
  /** Whether it has had a connection since it was made. */
  readonly hasConnected: boolean
  /** The state that it is in. */
  readonly current: Transition
  /** The last 100 states, the present one too, the oldest first. */
  readonly transitions: ReadonlyArray<Transition>
  /** Counts of when they are asked for. They change all the time, and `all` does not tell of that. */
  readonly counts: Effect.Effect<Counts>
  /** Checks the connection, as `check` of the service does; of one that has a heartbeat. */
  readonly check: Option.Option<Effect.Effect<boolean>>
}

/**
 * What goes on at a service at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  /** How many wait for a connection, or, such as a stream that uses one, for the next. */
  readonly waiters: number
  /** How many uses are under way. */
  readonly uses: number
  /** How many times a stream has begun anew on another connection since the service was made, and may have missed something. */
  readonly gaps: number
}

/**
 * The services of a program that are neither gone nor left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientServices {
  /**
   * All services, in the order in which they were made; and all at every change. A consumer that is slow misses those that
   * have passed meanwhile, and finds them among the transitions.
   */
  readonly all: Subscribable.Subscribable<ReadonlyArray<Listed>>
}

/**
 * @since 0.1.0
 * @category tags
 */
export const ClientServices: Context.Tag<ClientServices, ClientServices> =
  /* @__PURE__ */ Context.GenericTag<ClientServices>("effect-client-service/ClientServices")

/**
 * All services, of the list in the context.
 *
 * @since 0.1.0
 * @category accessors
 */
export const all: Subscribable.Subscribable<
  ReadonlyArray<Listed>,
  never,
  ClientServices
> = /* @__PURE__ */ Subscribable.unwrap(/* @__PURE__ */ Effect.map(ClientServices, ({ all }) => all))

/**
 * How services are listed.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Which services are listed: all that are made under the Layer but those in an `exclude`, or only those in an `include`. Default `"all"`. */
  readonly list?: "all" | "included" | undefined
  /**
   * What is told of the cause of a failure. The words of errors may hold a secret, such as a URL with credentials: with
   * `Cause.pretty` they are told to whoever sees the list. Default: the class of the error, and its `reason`, if that is a
   * word.
   */
  readonly describe?: ((cause: Cause.Cause<unknown>) => string) | undefined
}

/**
 * Has every service listed that is made under it.
 *
 * @example
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { ClientService, ClientServices, Endpoint } from "effect-client-service"
 *
 * declare const endpoint: Endpoint.Endpoint<string>
 *
 * class Greeter extends ClientService.Tag("app/Greeter")<Greeter, string>() {}
 *
 * const AppLive = Greeter.layer({ endpoint }).pipe(Layer.provideMerge(ClientServices.layer))
 *
 * const watch = Stream.runForEach(ClientServices.all.changes, (services) =>
 *   Console.log(services.map(({ current, name }) => `${name}: ${current.state}`).join())
 * )
 *
 * const program = Effect.provide(watch, AppLive)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ClientServices> = /* @__PURE__ */ Layer.suspend(() => layerWith({}))

/**
 * The same, with options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = ({ describe = errorTypeOf, list = "all" }: Options): Layer.Layer<ClientServices> =>
  Layer.effectContext(
    Effect.map(Effect.clock, (clock) => {
      const { place, services } = make(clock, orClass(describe))
      return Context.make(ClientServices, services).pipe(Context.add(Registry, { place, isWanted: list === "all" }))
    })
  )

/**
 * Has the services left out that a Layer, or an Effect, makes.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { ClientService, ClientServices, Endpoint } from "effect-client-service"
 *
 * declare const endpoint: Endpoint.Endpoint<string>
 *
 * class Cache extends ClientService.Tag("app/Cache")<Cache, string>() {}
 * class Orders extends ClientService.Tag("app/Orders")<Orders, string>() {}
 *
 * // A program that can do without its cache is ready without it.
 * const AppLive = Layer.merge(ClientServices.exclude(Cache.layer({ endpoint })), Orders.layer({ endpoint })).pipe(
 *   Layer.provideMerge(ClientServices.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category mapping
 */
export function exclude<A, E, R>(self: Layer.Layer<A, E, R>): Layer.Layer<A, E, R>
export function exclude<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
export function exclude<A, E, R>(self: Layer.Layer<A, E, R> | Effect.Effect<A, E, R>) {
  return listed(self, false)
}

/**
 * Has the services listed that a Layer, or an Effect, makes, if there is a list in its context.
 *
 * @since 0.1.0
 * @category mapping
 */
export function include<A, E, R>(self: Layer.Layer<A, E, R>): Layer.Layer<A, E, R>
export function include<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
export function include<A, E, R>(self: Layer.Layer<A, E, R> | Effect.Effect<A, E, R>) {
  return listed(self, true)
}

const listed = <A, E, R>(self: Layer.Layer<A, E, R> | Effect.Effect<A, E, R>, isWanted: boolean) => {
  const registry = Effect.map(Registry, (registry) => registry && { ...registry, isWanted })
  return Effect.isEffect(self)
    ? Effect.provideServiceEffect(self, Registry, registry)
    : Layer.provide(self, Layer.effect(Registry, registry))
}

// What it throws is no reason for a service to stand still.
const orClass =
  (describe: (cause: Cause.Cause<unknown>) => string) =>
  (cause: Cause.Cause<unknown>): string => {
    try {
      return describe(cause)
    } catch {
      return errorTypeOf(cause)
    }
  }

/** How many states of a service are kept. */
const most = 100

const make = (
  clock: Clock.Clock,
  describe: (cause: Cause.Cause<unknown>) => string
): { readonly services: ClientServices; readonly place: (instruments: Instruments | undefined) => Place } => {
  const entries = new Set<Entry>()
  const changes = new Changes()
  let version = 0
  const changed = () => {
    version += 1
    changes.notify()
  }
  const get = () => [...entries].flatMap((entry) => entry.listed ?? [])
  const changedSince = (seen: number): Effect.Effect<void> =>
    wait((resume) => {
      if (version !== seen) {
        resume(Effect.void)
        return undefined
      }
      const unsubscribe = changes.subscribe(() => {
        unsubscribe()
        resume(Effect.void)
      })
      return { cancel: Effect.sync(unsubscribe) }
    })
  const all = Subscribable.make({
    get: Effect.sync(get),
    changes: Stream.unfoldEffect(-1, (seen) =>
      Effect.map(changedSince(seen), () => Option.some([get(), version] as const))
    )
  })
  return {
    services: { all },
    place: (measured) => {
      const instruments = new Tally(measured)
      return {
        instruments,
        register: (service) => {
          const entry = new Entry(service, instruments)
          entries.add(entry)
          return (model) => {
            if (model === undefined) entries.delete(entry)
            else entry.enter(transitionOf(model, clock.unsafeCurrentTimeMillis(), describe))
            changed()
          }
        }
      }
    }
  }
}

const transitionOf = (
  { attempt, failures, generation, state }: Model<unknown, unknown>,
  at: number,
  describe: (cause: Cause.Cause<unknown>) => string
): Transition => {
  const cause = causeOf(state)
  return {
    state: state._tag,
    at,
    attempt,
    failures,
    generation,
    ...(state._tag === "Waiting" ? { retryAt: state.retryAt } : {}),
    ...(cause === undefined ? {} : { cause: describe(cause) })
  }
}

const causeOf = (state: ConnectionState<unknown, unknown>): Cause.Cause<unknown> | undefined => {
  if (state._tag === "Connecting") return Option.getOrUndefined(state.cause)
  return state._tag === "Waiting" || state._tag === "Exhausted" ? state.cause : undefined
}

class Entry {
  readonly #service: Listable
  readonly #counts: Listed["counts"]
  readonly #check: Listed["check"]
  readonly #transitions: Array<Transition> = []
  #hasConnected = false
  /** What was given of it, until it changes. */
  #listed: Listed | undefined

  constructor(service: Listable, tally: Tally) {
    this.#service = service
    this.#counts = Effect.sync(() => ({ waiters: tally.waiters, uses: tally.uses, gaps: tally.gaps }))
    // Refused at once by a service that has no heartbeat.
    this.#check = Option.liftThrowable(() => service.check())()
  }

  enter(transition: Transition): void {
    const last = this.#transitions[this.#transitions.length - 1]
    // Such as that fewer uses are under way.
    if (
      last?.state === transition.state &&
      last.attempt === transition.attempt &&
      last.generation === transition.generation
    )
      return
    this.#hasConnected ||= transition.state === "Connected"
    this.#transitions.push(transition)
    if (this.#transitions.length > most) this.#transitions.shift()
    this.#listed = undefined
  }

  get listed(): Listed | undefined {
    const current = this.#transitions[this.#transitions.length - 1]
    if (current === undefined) return undefined
    this.#listed ??= {
      name: this.#service.name,
      service: this.#service,
      hasConnected: this.#hasConnected,
      current,
      transitions: [...this.#transitions],
      counts: this.#counts,
      check: this.#check
    }
    return this.#listed
  }
}
