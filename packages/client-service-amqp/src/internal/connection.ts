import { readFile } from "node:fs/promises"
import { Duplex } from "node:stream"
import type { ConnectionOptions } from "node:tls"
import { type ChannelModel, type ConfirmChannel, connect as connectClient, credentials } from "amqplib"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ConnectionSignal } from "effect-client-service/Endpoint"
import * as Race from "effect-client-service/Race"
import { type AmqpConnection, TypeId } from "../AmqpConnection.js"
import { AmqpError, fromChannelError, fromConnectError } from "../AmqpError.js"
import type { AmqpReply } from "../AmqpMessage.js"
import { tellMethod } from "./blame.js"
import { Caller } from "./caller.js"
import { Channels, isChannelLimit } from "./channels.js"
import { Gate } from "./gate.js"
import { Handshake } from "./handshake.js"
import { joinWrites } from "./joinWrites.js"
import { keep } from "./kept.js"
import { type Publication, Publisher } from "./publisher.js"
import { Publishing } from "./publishing.js"
import type { Secret, Settings } from "./settings.js"

/** Connects once. The Scope closes the connection. */
export const connect = (
  settings: Settings,
  secret: Effect.Effect<Secret, AmqpError>,
  tlsOptions: Effect.Effect<ConnectionOptions, AmqpError>,
  signal: ConnectionSignal<AmqpError>
): Effect.Effect<AmqpConnection, AmqpError, Scope.Scope> =>
  Effect.gen(function* () {
    const endpoint = settings.name
    const first = yield* secret
    const tls = yield* tlsOf(settings, tlsOptions)
    const blockings = yield* Queue.unbounded<boolean>()
    const state: State = { hasEnded: false, channels: undefined }
    const end = (error: Error | undefined): void => {
      if (state.hasEnded) return
      state.hasEnded = true
      const { code, detail } = fromConnectError(error, endpoint)
      const lost = new AmqpError({ reason: "ConnectionClosed", endpoint, code, detail, cause: error })
      if (isChannelLimit(lost)) state.channels?.tooMany()
      signal.lost(lost)
    }
    // At once, since the client throws what nobody listens to.
    const listen = (model: ChannelModel): Opened => {
      const socket = socketOf(model)
      if (socket !== undefined) joinWrites(socket)
      const gate = new Gate(socket)
      const close = keepOpen(model)
      const tell = tellMethod(model)
      for (const event of ["error", "close"] as const) {
        model.on(event, (error?: Error) => {
          tell(error)
          end(error)
        })
      }
      for (const event of ["blocked", "unblocked"] as const) {
        const isBlocked = event === "blocked"
        model.on(event, () => {
          gate.blocked(isBlocked)
          blockings.unsafeOffer(isBlocked)
        })
      }
      return { model, gate, close }
    }

    const handshake = new Handshake()
    const { opened } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        // The client has no way to give up a connection, neither while it connects nor later.
        const socket = new AbortController()
        const opened = dial({ ...settings, tls }, first.value, handshake, socket.signal).then(listen)
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
          return channels.close(async () => {
            const { close } = await opened
            await close().catch(() => {})
          })
        }).pipe(Effect.ensuring(Effect.sync(() => socket.abort())))
    )
    const { gate, model } = yield* inTime(
      settings,
      Effect.tryPromise({
        try: () => opened,
        catch: (error) => refused(settings, fromConnectError(error, endpoint, handshake.reply))
      })
    )
    handshake.done()
    const channels = new Channels(model, settings, yield* Effect.clock)
    state.channels = channels

    const blocked = yield* SubscriptionRef.make(false)
    yield* Queue.take(blockings).pipe(
      Effect.flatMap((isBlocked) => SubscriptionRef.set(blocked, isBlocked)),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
    yield* Effect.forkScoped(Effect.interruptible(renewals(model, endpoint, secret, first)))

    const hasEnded = () => state.hasEnded
    const limits = { endpoint, maxWaiting: settings.maxWaiting }
    const publishing = new Publishing(gate, limits)
    const publisher = yield* keep(`${endpoint} publisher`, (lost) =>
      openPublisher(channels, publishing, hasEnded, lost)
    )
    const caller = new Caller(channels, new Publishing(gate, limits))
    const calls = yield* keep(`${endpoint} calls`, (lost) => caller.open(hasEnded, lost))
    publisher.start()
    // So that a connection that the server has closed at once is noticed, for which the client has no event yet.
    yield* publisher.opened
    // What was added last is done first.
    yield* Effect.addFinalizer(() => Effect.sync(() => channels.leave()))
    return {
      [TypeId]: TypeId,
      model,
      blocked,
      use: (f) => Effect.scoped(useChannel(channels, f)),
      publisher,
      publishing,
      publishAlone: (publication) => Effect.scoped(publishAlone(channels, gate, publication)),
      callAlone: (publication) => Effect.scoped(callAlone(channels, gate, publication)),
      calls,
      caller,
      channels,
      hasEnded
    }
  })

