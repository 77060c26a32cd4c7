import type { ConnectionOptions } from "node:tls"
import { type ChannelModel, type ConfirmChannel, connect as connectClient } from "amqplib"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import { type AmqpConnection, TypeId } from "../AmqpConnection.js"
import { AmqpError, fromChannelError, fromConnectError } from "../AmqpError.js"
import { Channels, keep, within } from "./channels.js"
import { Publisher } from "./publisher.js"

export interface Settings {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly tls: ConnectionOptions | undefined
  readonly username: string
  readonly vhost: string
  /** In seconds; 0 for none. */
  readonly heartbeat: number
  readonly connectionName: string | undefined
  readonly linger: Duration.Duration
}

/** Connects once. The Scope closes the connection. */
export const connect = (
  settings: Settings,
  password: string,
  signal: ConnectionSignal<AmqpError>
): Effect.Effect<AmqpConnection, AmqpError, Scope.Scope> =>
  Effect.gen(function* () {
    const endpoint = settings.name
    const blockings = yield* Queue.unbounded<boolean>()
    const state: State = { hasEnded: false, channels: undefined, publisher: undefined }
    const end = (error: Error | undefined): void => {
      if (state.hasEnded) return
      state.hasEnded = true
      const { code, detail } = fromConnectError(error, endpoint)
      signal.lost(new AmqpError({ reason: "ConnectionClosed", endpoint, code, detail, cause: error }))
    }
    // At once, since the client throws what nobody listens to.
    const listen = (model: ChannelModel): ChannelModel => {
      model.on("error", end)
      model.on("close", end)
      model.on("blocked", () => void blockings.unsafeOffer(true))
      model.on("unblocked", () => void blockings.unsafeOffer(false))
      return model
    }

    const { opened } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        // The client has no way to give up a connection, neither while it connects nor later.
        const socket = new AbortController()
        const opened = dial(settings, password, socket.signal).then(listen)
        opened.catch(() => {})
        return { socket, opened }
      }),
      ({ opened, socket }, exit) =>
        Effect.suspend(() => {
          const { channels } = state
          const isOpen = Exit.isSuccess(exit) && channels !== undefined && !state.hasEnded
          state.hasEnded = true
          if (!isOpen) return Effect.void
          // It would tell the server that it leaves before what waits in the channels is sent.
          return within(settings.linger, async () => {
            await channels.close()
            await (await opened).close().catch(() => {})
          })
        }).pipe(Effect.ensuring(Effect.sync(() => socket.abort())))
    )
    const model = yield* Effect.tryPromise({ try: () => opened, catch: (error) => fromConnectError(error, endpoint) })
    const channels = new Channels(model, endpoint, settings.linger)
    state.channels = channels

    const blocked = yield* SubscriptionRef.make(false)
    yield* Queue.take(blockings).pipe(
      Effect.flatMap((isBlocked) => SubscriptionRef.set(blocked, isBlocked)),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
    const publisher = yield* keep(channels, "publisher", (signal) => openPublisher(channels, state, signal.lost))
    // So that a connection that the server has closed at once is noticed, for which the client has no event yet.
    yield* Effect.mapError(publisher.whenConnected({ failAfterFailures: 1 }), (error) =>
      error instanceof AmqpError ? error : new AmqpError({ reason: "ConnectionClosed", endpoint, cause: error })
    )
    return {
      [TypeId]: TypeId,
      model,
      blocked,
      use: (f) => Effect.scoped(useChannel(channels, f)),
      publisher,
      publish: (publication, onSent) =>
        state.publisher?.publish(publication, onSent) ??
        Promise.reject(new AmqpError({ reason: "ChannelClosed", endpoint })),
      channels,
      hasEnded: () => state.hasEnded
    }
  })

interface State {
  hasEnded: boolean
  channels: Channels | undefined
  publisher: Publisher | undefined
}

const openPublisher = (
  channels: Channels,
  state: State,
  onClosed: (error: AmqpError) => void
): Effect.Effect<Publisher, AmqpError, Scope.Scope> => {
  let publisher: Publisher | undefined
  const closed = (error: AmqpError): void => {
    if (state.publisher === publisher) state.publisher = undefined
    onClosed(error)
    // Where the whole connection is lost, that tells more, and comes next.
    setImmediate(() => {
      if (!state.hasEnded) publisher?.closed(error)
    })
  }
  return Effect.map(channels.open(closed), (channel) => {
    publisher = new Publisher(channel, channels.endpoint, closed)
    state.publisher = publisher
    return publisher
  })
}

const dial = (settings: Settings, password: string, signal: AbortSignal): Promise<ChannelModel> => {
  const { connectionName, heartbeat, host, port, tls, username, vhost } = settings
  return connectClient(
    {
      protocol: tls === undefined ? "amqp" : "amqps",
      hostname: host,
      port,
      username,
      password,
      // The client unescapes it, though this is no URL.
      vhost: encodeURIComponent(vhost),
      heartbeat
    },
    {
      ...tls,
      timeout: 0,
      noDelay: true,
      clientProperties: connectionName === undefined ? {} : { connection_name: connectionName },
      ...{ signal }
    }
  )
}

const useChannel = <A>(
  channels: Channels,
  f: (channel: ConfirmChannel) => Promise<A>
): Effect.Effect<A, AmqpError, Scope.Scope> =>
  Effect.gen(function* () {
    const closed = yield* Deferred.make<never, AmqpError>()
    // Where the server closes it for something that was asked, the answer to that tells more, and comes next.
    const channel = yield* channels.open((error) => {
      setImmediate(() => Deferred.unsafeDone(closed, Effect.fail(error)))
    })
    const answer = Effect.tryPromise({
      try: () => f(channel),
      catch: (error) => fromChannelError(error, channels.endpoint)
    })
    return yield* Effect.raceFirst(answer, Deferred.await(closed))
  })
