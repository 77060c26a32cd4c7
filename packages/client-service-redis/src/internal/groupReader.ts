import { ClientClosedError, RESP_TYPES } from "@redis/client"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Stream from "effect/Stream"
import type * as ClientService from "effect-client-service/ClientService"
import * as Delays from "effect-client-service-driver/Delays"
import type { RedisConnection } from "../RedisConnection.js"
import type { ConnectFailure, RedisError } from "../RedisError.js"
import { isLasting } from "./lasting.js"
import { onOwn } from "./onOwn.js"
import type { OwnClient } from "./ownClients.js"
import { silence } from "./socketSigns.js"

export interface Settings<Body> {
  readonly stream: string
  readonly group: string
  readonly consumer: string
  readonly count: number
  readonly block: Duration.Duration
  readonly timeout: Duration.Duration
  readonly noAck: boolean
  readonly startId: string | undefined
  readonly body: (value: Buffer) => Body
}

export interface Entry<Body> {
  readonly id: string
  readonly fields: Readonly<Record<string, Body>>
  readonly ack: Effect.Effect<void, Failure>
}

export type Failure = RedisError | ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>

/**
 * The entries of a stream that a consumer of a group is given, across connections. It reads when it is asked for more, so that
 * no more than `count` entries are the consumer's that it has not seen.
 */
export const entries = <Body>(
  service: ClientService.ClientService<RedisConnection, ConnectFailure>,
  settings: Settings<Body>
): Stream.Stream<Entry<Body>, Failure> =>
  Stream.suspend(() => Stream.repeatEffectChunk(new GroupReader(service, settings).next))

// What stands for a position in the stream: the first of what is pending, and what nobody has been given yet.
const firstPending = "0"
const unread = ">"

class GroupReader<Body> {
  readonly #service: ClientService.ClientService<RedisConnection, ConnectFailure>
  readonly #settings: Settings<Body>
  #position: string
  #last: string | undefined
  /** What was handed out and is not acknowledged, which the server gives again as pending. */
  #held = new Set<string>()
  #pending = new Set<string>()
  // Since the last read was sent: what it gives may still have them.
  #acknowledged: Array<string> = []
  readonly #delays = Delays.make()
  #hasRead = true

  constructor(service: ClientService.ClientService<RedisConnection, ConnectFailure>, settings: Settings<Body>) {
    this.#service = service
    this.#settings = settings
    this.#position = this.#first
  }

