import { Cause, Effect, Exit, Scope } from "effect"
import { ClientService, ClientServiceMap, ConnectionError, Endpoint, RetryPolicy } from "effect-client-service"
import type { Bench } from "../support/bench.js"
import type { Game, Subject } from "./explore.js"

type Event = "get" | "release" | "invalidate" | "pass" | "closeOwner"

const key = "a"

/** Milliseconds. */
const closeTimeout = 5000

/** A collection of services, and those who get that of one key, which connects and closes at once. */
export const map: Game<Event> = {
  name: "map",
  events: ["get", "release", "invalidate", "pass", "closeOwner"],
  make: (bench) => new MapSubject(bench)
}

/** Somebody who gets the service. */
interface User {
  readonly scope: Scope.CloseableScope
  isReleased: boolean
  /** Whether the key was invalidated meanwhile. */
  isOutdated: boolean
  service: ClientService.ClientService<void> | undefined
}

/** The connection of what a lookup has made. */
interface Connection {
  isOpen: boolean
  /** Whether it may go on beside the next one: it was in use when the key was invalidated. */
  isOutdated: boolean
  service: ClientService.ClientService<void> | undefined
  /** When the service has begun to close it, as far as time has passed since. */
  closingSince: number
}

class MapSubject implements Subject<Event> {
  private readonly owner: Scope.CloseableScope
  private readonly map: ClientServiceMap.ClientServiceMap<string, void>
  private users: Array<User> = []
  private readonly connections: Array<Connection> = []
  private isClosed = false
  private getting = 0
  private releasing = 0
  private invalidating = 0
  private wrong: string | undefined
  /** Whether time has passed while fibers could go on, so that an attempt may have timed out. */
  private isHurried = false

  constructor(private readonly bench: Bench) {
    this.owner = bench.evaluate(Scope.make())
    this.map = bench.evaluate(
      ClientServiceMap.make({
        idleTimeToLive: "1 second",
        lookup: (_: string) => {
          const isOutdated = this.users.some(({ isOutdated, service }) => isOutdated && service === undefined)
          const connection: Connection = {
            isOpen: false,
            isOutdated,
            service: undefined,
            closingSince: Number.POSITIVE_INFINITY
          }
          this.connections.push(connection)
          return Effect.tap(
            ClientService.make({
              endpoint: Endpoint.make({ name: key, connect: () => this.connect(connection) }),
              retryPolicy: RetryPolicy.fromFunction(() => "1 second"),
              closeTimeout
            }),
            (service) => {
              connection.service = service
            }
          )
        }
      }).pipe(Scope.extend(this.owner))
    )
  }

  readonly canHappen = (event: Event): boolean => {
    if (event === "release") return this.users.length > 0
    if (event === "closeOwner") return !this.isClosed
    return event !== "pass" || this.bench.clock.due.length > 0
  }

  perform(event: Event): void {
    switch (event) {
      case "get":
        this.get()
        break
      case "release": {
        const user = this.users.shift()
        if (user !== undefined) this.release(user)
        break
      }
      case "invalidate":
        this.invalidating += 1
        this.outdate()
        this.bench.fork(this.map.invalidate(key)).addObserver(() => {
          this.outdate()
          this.invalidating -= 1
        })
        break
      case "pass":
        this.isHurried ||= !this.bench.scheduler.isAtRest
        this.noteClosing()
        this.bench.clock.skip()
        break
      case "closeOwner":
        this.isClosed = true
        this.bench.fork(Scope.close(this.owner, Exit.void))
    }
  }

  problem(): string | undefined {
    if (this.wrong !== undefined) return this.wrong
    if (this.releasing > 0) return "a release waits"
    for (const { service } of this.users) {
      if (service === undefined) return "a get waits"
      const state = this.bench.evaluate(service.state.get)
      const expected = this.isClosed ? "Stopped" : "Connected"
      const hasTimedOut = this.isHurried && state._tag === "Waiting" && isTimeout(state.cause)
      if (state._tag !== expected && (this.isClosed || !hasTimedOut)) {
        return `a service that somebody has is ${state._tag}, not ${expected}`
      }
    }
    const { open } = this
    return this.isClosed && open > 0 ? `${open} connections are open after the owner has closed` : undefined
  }

