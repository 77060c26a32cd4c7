import { Cause, type Exit, Option } from "effect"
import { ConnectionError } from "effect-client-service"
import { isRunning } from "../support/model.js"
import type { Consumer, Use, Waiter } from "./jobs.js"
import type { Observed } from "./observed.js"
import { type Asked, type Attempt, Peer, ScriptedDefect } from "./peer.js"
import { isGood, type State, stepsBefore } from "./reference.js"

/**
 * Checks what has to hold whenever no fiber can go on without the clock, the peer or a call. Gives what does not.
 */
export const checkStandstill = (run: Observed): ReadonlyArray<string> => {
  const state = run.state
  return [
    ...checkPublished(run, state),
    ...checkProgress(run, state),
    ...checkConnections(run, state),
    ...checkRest(run, state),
    ...checkPolicy(run.peer.asked),
    ...checkPolicy(run.peer.askedToReplace),
    ...run.waiters.flatMap((waiter) => checkWaiter(run, state, waiter)),
    ...run.uses.flatMap((use) => checkUse(run, use)),
    ...run.consumers.flatMap((consumer) => checkConsumer(run, state, consumer)),
    ...(run.starts.some(({ exit }) => exit === undefined) ? ["a start or a reconnect waits"] : []),
    ...(run.stops.some(({ exit }) => exit === undefined) &&
    state._tag !== "Disconnecting" &&
    state._tag !== "Restarting"
      ? [`a stop waits while the service is ${state._tag}`]
      : [])
  ]
}

const checkPublished = (run: Observed, state: State): ReadonlyArray<string> => {
  const { attempt, failures, generation } = run.reference.counts
  const running = isRunning(state._tag)
  const snapshot = JSON.stringify(run.service)
  const expected = JSON.stringify({
    _id: "ClientService",
    name: "peer",
    state: state._tag,
    attempt,
    failures,
    generation
  })
  return [
    ...(run.reference.state === state ? [] : [`${state._tag} is not published, but ${run.reference.state._tag}`]),
    ...(run.evaluate(run.service.running) === running ? [] : [`running is wrong while ${state._tag}`]),
    ...(snapshot === expected || state._tag === "Init" ? [] : [`${snapshot} is not ${expected}`])
  ]
}

/** Each state that is not the last waits for something that is bound to happen, and not overdue. */
const checkProgress = (run: Observed, state: State): ReadonlyArray<string> => {
  const stuck = [`stuck in ${state._tag}`]
  const newest = run.peer.newest
  switch (state._tag) {
    case "Connecting":
      if (isClosing(run) || isRetiring(run) || isAsking(run)) return []
      if (newest === undefined || !isUnderWay(run, newest)) return stuck
      return newest === run.toRenew && run.clock.now > newest.beganAt + 1000 ? ["not begun anew by a reconnect"] : []
    case "Connected":
      if (!run.peer.isLive(state.protocol)) return isAsking(run) ? [] : ["stuck with a connection that is lost"]
      return isYoung(run, state.connectedAt) || isReplacing(run, state.protocol.number) ? [] : ["too old"]
    case "Waiting":
      return state.retryAt > run.clock.now ? [] : stuck
    case "Disconnecting":
    case "Restarting":
      return isClosing(run) || isRetiring(run) || isDraining(run) ? [] : stuck
    default:
      return []
  }
}

const isDraining = ({ peer }: Observed): boolean =>
  peer.attempts.some((attempt) => attempt.drainingUntil !== undefined && peer.overAt(attempt) === undefined)

/** Whether a connection that was replaced is still in use, or closing. */
const isRetiring = ({ peer }: Observed): boolean =>
  peer.attempts.some(
    (attempt) => attempt.retiredAt !== undefined && !Peer.isFinished(attempt) && !peer.isOverdue(attempt)
  )

/** Whether a connection is still closing, within its `closeTimeout`. */
export const isClosing = ({ peer }: Observed): boolean =>
  peer.attempts.some(
    (attempt) => peer.overAt(attempt) !== undefined && !Peer.isFinished(attempt) && !peer.isOverdue(attempt)
  )

const isUnderWay = ({ peer }: Observed, attempt: Attempt): boolean =>
  attempt.running > 0 && peer.overAt(attempt) === undefined

const isAsking = ({ clock, peer, script }: Observed): boolean => {
  const asked = peer.asked[peer.asked.length - 1]
  return asked !== undefined && asked.answeredAt === undefined && asked.at + script.options.connectTimeout > clock.now
}

const isYoung = ({ clock, script }: Observed, connectedAt: number): boolean =>
  clock.now - connectedAt < (script.options.maxAge ?? Infinity)

/** Whether the next connection is under way, or what it has to wait for. */
const isReplacing = (run: Observed, current: number): boolean => {
  const { clock, peer, script } = run
  const { connectTimeout } = script.options
  const isRetiring = (attempt: Attempt) => !Peer.isFinished(attempt) && !peer.isOverdue(attempt)
  if (peer.attempts.some((attempt) => attempt.number !== current && isRetiring(attempt))) return true
  const asked = peer.askedToReplace[peer.askedToReplace.length - 1]
  if (asked === undefined) return false
  const { answer, answeredAt = asked.at + connectTimeout } = asked
  if (answer === "done") return true
  // Where the default policy steps in, it draws half a minute at most.
  const delay = isGood(asked) ? (answer === "hangs" ? 1000 : Number(answer)) : 30_000
  return answeredAt + delay > clock.now
}