  /** Waits for some entries. For one consumer. */
  readonly next: Effect.Effect<Chunk.Chunk<Entry<Body>>, Failure> = Effect.suspend(() => {
    for (const id of this.#acknowledged) this.#held.delete(id)
    this.#acknowledged = []
    return Effect.tap(this.#read(this.#position), this.#delays.began).pipe(
      Effect.map((reply) => this.#received(reply)),
      Effect.catchAll((error) => Effect.as(this.#recover(error), [])),
      Effect.flatMap((entries) => (entries.length === 0 ? this.next : Effect.succeed(Chunk.unsafeFromArray(entries))))
    )
  })

  get #first(): string {
    return this.#settings.noAck ? unread : firstPending
  }

  #read(position: string): Effect.Effect<Reply, Failure | ClientService.ConnectionLost> {
    const { block, consumer, count, group, noAck, stream, timeout } = this.#settings
    const args = ["XREADGROUP", "GROUP", group, consumer, "COUNT", String(count)]
    args.push("BLOCK", String(Math.ceil(Duration.toMillis(block))))
    if (noAck) args.push("NOACK")
    args.push("STREAMS", stream, position)
    const limit = Duration.sum(block, timeout)
    return this.#service.use((connection) => readOn(connection, args, limit))
  }

  #received(reply: Reply): Array<Entry<Body>> {
    this.#hasRead = true
    const [, raw = []] = reply ?? []
    const isPending = this.#position !== unread
    const entries: Array<Entry<Body>> = []
    for (const [name, values] of raw) {
      const id = name.toString()
      this.#last = id
      if (isPending) {
        this.#position = id
        this.#pending.add(id)
      }
      if (values !== null && !this.#held.has(id)) entries.push(this.#entryOf(id, values))
    }
    if (isPending && raw.length < this.#settings.count) {
      // What is not pending any longer is acknowledged, whoever has done it.
      this.#held = this.#pending
      this.#pending = new Set()
      this.#position = unread
    }
    if (!this.#settings.noAck) for (const { id } of entries) this.#held.add(id)
    return entries
  }

  #entryOf(id: string, values: ReadonlyArray<Buffer>): Entry<Body> {
    const fields: Array<readonly [string, Body]> = []
    for (let i = 0; i + 1 < values.length; i += 2) {
      const [name, value] = values.slice(i, i + 2)
      if (name !== undefined && value !== undefined) fields.push([name.toString(), this.#settings.body(value)])
    }
    return { id, fields: Object.fromEntries(fields), ack: this.#settings.noAck ? Effect.void : this.#ack(id) }
  }

  // Whether the server has it done already makes no difference to it.
  #ack(id: string): Effect.Effect<void, Failure> {
    return this.#send(["XACK", this.#settings.stream, this.#settings.group, id]).pipe(
      Effect.tap(() => void this.#acknowledged.push(id)),
      Effect.catchTag("ConnectionLost", () => this.#ack(id)),
      Effect.asVoid
    )
  }

  // What the server gave in an answer that did not come is pending.
  #recover(error: Failure | ClientService.ConnectionLost): Effect.Effect<void, Failure> {
    this.#position = this.#first
    this.#pending = new Set()
    if (error._tag === "ServiceStopped" || error._tag === "RetriesExhausted") return Effect.fail(error)
    const { startId } = this.#settings
    if (error._tag === "RedisError") {
      if (error.code === "NOGROUP" && startId !== undefined) return this.#create(this.#last ?? startId)
      if (isLasting(error)) return Effect.fail(error)
    }
    return this.#delay(error)
  }

  // What is refused for now is asked again, after the next read.
  #create(after: string): Effect.Effect<void, Failure> {
    const { group, stream } = this.#settings
    return this.#send(["XGROUP", "CREATE", stream, group, after, "MKSTREAM"]).pipe(
      Effect.asVoid,
      Effect.catchAll((error): Effect.Effect<void, Failure> => {
        if (error._tag === "ConnectionLost") return this.#delay(error)
        if (error._tag !== "RedisError") return Effect.fail(error)
        if (error.code === "BUSYGROUP") return Effect.void
        return isLasting(error) ? Effect.fail(error) : this.#delay(error)
      })
    )
  }

  #send(args: ReadonlyArray<string>): Effect.Effect<unknown, Failure | ClientService.ConnectionLost> {
    return this.#service.useAsync<unknown, RedisError | ClientService.ConnectionLost>(({ ofGroups }, resume) =>
      ofGroups.begin((client) => client.sendCommand(args), resume)
    )
  }

  // The service waits for the next connection, and tells of the loss of one.
  #delay(error: Error & { readonly _tag: string }): Effect.Effect<void> {
    const { group, stream } = this.#settings
    const isFirst = this.#hasRead
    this.#hasRead = false
    if (isFirst && error._tag === "ConnectionLost") return Effect.void
    return Effect.flatMap(this.#delays.next(`reading of ${stream} for ${group}`, error), Effect.sleep)
  }
}

type Reply = readonly [Buffer, ReadonlyArray<readonly [Buffer, ReadonlyArray<Buffer> | null]>] | null

const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.MAP]: Array }

/** Reads on a connection of its own, which is closed if nothing comes of the answer within some time. */
const readOn = (
  connection: RedisConnection,
  args: ReadonlyArray<string>,
  limit: Duration.Duration
): Effect.Effect<Reply, RedisError | ClientService.ConnectionLost> =>
  Effect.suspend(() => {
    const begun = Deferred.unsafeMake<void>(FiberId.none)
    let end = (): void => {}
    let takeBack = (): void => {}
    let lastHeard = (): number | undefined => undefined
    const read = Effect.async<Reply, RedisError | ClientService.ConnectionLost>((resume) => {
      takeBack = connection.reads.begin<Reply>((_, call) => {
        let destroy = (): void => call.abort()
        end = () => {
          destroy()
          resume(Effect.fail(connection.errorOf(new ClientClosedError())))
        }
        Deferred.unsafeDone(begun, Effect.void)
        const send = (own: OwnClient) => {
          destroy = own.destroy
          lastHeard = own.lastHeard
          return own.owner.sendCommand<Reply>(args, { typeMapping })
        }
        return onOwn(connection, call, args, "one that blocks", send)
      }, resume)
    })
    const watch = Deferred.await(begun).pipe(
      Effect.zipRight(silence(limit, () => lastHeard())),
      Effect.zipRight(Effect.sync(() => end()))
    )
    return Effect.acquireUseRelease(
      Effect.forkDaemon(Effect.interruptible(watch)),
      // Not by the cleanup of the read, which may be interrupted before it has that.
      () => Effect.onInterrupt(read, () => Effect.sync(() => takeBack())),
      (fiber) => Fiber.interruptFork(fiber)
    )
  })
