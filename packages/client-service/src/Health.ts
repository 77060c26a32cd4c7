/**
 * What orchestrators and load balancers ask for, of all services that are listed by `ClientServices`.
 *
 * It is imported by its path, `effect-client-service/Health`, since it brings the router of `@effect/platform` with it.
 *
 * @since 0.1.0
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as ClientServices from "./ClientServices.js"
import type { ConnectionState } from "./ConnectionState.js"

/**
 * An answer in the format of MicroProfile Health.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  /** `UP` if all checks are. */
  readonly status: Status
  readonly checks: ReadonlyArray<Check>
}

/**
 * What is said of one service.
 *
 * @since 0.1.0
 * @category models
 */
export interface Check {
  /** The name of the service. */
  readonly name: string
  readonly status: Status
  readonly data: {
    readonly state: ConnectionState<unknown>["_tag"]
    /** Since when it is in that state, as ISO 8601 has it. */
    readonly since: string
    /** The number of the last attempt since `start`. */
    readonly attempt: number
    /** Failures in a row. */
    readonly failures: number
    /** When the next attempt begins, while the service waits for that. */
    readonly nextAttempt?: string
    /** The class of the last failure, as far as it is remembered. */
    readonly lastCause?: string
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export type Status = "UP" | "DOWN"

/**
 * What the health protocol of gRPC (`grpc.health.v1`) says of a service.
 *
 * @since 0.1.0
 * @category models
 */
export type ServingStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN"

/**
 * Lists every service that is made under it: `ClientServices.layer`. There, `exclude` leaves some out, and `layerWith` and
 * `include` list those alone that are wanted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ClientServices.ClientServices> = ClientServices.layer

/**
 * Whether the program has started: every service has had a connection. Once it has said so of any, it stays so: a program
 * starts once, and services that are made later are told of when they have had theirs.
 *
 * @since 0.1.0
 * @category reports
 */
export const started: Effect.Effect<Report, never, ClientServices.ClientServices> = /* @__PURE__ */ Effect.flatMap(
  ClientServices.ClientServices,
  (services) =>
    Effect.map(services.all.get, (all) => {
      const listed = hasStarted.has(services) ? all.filter(hasConnected) : all
      const report = reportOf(listed, hasConnected)
      if (listed.some(hasConnected) && report.status === "UP") hasStarted.add(services)
      return report
    })
)

/**
 * Whether the program is alive. It is if it answers: to end a process that is about to reconnect mends no outage of a peer.
 *
 * @since 0.1.0
 * @category reports
 */
export const live: Effect.Effect<Report> = /* @__PURE__ */ Effect.succeed({ status: "UP", checks: [] })

/**
 * Whether the program is ready for work: every service has a connection now.
 *
 * @since 0.1.0
 * @category reports
 */
export const ready: Effect.Effect<Report, never, ClientServices.ClientServices> = /* @__PURE__ */ Effect.map(
  ClientServices.all.get,
  (services) => reportOf(services, isConnected)
)

/**
 * What the health protocol of gRPC says of the service of a name; of the name `""`, of all services.
 *
 * @since 0.1.0
 * @category grpc
 */
export const serving = (service: string): Effect.Effect<ServingStatus, never, ClientServices.ClientServices> =>
  Effect.map(ClientServices.all.get, servingOf(service))

/**
 * The same as of now and at each change, as `Watch` of the protocol wants it.
 *
 * @since 0.1.0
 * @category grpc
 */
export const watch = (service: string): Stream.Stream<ServingStatus, never, ClientServices.ClientServices> =>
  Stream.changes(Stream.map(ClientServices.all.changes, servingOf(service)))

/**
 * Routes that answer as MicroProfile Health has it, with 200 for `UP` and 503 for `DOWN`: `/health/started`, `/health/live`
 * and `/health/ready`.
 *
 * @example
 * ```ts
 * import { HttpRouter } from "@effect/platform"
 * import * as Health from "effect-client-service/Health"
 *
 * const app = HttpRouter.empty.pipe(HttpRouter.concat(Health.routes))
 * ```
 *
 * @since 0.1.0
 * @category routes
 */
export const routes: HttpRouter.HttpRouter<never, ClientServices.ClientServices> =
  /* @__PURE__ */ HttpRouter.empty.pipe(
    HttpRouter.get("/health/started", /* @__PURE__ */ Effect.flatMap(started, respond)),
    HttpRouter.get("/health/live", /* @__PURE__ */ Effect.flatMap(live, respond)),
    HttpRouter.get("/health/ready", /* @__PURE__ */ Effect.flatMap(ready, respond))
  )

function respond(report: Report) {
  return HttpServerResponse.unsafeJson(report, {
    status: report.status === "UP" ? 200 : 503,
    headers: { "cache-control": "no-store" }
  })
}

/**
 * The lists of the programs that have started. It is found when it is asked for, and not before: services are made one after the
 * other, and the first may have a connection before the second is made. Who asks comes when the program is up.
 */
const hasStarted = /* @__PURE__ */ new WeakSet<ClientServices.ClientServices>()

const reportOf = (
  services: ReadonlyArray<ClientServices.Listed>,
  isUp: (listed: ClientServices.Listed) => boolean
): Report => {
  const checks = services.map((listed) => checkOf(listed, isUp(listed)))
  return { status: statusOf(checks.every(({ status }) => status === "UP")), checks }
}

const hasConnected = ({ hasConnected }: ClientServices.Listed): boolean => hasConnected

const isConnected = ({ current }: ClientServices.Listed): boolean => current.state === "Connected"

const statusOf = (isUp: boolean): Status => (isUp ? "UP" : "DOWN")

const checkOf = ({ current, name, transitions }: ClientServices.Listed, isUp: boolean): Check => {
  const { at, attempt, failures, retryAt, state } = current
  const lastCause = transitions.reduce<string | undefined>((last, { cause }) => cause ?? last, undefined)
  return {
    name,
    status: statusOf(isUp),
    data: {
      state,
      since: isoOf(at),
      attempt,
      failures,
      ...(retryAt === undefined ? {} : { nextAttempt: isoOf(retryAt) }),
      ...(lastCause === undefined ? {} : { lastCause })
    }
  }
}

// Dates have an end, and throw beyond it.
const isoOf = (millis: number): string => new Date(Math.min(millis, 8.64e15)).toISOString()

const servingOf =
  (service: string) =>
  (all: ReadonlyArray<ClientServices.Listed>): ServingStatus => {
    const services = service === "" ? all : all.filter(({ name }) => name === service)
    if (service !== "" && services.length === 0) return "SERVICE_UNKNOWN"
    return services.every(isConnected) ? "SERVING" : "NOT_SERVING"
  }