interface State {
  hasEnded: boolean
  channels: Channels | undefined
}

interface Opened {
  readonly model: ChannelModel
  readonly gate: Gate
  /** For its owner. */
  readonly close: () => Promise<void>
}

/** Has a connection refuse to be closed by those who share it, also where a channel has it. Gives what closes it. */
const keepOpen = (model: ChannelModel): (() => Promise<void>) => {
  const { connection }: { readonly connection: object } = model
  const close: unknown = Reflect.get(connection, "close")
  const refuse = (callback?: (error: Error) => void): void => {
    const error = new Error("The connection is shared, and not for one caller to close")
    if (callback === undefined) throw error
    callback(error)
  }
  Reflect.set(connection, "close", refuse)
  return () =>
    new Promise((resolve) => {
      // It has no answer if the connection is lost meanwhile.
      if (typeof close === "function") close.call(connection, () => resolve())
    })
}

const socketOf = ({ connection }: ChannelModel): Duplex | undefined =>
  "stream" in connection && connection.stream instanceof Duplex ? connection.stream : undefined

const tlsOf = (
  { name, tls, tlsFiles }: Settings,
  options: Effect.Effect<ConnectionOptions, AmqpError>
): Effect.Effect<ConnectionOptions | undefined, AmqpError> => {
  if (tls === undefined) return Effect.succeed(undefined)
  const read = (path: string | undefined) =>
    path === undefined
      ? Effect.succeed(undefined)
      : Effect.tryPromise({
          try: () => readFile(path),
          catch: (cause) => {
            const detail = cause instanceof Error ? cause.message : String(cause)
            return new AmqpError({ reason: "Credentials", endpoint: name, detail, cause })
          }
        })
  return Effect.map(
    Effect.all([read(tlsFiles.ca), read(tlsFiles.cert), read(tlsFiles.key), options]),
    ([ca, cert, key, given]) => ({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...tls,
      ...given
    })
  )
}

const refused = ({ isAskedAgain }: Settings, error: AmqpError): AmqpError => {
  if (!isAskedAgain) return error
  const { cause, code, detail, endpoint, reason } = error
  return new AmqpError({ reason, endpoint, code, detail, cause, isAskedAgain })
}

const inTime = <A>(
  { connectTimeout, name }: Settings,
  opened: Effect.Effect<A, AmqpError>
): Effect.Effect<A, AmqpError> =>
  Duration.isFinite(connectTimeout)
    ? Race.firstOf(
        opened,
        Effect.zipRight(
          Effect.interruptible(Effect.sleep(connectTimeout)),
          new AmqpError({
            reason: "Unreachable",
            endpoint: name,
            code: "ETIMEDOUT",
            detail: `not within ${Duration.format(connectTimeout)}`
          })
        )
      )
    : opened

/** Gives the server a new password before the one that it has expires. */
const renewals = (
  model: ChannelModel,
  endpoint: string,
  secret: Effect.Effect<Secret, AmqpError>,
  first: Secret
): Effect.Effect<void> =>
  Effect.gen(function* () {
    let current = first
    while (Duration.isFinite(current.expiresIn)) {
      yield* Effect.sleep(Duration.times(current.expiresIn, 0.75))
      // What is left of the time is for a source that can't be reached now.
      current = yield* secret.pipe(
        Effect.tapError((error) => Effect.logWarning(`${endpoint}: no new password`, error)),
        Effect.retry(Schedule.union(Schedule.exponential("500 millis"), Schedule.spaced("10 seconds"))),
        Effect.orDie
      )
      const { value } = current
      // Not that of a connection that is lost, which has no answer.
      yield* Effect.promise(() => model.updateSecret(Buffer.from(value), "the password expires").catch(() => {}))
    }
  })

