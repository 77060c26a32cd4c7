/**
 * A live page of all services that are listed by `ClientServices`: what each is doing and has done, on one time axis.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ClientServices from "effect-client-service/ClientServices"
import * as InvalidOption from "effect-client-service/InvalidOption"
import { contentSecurityPolicy, html } from "./internal/document.js"
import { events } from "./internal/events.js"
import { isFromPage, isKnownHost } from "./internal/guard.js"
import type { Action } from "./internal/model.js"
import { type MomentOf, Readings } from "./internal/readings.js"

/**
 * What the page is and may do.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Where the page is. Default `"/services"`. */
  readonly path?: `/${string}` | undefined
  /** What the page is headed by, such as the name of the program. Default `"Services"`. */
  readonly title?: string | undefined
  /**
   * Whether the page has buttons that check, reconnect, stop and start a service. Whoever sees the page can press them.
   * Default: it only shows.
   */
  readonly actions?: boolean | undefined
  /**
   * The names, without a port, under which browsers ask for the page, besides `localhost` and addresses: under any other it is
   * refused, since a stranger's page may have a name of its own lead here. Default: none.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
  /** How many services are shown at once, the oldest first; of more, those are found that one looks for. Default 200. */
  readonly limit?: number | undefined
}

/**
 * Routes to mount beside those of a program: the page, at `/services` unless told otherwise, and below it what the page asks
 * for. They answer for all services that are made under `ClientServices.layer` or `Health.layer`.
 *
 * Nobody is asked for a password, so the page is for those who reach the port: have it listen on `127.0.0.1`, or put it behind
 * what knows your users. It tells the names of services and the classes of errors, and no words of theirs, unless the list is
 * told to `describe` them.
 *
 * @example
 * ```ts
 * import { HttpRouter } from "@effect/platform"
 * import { Devtools } from "effect-client-service-devtools"
 *
 * const app = HttpRouter.empty.pipe(HttpRouter.concat(Devtools.routes({ actions: true })))
 * ```
 *
 * @throws InvalidOption if an option makes no sense
 *
 * @since 0.1.0
 * @category routes
 */
export const routes = (options: Options = {}): HttpRouter.HttpRouter<never, ClientServices.ClientServices> => {
  const settings = settingsOf(options)
  const { path } = settings
  const identify = identifiers()
  const readingsOf = readers(momentOf(identify, settings))
  return HttpRouter.empty.pipe(
    HttpRouter.get(path === "" ? "/" : path, guarded(settings, Effect.succeed(page))),
    HttpRouter.get(`${path}/events`, guarded(settings, follow(readingsOf))),
    HttpRouter.post(`${path}/:id/:action`, guarded(settings, act(settings, identify)))
  )
}

interface Settings {
  /** Without a slash at its end. */
  readonly path: `/${string}` | ""
  readonly title: string
  readonly actions: boolean
  readonly hosts: ReadonlyArray<string>
  readonly limit: number
}

const settingsOf = ({
  actions = false,
  hosts = [],
  limit = 200,
  path = "/services",
  title = "Services"
}: Options): Settings => {
  const refuse = (option: string, value: unknown, expected: string) => {
    throw new InvalidOption.InvalidOption({ where: "Devtools.routes", option, value, expected })
  }
  if (!/^\/[^?#*:]*$/.test(path)) refuse("path", path, "a path that begins with / and has no parameters")
  if (!Number.isInteger(limit) || limit < 1) refuse("limit", limit, "an integer of at least 1")
  if (title.trim() === "") refuse("title", title, "a text that is not empty")
  const trimmed = path.replace(/\/+$/, "")
  return { path: trimmed === "" ? "" : `/${trimmed.slice(1)}`, title, actions, hosts, limit }
}

type Identify = (listed: ClientServices.Listed) => string

/** Gives services identifiers, which are those of no other program: a page may have been left open from the last one. */
const identifiers = (): Identify => {
  const run = Math.random().toString(36).slice(2)
  const known = new WeakMap<ClientServices.Listed["service"], string>()
  let last = 0
  return ({ service }) => {
    const id = known.get(service) ?? `${run}-${++last}`
    known.set(service, id)
    return id
  }
}

const guarded = <R>(
  { hosts }: Settings,
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, never, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(headersOf, (headers) =>
    isKnownHost(headers, hosts)
      ? answer
      : refused("The page is not shown under this name. The option `hosts` of Devtools.routes allows it.")
  )

const headersOf: Effect.Effect<Headers.Headers, never, HttpServerRequest.HttpServerRequest> = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ headers }) => headers
)