const checkConnections = (run: Observed, state: State): ReadonlyArray<string> => {
  const { peer } = run
  const current = Option.getOrUndefined(run.evaluate(run.service.protocol.get))
  const usable = state._tag === "Connected" && peer.isLive(state.protocol) ? state.protocol : undefined
  return [
    ...(current === usable ? [] : [`the protocol is that of ${current?.number}, not of ${usable?.number}`]),
    ...(current === run.lastProtocol
      ? []
      : [`the last protocol published is that of ${run.lastProtocol?.number}, not of ${current?.number}`]),
    ...peer.attempts
      .filter((attempt) => attempt.opened && attempt.closings === 0 && peer.overAt(attempt) !== undefined)
      // One that ignores its interruption is given closeTimeout.
      .filter((attempt) => attempt.running === 0 || peer.isOverdue(attempt))
      .map(({ number }) => `nothing closes the connection of attempt ${number}`)
  ]
}

/** What the service has no use for is gone: sleeps, fibers, waits. */
const checkRest = (run: Observed, state: State): ReadonlyArray<string> => {
  // Each has a timer, until it has its answer.
  if (run.checks.some(({ exit }) => exit === undefined)) return []
  const unfinished = run.peer.attempts.filter((attempt) => !Peer.isFinished(attempt))
  const closing = unfinished.filter((attempt) => !run.peer.isOverdue(attempt)).length
  // Those who wait no longer than so long have a timer of their own.
  const limited = run.uses.filter(
    ({ exit, options, protocol }) => exit === undefined && protocol === undefined && options.maxWait !== undefined
  ).length
  const sleeping = run.clock.sleeping - limited
  const fibers = run.census.size - limited
  // Effect's own may be left if a fiber is interrupted just when it begins to wait.
  const keepAlives = run.script.preemptions === undefined ? run.keepAlives() : 0
  const { heartbeat, maxAge } = run.script.options
  const most = heartbeat === undefined ? 2 : 4
  const rest = `${sleeping} sleeps, ${fibers} fibers, ${keepAlives} endless waits`
  // One that was replaced goes on with all that it has.
  if (state._tag === "Waiting" && isRetiring(run)) return sleeping <= 6 ? [] : [`${state._tag} keeps ${rest}`]
  switch (state._tag) {
    case "Init":
    case "Stopped": {
      const isRest = sleeping === 0 && fibers <= most * unfinished.length && (unfinished.length > 0 || keepAlives === 0)
      return isRest ? [] : [`${state._tag} leaves ${rest}`]
    }
    case "Exhausted": {
      const isRest = sleeping <= closing && (unfinished.length > 0 || (fibers === 0 && keepAlives === 0))
      return isRest ? [] : [`${state._tag} leaves ${rest}`]
    }
    case "Connected": {
      if (heartbeat !== undefined || maxAge !== undefined) {
        const watched = maxAge === undefined ? 1 : 2
        const mostSleeps = (heartbeat === undefined ? 0 : watched) + (maxAge === undefined ? 0 : 3) + closing
        const isRest = sleeping <= mostSleeps && fibers <= 20
        return isAsking(run) || isRest ? [] : [`${state._tag} keeps ${rest}`]
      }
      const isRest = isAsking(run) || (sleeping === 0 && (unfinished.length > 1 || (fibers === 0 && keepAlives === 0)))
      return isRest ? [] : [`${state._tag} keeps ${rest}`]
    }
    case "Waiting": {
      const isRest = sleeping >= 1 && sleeping <= 1 + closing && (unfinished.length > 0 || fibers === 1)
      return isRest ? [] : [`${state._tag} keeps ${rest}`]
    }
    default:
      return sleeping <= 2 + closing ? [] : [`${state._tag} keeps ${rest}`]
  }
}

const checkPolicy = (asked: ReadonlyArray<Asked>): ReadonlyArray<string> => {
  const last = asked.length - 1
  const steps = asked[last]?.steps
  if (steps === undefined) return []
  const { least, most } = stepsBefore(asked, last)
  return steps >= least && steps <= most ? [] : [`the policy had made ${steps} steps, not ${least} to ${most}`]
}

