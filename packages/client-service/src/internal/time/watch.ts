import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { deadline } from "./turn.js"

/** What is to be looked at, as no event tells of it. */
export interface Watched {
  /** Looks, and tells whether it is to be looked at again. */
  readonly look: () => boolean
}

/** Has something looked at once a second, by one timer for all of a clock, until `unwatch`. */
export const watch = (watched: Watched, clock: Clock.Clock): void => {
  const group = groups.get(clock) ?? { all: new Set(), fiber: undefined }
  groups.set(clock, group)
  group.all.add(watched)
  group.fiber ??= Effect.runFork(Effect.withClock(look(group), clock))
}

export const unwatch = (watched: Watched, clock: Clock.Clock): void => {
  const group = groups.get(clock)
  if (!group?.all.delete(watched) || group.all.size > 0) return
  group.fiber?.unsafeInterruptAsFork(FiberId.none)
  group.fiber = undefined
}

interface Group {
  readonly all: Set<Watched>
  fiber: Fiber.RuntimeFiber<void> | undefined
}

const groups = new WeakMap<Clock.Clock, Group>()

const look = (group: Group): Effect.Effect<void> =>
  Effect.flatMap(deadline(1000), () => {
    for (const watched of [...group.all]) if (!watched.look()) group.all.delete(watched)
    if (group.all.size > 0) return look(group)
    group.fiber = undefined
    return Effect.void
  })
