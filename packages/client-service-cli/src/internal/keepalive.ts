/**
 * What the command does, of what is asked of it.
 */
import type { Readable } from "node:stream"
import { isValidationError, type ValidationError } from "@effect/cli/ValidationError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import * as ClientServices from "effect-client-service/ClientServices"
import type { RetriesExhausted } from "effect-client-service/ConnectionError"
import { InvalidOption } from "effect-client-service/InvalidOption"
import * as Race from "effect-client-service/Race"
import type { Transport } from "effect-client-service/Transport"
import type { Address } from "./address.js"
import { type Flags, usageError } from "./command.js"
import { exitCodes } from "./exitCodes.js"
import { ListenError } from "./listenError.js"
import { type CommandAtConnection, commandAtConnection } from "./mode/commandAtConnection.js"
import { listen } from "./mode/listen.js"
import { netcat, type Service } from "./mode/netcat.js"
import type { OutputError } from "./outputError.js"
import * as Report from "./report.js"
import type { Output } from "./terminal/output.js"
import * as Screen from "./terminal/screen.js"
import {
  fileOf,
  headersOf,
  type LinkError,
  type Patience,
  problemOfTls,
  serviceOptions,
  type Upstream,
  upstreamOf
} from "./upstream.js"
import { watch } from "./watch.js"

/** What a command that has begun ends with. */
type LastError = ListenError | OutputError | RetriesExhausted<LinkError>

export interface Streams {
  /** Is not called unless it is read. */
  readonly stdin: () => Readable
  readonly stdout: Output
  readonly stderr: Output
}

/** `signalled` gives the exit code of a signal, once there was one. */
export const keepalive = (
  flags: Flags,
  streams: Streams,
  signalled: () => number | undefined
): Effect.Effect<void, ValidationError | LastError, Scope.Scope> =>
  Effect.gen(function* () {
    if (flags.tour) {
      const { address: _address, speed: _speed, tour: _tour, ...others } = flags
      if (Option.isSome(flags.address)) return yield* refuse("--tour takes no address")
      if (Object.values(others).some(isGiven)) return yield* refuse("--tour takes no option but --speed")
      return yield* showTour(flags, streams)
    }
    if (Option.isSome(flags.speed)) return yield* refuse("--speed is for --tour")
    if (Option.isNone(flags.address))
      return yield* refuse("an address is needed, such as tcp://host:port; --help tells more")
    const address = flags.address.value
    const problem = misfit(flags, address)
    if (problem !== undefined) return yield* refuse(problem)

    const report = flags.json ? Report.inJson(streams.stderr) : yield* Report.forPeople(streams.stderr)
    const upstream = yield* upstreamFor(flags, address, report)
    yield* report.happened({ event: "started", service: upstream.endpoint.name, address: upstream.address })
    yield* Effect.scoped(keep(flags, { upstream, patience: patienceOf(flags), report, streams })).pipe(
      Effect.onExit((exit) => report.happened({ event: "exit", ...outcome(exit, signalled) }))
    )
  })

const outcome = (exit: Exit.Exit<void, LastError>, signalled: () => number | undefined) =>
  Exit.match(exit, {
    onSuccess: () => ({ code: exitCodes.done }),
    onFailure: (cause) => {
      const error = Option.getOrUndefined(Cause.failureOption(cause))
      const code = signalled() ?? codeOf(error)
      return error === undefined ? { code } : { code, error: Report.errorJson(error) }
    }
  })

/** The exit code of what the command fails with. */
export const codeOf = (error: unknown): number =>
  error instanceof ListenError || isValidationError(error) ? exitCodes.couldNotBegin : exitCodes.gaveUp

export const tell = ({ message }: OutputError) => Effect.flatMap(Effect.console, (console) => console.error(message))

export const refuse = (message: string) =>
  Effect.zipRight(
    Effect.flatMap(Effect.console, (console) => console.error(message)),
    usageError(message)
  )

// Only the tour needs what it is made of.
const showTour = ({ speed }: Flags, { stdout }: Streams) =>
  Effect.flatMap(
    Effect.promise(() => import("./tour/tour.js")),
    ({ tour }) =>
      Race.firstOf(
        tour(
          Screen.make(stdout),
          Option.getOrElse(speed, () => 1)
        ),
        // The report, which tells of it otherwise, is not there yet.
        Effect.tapError(stdout.closed, tell)
      )
  )

const isGiven = (flag: boolean | ReadonlyArray<unknown> | Option.Option<unknown>): boolean => {
  if (typeof flag === "boolean") return flag
  return Option.isOption(flag) ? Option.isSome(flag) : flag.length > 0
}

/** What of the flags does not fit to each other or to the address. */
const misfit = (flags: Flags, address: Address): string | undefined => {
  const { binary, exec, halfOpen, header, insecure, listen, maxWait, noInput } = flags
  if (Option.isSome(exec) && Option.isSome(listen)) return "--exec and --listen exclude each other"
  if (noInput && Option.isSome(exec)) return "--no-input and --exec exclude each other"
  if (noInput && Option.isSome(listen)) return "--no-input and --listen exclude each other"
  if (flags.pageActions && Option.isNone(flags.page)) return "--page-actions is for --page"
  if (Option.isSome(maxWait) && Option.isNone(listen)) return "--max-wait is for --listen"
  if (Option.isSome(halfOpen) && Option.isNone(listen)) return "--half-open is for --listen"

  const isSecure = address._tag === "Tls" || (address._tag === "WebSocket" && address.isSecure)
  for (const name of ["ca", "cert", "key", "servername"] as const) {
    if (!isSecure && Option.isSome(flags[name])) return `--${name} is for tls: and wss: addresses`
  }
  if (!isSecure && insecure) return "--insecure is for tls: and wss: addresses"
  if (Option.isSome(flags.cert) !== Option.isSome(flags.key)) return "--cert and --key need each other"

  if (address._tag === "WebSocket") {
    return Option.isSome(flags.idleTimeout)
      ? "--idle-timeout is for tcp:, tls: and unix: addresses; --ping-interval is for this one"
      : undefined
  }
  if (header.length > 0) return "--header is for ws: and wss: addresses"
  if (binary) return "--binary is for ws: and wss: addresses"
  if (Option.isSome(flags.pingInterval)) return "--ping-interval is for ws: and wss: addresses"
  if (address._tag === "Exec" && Option.isSome(flags.idleTimeout)) {
    return "--idle-timeout is for tcp:, tls: and unix: addresses"
  }
  return undefined
}

