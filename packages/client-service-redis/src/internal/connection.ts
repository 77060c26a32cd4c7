import { createClient } from "@redis/client"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import { type Client, type RedisConnection, TypeId } from "../RedisConnection.js"
import { fromClientError, RedisError } from "../RedisError.js"
import { Calls } from "./calls.js"
import { Subscriptions } from "./subscriptions.js"

type ClientOptions = NonNullable<Parameters<typeof createClient>[0]>

export interface Settings {
  readonly name: string
  readonly socket: NonNullable<ClientOptions["socket"]>
  readonly username: string | undefined
  readonly database: number | undefined
  readonly clientName: string | undefined
  readonly linger: Duration.Duration
  readonly maxInFlight: number
}

/** Connects a client of its own, which the Scope closes. */
export const connect = (
  settings: Settings,
  password: string | undefined,
  signal: ConnectionSignal<RedisError>
): Effect.Effect<RedisConnection, RedisError, Scope.Scope> =>
  Effect.gen(function* () {
    const errorOf = (error: unknown) => fromClientError(error, settings.name)
    const state = { hasConnected: false, hasEnded: false }
    const end = (error: RedisError): void => {
      state.hasEnded = true
      signal.lost(error)
    }

    const { client } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const made = makeClient(settings, password)
        // A client that has no listener of this throws.
        made.client.on("error", (error) => end(errorOf(error)))
        made.client.on("end", () => end(new RedisError({ reason: "Lost", endpoint: settings.name })))
        return made
      }),
      ({ client, destroy }, exit) =>
        Effect.suspend(() => {
          // Of a server that has gone silent, there is nothing to wait for.
          const isOpen = Exit.isSuccess(exit) && state.hasConnected && !state.hasEnded
          state.hasEnded = true
          return isOpen ? Effect.ignore(Effect.timeout(closed(client), settings.linger)) : Effect.void
        }).pipe(Effect.ensuring(Effect.sync(destroy)))
    )
    yield* Effect.tryPromise({ try: () => client.connect(), catch: errorOf })
    state.hasConnected = true
    // A server that loads its data greets too.
    yield* Effect.tryPromise({ try: () => client.ping(), catch: errorOf })
    const calls = new Calls(client, settings.maxInFlight, errorOf)
    return {
      [TypeId]: TypeId,
      client,
      run: calls.run,
      calls,
      subscriptions: new Subscriptions(client),
      errorOf
    }
  })

const makeClient = (settings: Settings, password: string | undefined) => {
  // Destroying a client leaves a socket that is not connected yet as it is; aborting it does not.
  const socket = new AbortController()
  const client: Client = createClient({
    socket: {
      ...settings.socket,
      reconnectStrategy: false,
      // The limit is the service's, which ends the attempt.
      connectTimeout: 0,
      // The types of node:tls don't know it, though node:tls does.
      ...{ signal: socket.signal }
    },
    RESP: 3,
    disableOfflineQueue: true,
    maintNotifications: "disabled",
    // Without this, every command that is not sent within 5 seconds fails, by a timer of its own.
    commandOptions: { timeout: 0 },
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(password === undefined ? {} : { password }),
    ...(settings.database === undefined ? {} : { database: settings.database }),
    ...(settings.clientName === undefined ? {} : { name: settings.clientName })
  })
  const destroy = (): void => {
    socket.abort()
    client.destroy()
  }
  return { client, destroy }
}

// A finalizer is not interruptible, nor would this be in it.
const closed = (client: Client): Effect.Effect<void> =>
  Effect.interruptible(
    Effect.async<void>((resume) => {
      client.close().then(
        () => resume(Effect.void),
        () => resume(Effect.void)
      )
    })
  )