const common = { "cache-control": "no-store", "x-content-type-options": "nosniff" }

const page = HttpServerResponse.text(html, {
  contentType: "text/html; charset=utf-8",
  headers: {
    ...common,
    "content-security-policy": contentSecurityPolicy,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY"
  }
})

const refused = (why: string) => Effect.succeed(HttpServerResponse.text(why, { status: 403, headers: common }))

const follow = (readingsOf: (services: ClientServices.ClientServices) => Readings) =>
  Effect.gen(function* () {
    const readings = readingsOf(yield* ClientServices.ClientServices)
    const request = yield* HttpServerRequest.HttpServerRequest
    // No URL is made of it: what a stranger asks for may be none.
    const search = new URLSearchParams(request.url.split("?", 2)[1]).get("name")?.toLowerCase() ?? ""
    const stream = events(readings, { search, isOver: () => isClosing(request.source) })
    return HttpServerResponse.stream(stream, {
      contentType: "text/event-stream",
      // The connection is of no further use, and a server that closes would wait for it.
      headers: { ...common, connection: "close", "x-accel-buffering": "no" }
    })
  })

/** Gives what all pages of a list share. */
const readers = (momentOf: MomentOf): ((services: ClientServices.ClientServices) => Readings) => {
  const known = new WeakMap<ClientServices.ClientServices, Readings>()
  return (services) => {
    const readings = known.get(services) ?? new Readings(services, momentOf)
    known.set(services, readings)
    return readings
  }
}

const momentOf =
  (identify: Identify, { actions, limit, title }: Settings): MomentOf =>
  (all, now, search) => {
    const found = search === "" ? all : all.filter(({ name }) => name.toLowerCase().includes(search))
    const shown = Effect.forEach(found.slice(0, limit), (listed) =>
      Effect.map(listed.counts, (counts) => ({
        id: identify(listed),
        listed,
        counts,
        canCheck: Option.isSome(listed.check)
      }))
    )
    return Effect.map(shown, (shown) => ({
      now,
      begin: { title, actions },
      total: all.length,
      found: found.length,
      shown
    }))
  }

/**
 * Whether the server that a request came by takes no more. One of Node.js waits for every answer before it is closed, and an
 * answer without an end must not keep a program from ending.
 */
const isClosing = (source: unknown): boolean => at(at(at(source, "socket"), "server"), "listening") === false

const at = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined

const act = ({ actions }: Settings, identify: Identify) =>
  Effect.gen(function* () {
    if (!actions) return yield* refused("The page only shows. The option `actions` of Devtools.routes allows more.")
    if (!isFromPage(yield* headersOf)) return yield* refused("This is for the page alone.")
    const { id, action } = yield* HttpRouter.params
    const listed = (yield* ClientServices.all.get).find((listed) => identify(listed) === id)
    const effect = listed && effectOf(listed, action)
    if (effect === undefined) return HttpServerResponse.empty({ status: 404, headers: common })
    yield* Effect.annotateLogs(Effect.logInfo(`${action}, asked for on the page`), "service", listed?.name)
    return HttpServerResponse.unsafeJson(yield* effect, { headers: common })
  })

const effectOf = (
  { check, service }: ClientServices.Listed,
  action: string | undefined
): Effect.Effect<boolean | null> | undefined => {
  const effects: Record<Action, Effect.Effect<boolean | null> | undefined> = {
    check: Option.getOrUndefined(check),
    reconnect: Effect.as(service.reconnect, null),
    start: Effect.as(service.start, null),
    stop: Effect.as(service.stop, null)
  }
  return action !== undefined && isAction(action, effects) ? effects[action] : undefined
}

const isAction = (action: string, effects: Record<Action, unknown>): action is Action => Object.hasOwn(effects, action)