  fingerprint(): string {
    const { due } = this.bench.clock
    const keys = this.bench.evaluate(this.map.keys).length
    const open = this.connections.filter(({ isOpen }) => isOpen).map(({ isOutdated }) => isOutdated)
    return [this.isClosed, this.users.length, keys, ...open, ...due].join()
  }

  /** Has everything given back, gets it once more, and closes the owner. */
  end(): string | undefined {
    const { bench } = this
    this.releaseAll()
    this.isHurried = false
    bench.pass(1000)
    if (this.open > 0) return `${this.open} connections that nobody uses are left`
    if (bench.evaluate(this.map.keys).length > 0) return "a key is left"
    this.perform("get")
    bench.drain()
    const gotten = this.problem()
    if (gotten !== undefined) return `gotten again, ${gotten}`
    if (!this.isClosed) this.perform("closeOwner")
    bench.drain()
    const closed = this.problem()
    if (closed !== undefined) return `closed, ${closed}`
    this.releaseAll()
    if (bench.clock.sleeping > 0) return `${bench.clock.sleeping} timers are left`
    return bench.size > 0 ? `${bench.size} fibers are left` : this.wrong
  }

  private get open(): number {
    return this.connections.filter(({ isOpen }) => isOpen).length
  }

  /** Whoever has the service while the key is being invalidated may keep it, as one that gets it and is held up has. */
  private outdate(): void {
    const isUsed = this.users.length + this.getting + this.releasing > 0
    if (!isUsed || this.invalidating === 0) return
    for (const each of [...this.connections, ...this.users]) each.isOutdated = true
  }

  private get(): void {
    const scope = this.bench.evaluate(Scope.make())
    const user: User = { scope, isReleased: false, isOutdated: false, service: undefined }
    this.users.push(user)
    this.outdate()
    const getting = Effect.map(Scope.extend(this.map.get(key), user.scope), (service) => {
      user.service = service
    })
    this.getting += 1
    this.bench.fork(getting).addObserver((exit) => {
      this.getting -= 1
      // Who closes the Scope meanwhile has no use for the service.
      if (Exit.isFailure(exit) && !user.isReleased) this.wrong ??= `a get ends with ${exit}`
    })
  }

  private release(user: User): void {
    user.isReleased = true
    this.releasing += 1
    this.bench.fork(Scope.close(user.scope, Exit.void)).addObserver(() => {
      this.releasing -= 1
    })
  }

  private releaseAll(): void {
    for (const user of this.users.splice(0)) this.release(user)
    this.bench.drain()
  }

  /** Takes note, before time passes, of the connections that are being closed by now: fibers that are held up take long to. */
  private noteClosing(): void {
    const { clock } = this.bench
    for (const connection of this.connections) {
      if (!connection.isOpen || connection.service === undefined) continue
      const { _tag } = this.bench.evaluate(connection.service.state.get)
      if (_tag === "Connecting" || _tag === "Connected") continue
      connection.closingSince = Math.min(connection.closingSince, clock.now)
    }
  }

  /** Whether the next one need not wait any more for a connection to close. */
  private isOverdue({ closingSince }: Connection): boolean {
    return this.bench.clock.now - closingSince >= closeTimeout
  }

  private connect(connection: Connection): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        connection.isOpen = true
        connection.closingSince = Number.POSITIVE_INFINITY
        const others = this.connections.filter(
          (other) => other !== connection && other.isOpen && !other.isOutdated && !this.isOverdue(other)
        )
        if (others.length > 0 && !connection.isOutdated) this.wrong ??= "two connections are open"
      }),
      () =>
        Effect.sync(() => {
          connection.isOpen = false
        })
    )
  }
}

const isTimeout = (cause: Cause.Cause<unknown>): boolean =>
  Cause.squash(cause) instanceof ConnectionError.ConnectTimeout
