import * as Clock from "effect/Clock"

/**
 * A clock that tells the last time again where it would throw, as one of tests does at fractions of a millisecond. Nobody who
 * looks at a clock can do anything about that, and a service would stand still in the middle of what it does.
 */
export const steady = (clock: Clock.Clock): Clock.Clock => {
  const known = steadied.get(clock)
  if (known !== undefined) return known
  const made = make(clock)
  steadied.set(clock, made)
  return made
}

// Services may be many, and mostly have one clock.
const steadied = /* @__PURE__ */ new WeakMap<Clock.Clock, Clock.Clock>()

const make = (clock: Clock.Clock): Clock.Clock => {
  const millis = lasting(0, () => clock.unsafeCurrentTimeMillis())
  const nanos = lasting(0n, () => clock.unsafeCurrentTimeNanos())
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanos: clock.currentTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

const lasting = <A>(first: A, look: () => A): (() => A) => {
  let last = first
  const lookAgain = () => {
    try {
      last = look()
    } catch {
      // The last will do.
    }
    return last
  }
  lookAgain()
  return lookAgain
}