const upstreamFor = (flags: Flags, address: Address, { stderr }: Report.Report) =>
  Effect.gen(function* () {
    const [ca, cert, key] = [flags.ca, flags.cert, flags.key].map(Option.getOrUndefined)
    const read = (option: string, path: string | undefined) =>
      path === undefined
        ? Effect.succeed(undefined)
        : Effect.catchAll(fileOf(option, path), ({ message }) => refuse(message))
    const problem = problemOfTls({
      ca: yield* read("--ca", ca),
      cert: yield* read("--cert", cert),
      key: yield* read("--key", key)
    })
    if (problem !== undefined) return yield* refuse(`--ca, --cert and --key must be ${problem}`)
    yield* Effect.catchAll(headersOf(flags.header), ({ message }) => refuse(message))

    const made = Either.try({
      try: (): Upstream =>
        upstreamOf({
          address,
          name: Option.getOrUndefined(flags.name),
          tls: { ca, cert, key, servername: Option.getOrUndefined(flags.servername), insecure: flags.insecure },
          headers: flags.header,
          pingInterval: Option.getOrUndefined(flags.pingInterval),
          isLines: !flags.binary && Option.isNone(flags.listen),
          isHalfOpen: Option.isSome(flags.listen),
          stderr
        }),
      catch: (error) => error
    })
    if (Either.isRight(made)) return made.right
    return yield* made.left instanceof InvalidOption ? refuse(made.left.message) : Effect.die(made.left)
  })

const patienceOf = (flags: Flags): Patience => ({
  initialDelay: Option.getOrElse(flags.initialDelay, () => Duration.millis(500)),
  maxDelay: Option.getOrElse(flags.maxDelay, () => Duration.seconds(30)),
  giveUpAfter: Option.getOrElse(flags.giveUpAfter, () => Number.POSITIVE_INFINITY),
  connectTimeout: Option.getOrElse(flags.connectTimeout, () => Duration.seconds(30)),
  resetAfter: Option.getOrElse(flags.resetAfter, () => Duration.seconds(5)),
  maxAge: Option.getOrElse(flags.maxAge, () => Duration.infinity),
  idleTimeout: Option.getOrUndefined(flags.idleTimeout)
})

interface Keeping {
  readonly upstream: Upstream
  readonly patience: Patience
  readonly report: Report.Report
  readonly streams: Streams
}

const keep = (flags: Flags, keeping: Keeping): Effect.Effect<void, LastError, Scope.Scope> =>
  Option.match(flags.page, {
    onNone: () => keepShown(flags, keeping),
    onSome: (where) =>
      Effect.gen(function* () {
        // Only this needs a server of HTTP, which takes time to load.
        const { showPage } = yield* Effect.promise(() => import("./page.js"))
        const title = keeping.upstream.endpoint.name
        const url = yield* showPage({ ...where, title, actions: flags.pageActions })
        yield* keeping.report.happened({ event: "page", url })
        yield* keepShown(flags, keeping)
      }).pipe(Effect.provide(ClientServices.layer))
  })

const keepShown = (flags: Flags, keeping: Keeping): Effect.Effect<void, LastError, Scope.Scope> =>
  Option.match(flags.listen, {
    onNone: () => keepOne(flags, keeping),
    onSome: (where) =>
      listen({
        ...keeping,
        ...where,
        maxWait: Option.getOrElse(flags.maxWait, () => Duration.seconds(30)),
        halfOpen: Option.getOrElse(flags.halfOpen, () => Duration.seconds(30))
      })
  })

const keepOne = (flags: Flags, { patience, report, streams: { stdin, stdout }, upstream }: Keeping) =>
  Effect.gen(function* () {
    const command = yield* Effect.transposeOption(
      Option.map(flags.exec, (command) => commandAtConnection(command, upstream, report.stderr))
    )
    const service = yield* ClientService.make({
      endpoint: upstream.endpoint,
      protocol: Option.match(command, {
        onNone: () => (transport: Transport) => Effect.succeed(transport),
        onSome: ({ protocol }) => protocol
      }),
      ...serviceOptions(patience)
    })
    const { caughtUp } = yield* watch(service, (state) => report.state(state, service.name))
    yield* Effect.addFinalizer(() => Effect.zipRight(service.stop, caughtUp))
    yield* service.start
    yield* Option.match(command, {
      onNone: () =>
        Race.firstOf(netcat(service, { input: flags.noInput ? undefined : stdin, output: stdout }), stdout.closed),
      onSome: ({ finished }: CommandAtConnection) => Race.firstOf(finished, exhausted(service))
    })
  }).pipe(Effect.catchTag("ServiceStopped", () => Effect.void))

// A command has no way to learn that there will be no other connection.
const exhausted = (service: Service) => Effect.zipRight(Stream.runDrain(service.connections), Effect.never)