const checkWaiter = (run: Observed, state: State, waiter: Waiter): ReadonlyArray<string> => {
  const { exit, failAfterFailures = Infinity, waiting = run.counts } = waiter
  const { counts, peer } = run
  if (exit === undefined) {
    if (waiter.deliveries > 0) return []
    const failed = peer.failures.slice(waiting.failedAttempts).filter(({ isCertain }) => isCertain).length
    const overdue =
      state._tag === "Stopped" ||
      state._tag === "Exhausted" ||
      (state._tag === "Disconnecting" && isDraining(run)) ||
      (state._tag === "Connected" && peer.isLive(state.protocol)) ||
      counts.stopped > waiting.stopped ||
      counts.exhausted > waiting.exhausted ||
      failed - (waiting.mayTimeOut ? 1 : 0) >= failAfterFailures
    return overdue ? [`a waiter of ${failAfterFailures} failures still waits while ${state._tag}`] : []
  }
  if (waiter.deliveries > 1) return ["a waiter was resumed twice"]
  if (exit._tag === "Success") return waiter.deliveries === 1 ? [] : ["a waiter got nothing"]
  if (Cause.isInterruptedOnly(exit.cause)) return waiter.interrupted ? [] : ["a waiter was interrupted"]
  return checkFailure(run, waiter, exit)
}

const checkFailure = (
  { peer }: Observed,
  { failAfterFailures = Infinity, since, until, waiting = until }: Waiter,
  { cause }: Exit.Failure<unknown, unknown>
): ReadonlyArray<string> => {
  if (until === undefined || waiting === undefined) return ["a waiter fails with what it has not waited for"]
  const error = Cause.squash(cause)
  if (error instanceof ConnectionError.ServiceStopped) {
    return until.stopped > since.stopped || since.stopped > 0 ? [] : ["a waiter fails, but nothing was stopped"]
  }
  if (error instanceof ConnectionError.RetriesExhausted) {
    return until.exhausted > 0 ? [] : ["a waiter fails, but nothing was exhausted"]
  }
  // It may have been held up before it waited, and the service may not have taken notice of every failure.
  const isNth = peer.failures.some((_, index) => {
    if (peer.failureOf(error, index) !== index) return false
    const most = index + 1 - since.failedAttempts
    const skipped = peer.failures.slice(since.failedAttempts, index).filter(({ isCertain }) => !isCertain).length
    const least = most - skipped - (waiting.failedAttempts - since.failedAttempts) - (since.mayTimeOut ? 1 : 0)
    return failAfterFailures >= least && failAfterFailures <= most
  })
  return isNth ? [] : [`a waiter of ${failAfterFailures} fails with ${error}`]
}

const checkUse = (run: Observed, use: Use): ReadonlyArray<string> => {
  const { endedAt, exit, options, protocol, running, runs, signal, since } = use
  const { maxWait = Infinity } = options
  if (runs > 1) return ["use ran its function twice"]
  const isUsable = protocol !== undefined && run.peer.isUsable(protocol)
  if (running && !isUsable) return [`use goes on with ${protocol?.number}, which is lost`]
  if (exit === undefined) {
    if (protocol !== undefined) return isUsable ? [] : ["use waits, but its connection is lost"]
    if (run.clock.now >= since + maxWait) return ["use waits longer than maxWait"]
    const { state } = run
    const isOver = state._tag === "Stopped" || state._tag === "Exhausted"
    const isConnected = state._tag === "Connected" && run.peer.isLive(state.protocol)
    return isOver || isConnected ? [`use waits while ${state._tag}`] : []
  }
  if (exit._tag === "Success") return runs === 1 ? [] : ["use has not run its function"]
  const error = Cause.squash(exit.cause)
  if (error instanceof ConnectionError.NotConnected) {
    return runs === 0 && endedAt === since + maxWait ? [] : ["use fails since there is no connection"]
  }
  if (error instanceof ConnectionError.ConnectionLost) {
    if (signal?.aborted === false) return ["the signal of a promise was not aborted"]
    // It may have lost the connection before it began.
    const used =
      protocol === undefined ? run.peer.attempts : run.peer.attempts.filter((attempt) => attempt.protocol === protocol)
    const endsAt = ({ retiredAt }: Attempt) => (retiredAt ?? Infinity) + run.script.options.closeTimeout
    const isLost = used.some(
      (attempt) =>
        attempt.establishedAt !== undefined &&
        ((run.peer.overAt(attempt) !== undefined && !attempt.isClosedForAge) ||
          endsAt(attempt) <= (endedAt ?? Infinity))
    )
    return isLost ? [] : ["use fails with a loss, but there was none"]
  }
  const isLegal =
    error === "fails" ||
    (error instanceof Cause.UnknownException && options.how === "promise") ||
    error instanceof ScriptedDefect ||
    error instanceof ConnectionError.ServiceStopped ||
    error instanceof ConnectionError.RetriesExhausted
  return isLegal ? [] : [`use fails with ${error}`]
}

const checkConsumer = (run: Observed, state: State, { exit, last }: Consumer): ReadonlyArray<string> => {
  if (exit === undefined) {
    if (state._tag === "Stopped" || state._tag === "Exhausted") return [`connections goes on while ${state._tag}`]
    const isBehind = state._tag === "Connected" && run.peer.isLive(state.protocol) && last !== state.protocol
    return isBehind ? ["connections has not given the newest protocol"] : []
  }
  if (exit._tag === "Success") return ["connections ends without a failure"]
  const error = Cause.squash(exit.cause)
  const isLegal = error instanceof ConnectionError.ServiceStopped || error instanceof ConnectionError.RetriesExhausted
  return isLegal ? [] : [`connections fails with ${error}`]
}
