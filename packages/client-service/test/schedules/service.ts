import { Effect, Exit, Option, Scope } from "effect"
import { ClientService, type ConnectionState, Endpoint, RetryPolicy } from "effect-client-service"
import type { Bench } from "../support/bench.js"
import { isRunning, type Tag } from "../support/model.js"
import type { Game, Subject } from "./explore.js"

type Event = "start" | "stop" | "reconnect" | "accept" | "refuse" | "lose" | "wait" | "waitForOne" | "use" | "pass"

/** One service, whose peer opens and closes connections at once, but answers an attempt when it is told to. */
export const service: Game<Event> = {
  name: "service",
  events: ["start", "stop", "reconnect", "accept", "refuse", "lose", "wait", "waitForOne", "use", "pass"],
  make: (bench) => new ServiceSubject(bench)
}

interface Caller {
  readonly what: "wait" | "waitForOne" | "use" | "start" | "stop" | "reconnect"
  exit: Exit.Exit<unknown, unknown> | undefined
}

interface Connection {
  readonly number: number
  readonly signal: Endpoint.ConnectionSignal<string>
  isLost: boolean
}

class ServiceSubject implements Subject<Event> {
  private readonly owner: Scope.CloseableScope
  private readonly service: ClientService.ClientService<Connection, string>
  private readonly callers: Array<Caller> = []
  private readonly connections: Array<Connection> = []
  private readonly using = new Set<Connection>()
  private answer: ((isAccepted: boolean) => void) | undefined
  private closes = 0
  private wrong: string | undefined

  constructor(private readonly bench: Bench) {
    this.owner = bench.evaluate(Scope.make())
    this.service = bench.evaluate(
      ClientService.make({
        endpoint: Endpoint.make({
          name: "peer",
          connect: (signal: Endpoint.ConnectionSignal<string>) => this.connect(signal)
        }),
        retryPolicy: RetryPolicy.fromFunction(() => "1 second"),
        drainTimeout: "1 second",
        resetAfter: 0
      }).pipe(Scope.extend(this.owner))
    )
  }

  readonly canHappen = (event: Event): boolean => {
    if (event === "accept" || event === "refuse") return this.answer !== undefined
    if (event === "lose") return this.up !== undefined
    return event !== "pass" || this.bench.clock.due.length > 0
  }

  perform(event: Event): void {
    switch (event) {
      case "accept":
      case "refuse":
        this.answer?.(event === "accept")
        break
      case "lose":
        if (this.up !== undefined) this.lose(this.up)
        break
      case "pass":
        this.bench.clock.skip()
        break
      case "wait":
        this.call(event, this.service.whenConnected())
        break
      case "waitForOne":
        this.call(event, this.service.whenConnected({ failAfterFailures: 1 }))
        break
      case "use":
        this.call(
          event,
          this.service.use((connection) => this.use(connection))
        )
        break
      default:
        this.call(event, this.service[event])
    }
  }

  problem(): string | undefined {
    if (this.wrong !== undefined) return this.wrong
    const _tag = this.tag
    const current = Option.getOrUndefined(this.bench.evaluate(this.service.protocol.get))
    if (current !== (_tag === "Connected" ? this.up : undefined))
      return `while ${_tag}, the protocol is ${current?.number}`
    if (_tag === "Connecting" && this.answer === undefined) return "Connecting, and no attempt is under way"
    if (_tag === "Waiting" && this.bench.clock.sleeping === 0) return "Waiting, and no timer is set"
    const isDraining = this.using.size > 0 && this.bench.clock.sleeping > 0
    if ((_tag === "Disconnecting" || _tag === "Restarting") && !isDraining) return `${_tag}, and nothing is closing`
    const lost = [...this.using].find(({ isLost }) => isLost)
    if (lost !== undefined) return `a use goes on with ${lost.number}, which is lost`
    return this.pending(_tag)
  }

  fingerprint(): string {
    const { clock } = this.bench
    const pending = this.callers.filter(({ exit }) => exit === undefined).map(({ what }) => what)
    const _tag = this.tag
    return [_tag, this.answer !== undefined, this.up !== undefined, ...pending.sort(), ...clock.due].join()
  }

