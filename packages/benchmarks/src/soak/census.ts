import { channel } from "node:diagnostics_channel"
import type { EventEmitter } from "node:events"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import { heapUsed } from "../measure.js"
import * as Progress from "../progress.js"
import type { Sample } from "./soak.js"

/** Counts what a soak could leave behind. */
export interface Census {
  /** Counts the fibers of an Effect, and all that they fork. */
  readonly supervised: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly sample: (operations: number) => Effect.Effect<Sample>
}

/** Counts as long as the Scope lives. */
export const census: Effect.Effect<Census, never, Scope.Scope> = Effect.gen(function* () {
  const supervisor = yield* Supervisor.track
  const newest = yield* newestSocket
  return {
    supervised: Effect.supervised(supervisor),
    sample: (operations) =>
      Effect.gen(function* () {
        yield* turns(10)
        const fibers = yield* supervisor.value
        const socket = newest()
        return {
          operations,
          heap: yield* heapUsed,
          constant: {
            fibers: fibers.length,
            listeners: listenersOf(process) + (socket === undefined ? 0 : listenersOf(socket)),
            handles: process.getActiveResourcesInfo().length,
            ...(Fs.existsSync(descriptors) ? { "file descriptors": Fs.readdirSync(descriptors).length } : {})
          }
        }
      })
  }
})

/** Takes a sample after each of so many parts of the operations. What comes before the first is only to warm up. */
export const sampled = <R>(options: {
  readonly operations: number
  readonly run: (operations: number) => Effect.Effect<unknown, never, R>
  readonly sample: (operations: number) => Effect.Effect<Sample>
}): Effect.Effect<ReadonlyArray<Sample>, never, R> =>
  Effect.gen(function* () {
    const part = options.operations / parts
    const samples: Array<Sample> = []
    for (let done = -warmUp; done <= parts; done += 1) {
      Progress.round(done + warmUp + 1, parts + warmUp + 1)
      yield* options.run(part)
      const sample = yield* options.sample(done * part)
      if (done >= 0) samples.push(sample)
    }
    return samples
  })

const parts = 25
const warmUp = 10

const descriptors = "/proc/self/fd"

const listenersOf = (emitter: EventEmitter): number =>
  emitter.eventNames().reduce((sum, event) => sum + emitter.listenerCount(event), 0)

// What is closed is gone some turns of the event loop later.
const turns = (left: number): Effect.Effect<void> =>
  left === 0
    ? Effect.void
    : Effect.zipRight(
        Effect.async<void>((resume) => {
          setImmediate(() => resume(Effect.void))
        }),
        Effect.suspend(() => turns(left - 1))
      )

const newestSocket = Effect.gen(function* () {
  let newest: WeakRef<Net.Socket> | undefined
  const listener = (message: unknown) => {
    if (typeof message !== "object" || message === null || !("socket" in message)) return
    if (message.socket instanceof Net.Socket) newest = new WeakRef(message.socket)
  }
  const created = channel("net.client.socket")
  yield* Effect.acquireRelease(
    Effect.sync(() => created.subscribe(listener)),
    () => Effect.sync(() => created.unsubscribe(listener))
  )
  return () => newest?.deref()
})