const openPublisher = (
  channels: Channels,
  publishing: Publishing,
  hasEnded: () => boolean,
  lost: (error: AmqpError) => void
): Effect.Effect<void, AmqpError, Scope.Scope> => {
  let publisher: Publisher | undefined
  const closed = (error: AmqpError): void => {
    if (publisher !== undefined) publishing.closed(publisher)
    lost(error)
    // Where the whole connection is lost, that tells more, and comes next.
    setImmediate(() => {
      if (!hasEnded()) publisher?.closed(error)
    })
  }
  return Effect.map(channels.open(closed), (channel) => {
    publisher = new Publisher(channel, channels.endpoint, channels.frameMax, closed)
    publishing.opened(publisher)
  })
}

/** Sends a message on a channel that has no other, so that it is known which one a server refuses. */
const publishAlone = (
  channels: Channels,
  gate: Gate,
  publication: Publication
): Effect.Effect<void, AmqpError, Scope.Scope> =>
  Effect.gen(function* () {
    const publishing = yield* publishingAlone(gate)
    yield* openPublisher(
      channels,
      publishing,
      () => false,
      () => {}
    )
    yield* Effect.async<void, AmqpError>((resume) => {
      const done = (error: AmqpError | undefined) => resume(error === undefined ? Effect.void : Effect.fail(error))
      return Effect.sync(publishing.begin(publication, () => {}, done))
    })
  })

/** The same of a call. */
const callAlone = (
  channels: Channels,
  gate: Gate,
  publication: Publication
): Effect.Effect<AmqpReply, AmqpError, Scope.Scope> =>
  Effect.gen(function* () {
    const caller = new Caller(channels, yield* publishingAlone(gate))
    yield* caller.open(
      () => false,
      () => {}
    )
    return yield* Effect.async<AmqpReply, AmqpError>((resume) => {
      const answered = (answer: AmqpReply | AmqpError) =>
        resume(answer instanceof AmqpError ? Effect.fail(answer) : Effect.succeed(answer))
      return Effect.sync(caller.begin(publication, () => {}, answered))
    })
  })

const publishingAlone = (gate: Gate) =>
  Effect.acquireRelease(
    Effect.sync(() => new Publishing(gate)),
    (publishing) => Effect.sync(publishing.end)
  )

const dial = (
  settings: Settings,
  password: string,
  { onread }: Handshake,
  signal: AbortSignal
): Promise<ChannelModel> => {
  const { channelMax, connectionName, frameMax, heartbeat, host, locale, mechanism, port, tls, username, vhost } =
    settings
  return connectClient(
    {
      protocol: tls === undefined ? "amqp" : "amqps",
      hostname: host,
      port,
      // The client unescapes it, though this is no URL.
      vhost: encodeURIComponent(vhost),
      heartbeat,
      frameMax,
      channelMax,
      locale
    },
    {
      ...tls,
      credentials: credentialsOf[mechanism](username, password),
      timeout: 0,
      noDelay: true,
      clientProperties: connectionName === undefined ? {} : { connection_name: connectionName },
      ...{ signal, onread }
    }
  )
}

const credentialsOf = {
  PLAIN: credentials.plain,
  AMQPLAIN: credentials.amqplain,
  EXTERNAL: (_username: string, _password: string) => credentials.external()
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
    }).pipe(
      // The one to a message says that it was closed, and not why, which the channel tells a turn later.
      Effect.catchIf(
        ({ reason }) => reason === "ChannelClosed",
        (error) =>
          Effect.zipRight(
            Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))),
            Effect.if(Deferred.isDone(closed), { onTrue: () => Deferred.await(closed), onFalse: () => error })
          )
      )
    )
    // Interruptible, as a finalizer is not, or the race would wait for the one that loses.
    return yield* Race.firstOf(Effect.interruptible(answer), Effect.interruptible(Deferred.await(closed)))
  })