  /** Has it connect, stop and end: whatever went before, it still does. */
  end(): string | undefined {
    const { bench, service } = this
    if (!isRunning(this.tag)) bench.run(service.start)
    for (let passes = 0; passes < 3 && this.tag !== "Connected"; passes++) {
      if (this.answer === undefined) bench.pass(1000)
      this.answer?.(true)
      bench.drain()
    }
    const connected = this.problem()
    if (connected !== undefined) return `connected again, ${connected}`
    const running = this.tag
    if (running !== "Connected") return `the peer accepts, but it is ${running}`
    if (bench.run(Effect.scoped(service.stop)) === null) bench.pass(1000)
    const stopped = this.problem()
    if (stopped !== undefined) return `stopped, ${stopped}`
    const left = this.callers.filter(({ exit }) => exit === undefined).map(({ what }) => what)
    const over = this.tag
    if (over !== "Stopped" || left.length > 0) return `${over} after a stop, ${left} left waiting`
    bench.run(Scope.close(this.owner, Exit.void))
    bench.interruptAll()
    if (this.closes !== this.connections.length) return `${this.connections.length - this.closes} connections are left`
    if (bench.clock.sleeping > 0) return `${bench.clock.sleeping} timers are left`
    return bench.size > 0 ? `${bench.size} fibers are left` : this.wrong
  }

  private get state(): ConnectionState.ConnectionState<Connection, string> {
    return this.bench.evaluate(this.service.state.get)
  }

  private get tag(): Tag {
    return this.state._tag
  }

  /** The connection that is open. */
  private get up(): Connection | undefined {
    const newest = this.connections[this.connections.length - 1]
    return newest === undefined || newest.isLost || this.closes === this.connections.length ? undefined : newest
  }

  /** What waits that has no reason to. */
  private pending(tag: Tag): string | undefined {
    const isOver = tag === "Connected" || tag === "Stopped" || tag === "Exhausted"
    const waiting = this.callers.find(({ exit, what }) => {
      if (exit !== undefined) return false
      if (what === "stop") return tag !== "Disconnecting" && tag !== "Restarting"
      if (what === "use") return isOver && this.using.size === 0
      return what === "start" || what === "reconnect" || isOver
    })
    return waiting === undefined ? undefined : `a ${waiting.what} waits while ${tag}`
  }

  private call<A, E>(what: Caller["what"], effect: Effect.Effect<A, E>): void {
    const caller: Caller = { what, exit: undefined }
    this.callers.push(caller)
    this.bench.fork(effect).addObserver((exit) => {
      caller.exit = exit
    })
  }

  private use(connection: Connection): Effect.Effect<never> {
    return Effect.acquireUseRelease(
      Effect.sync(() => this.using.add(connection)),
      () => Effect.async<never>(() => {}),
      () => Effect.sync(() => this.using.delete(connection))
    )
  }

  private lose(connection: Connection): void {
    connection.isLost = true
    connection.signal.lost("lost")
  }

  private connect(signal: Endpoint.ConnectionSignal<string>): Effect.Effect<Connection, string, Scope.Scope> {
    const answer = Effect.async<boolean>((resume) => {
      const answered = (isAccepted: boolean) => {
        this.answer = undefined
        resume(Effect.succeed(isAccepted))
      }
      this.answer = answered
      return Effect.sync(() => {
        if (this.answer === answered) this.answer = undefined
      })
    })
    const connected = Effect.acquireRelease(
      Effect.sync(() => {
        const connection = { number: this.connections.length + 1, signal, isLost: false }
        this.connections.push(connection)
        const open = this.connections.length - this.closes
        if (open > 1) this.wrong ??= `${open} connections are open`
        return connection
      }),
      () =>
        Effect.sync(() => {
          this.closes += 1
        })
    )
    return Effect.flatMap(answer, (isAccepted) => (isAccepted ? connected : Effect.fail("refused")))
  }
}
