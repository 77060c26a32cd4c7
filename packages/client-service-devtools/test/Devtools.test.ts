import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Queue, Scope } from "effect"
import { ClientServices } from "effect-client-service"
import { Devtools } from "../src/index.js"
import { html } from "../src/internal/document.js"
import type { Update } from "../src/internal/model.js"
import { file, makeDocument } from "./support/document.js"
import { ask, counted, listen, makeService, Refused, secret, serve } from "./support/served.js"

const Live = Layer.merge(ClientServices.layer, Logger.minimumLogLevel(LogLevel.None))

/** Takes updates until one is as it should be. */
const awaitUpdate = (updates: Queue.Dequeue<Update>, isIt: (update: Update) => boolean): Effect.Effect<Update> =>
  Effect.repeat(Queue.take(updates), { until: isIt })

const statesOf = (update: Update) => update.services.flatMap(({ transitions }) => transitions.map(({ state }) => state))

const idOf = (update: Update) => update.services[0]?.id ?? "none"

describe("the document", () => {
  it("is what `npm run page` makes of what is in `page`", async () => {
    expect(readFileSync(file, "utf8") === (await makeDocument())).toBe(true)
  })

  it("is less than 100 KiB, and asks nobody else for anything", () => {
    const size = Math.ceil(Buffer.byteLength(html) / 1024)
    expect(size).toBeLessThan(100)
    expect(readFileSync(new URL("../README.md", import.meta.url), "utf8")).toContain(`in ${size} KiB:`)
    const addresses = html.match(/\b(?:https?:)?\/\/[\w.-]+/g)?.filter((address) => address !== "http://www.w3.org")
    expect(addresses ?? []).toEqual([])
    expect(html).not.toMatch(/<(?:script|img|link)[^>]+(?:src|href)="(?!data:)/)
  })
})

describe("Devtools.routes", () => {
  it.scopedLive("serves the page, which may run its own script alone and ask its own program alone", () =>
    Effect.gen(function* () {
      const port = yield* serve()
      const { headers, status, text } = yield* ask(port, { path: "/services" })
      expect(status).toBe(200)
      expect(text).toBe(html)
      expect(headers).toMatchObject({
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer"
      })
      const policy = String(headers["content-security-policy"]).split("; ")
      expect(policy.map((directive) => directive.replace(/'sha256-[\w+/]{43}='/, "hash"))).toEqual([
        "default-src 'none'",
        "script-src hash",
        "style-src hash",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'"
      ])
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("tells everything first, then what changes, and no words of errors", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService(`<script>alert("orders")</script>\n\nx`, 3_600_000, true)
      yield* service.start
      const ear = yield* listen(yield* serve({ title: "Shop" }))
      const first = yield* Queue.take(ear.updates)
      expect(first).toMatchObject({
        begin: { title: "Shop", actions: false },
        total: 1,
        found: 1,
        ids: [idOf(first)],
        services: [{ name: service.name, canCheck: true, waiters: 0, uses: 0, gaps: 0, isWhole: true }]
      })
      expect(statesOf(first)).toEqual(["Init", "Connecting"])

      yield* server.refuse(new Refused(secret))
      const refused = yield* Queue.take(ear.updates)
      expect(refused.services).toMatchObject([
        { isWhole: false, transitions: [{ state: "Waiting", cause: "Refused" }] }
      ])
      expect(refused).not.toHaveProperty("begin")
      expect(refused).not.toHaveProperty("ids")

      yield* Effect.forkScoped(service.whenConnected())
      const waited = yield* Queue.take(ear.updates)
      expect(waited.services).toMatchObject([{ waiters: 1, transitions: [] }])

      const later = yield* makeService("later", 1000)
      const added = yield* Queue.take(ear.updates)
      expect(added).toMatchObject({ total: 2, services: [{ name: later.service.name, isWhole: true }] })
      expect(added.ids).toHaveLength(2)
      expect(ear.raw()).not.toContain(secret)
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("leaves nothing of a browser that has gone", () =>
    Effect.gen(function* () {
      yield* makeService("orders", 1000)
      const { followers, services } = yield* counted
      const port = yield* Effect.provideService(serve(), ClientServices.ClientServices, services)
      const ear = yield* listen(port)
      yield* Queue.take(ear.updates)
      expect(followers()).toBe(1)
      yield* ear.close
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => followers() === 0 })
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("keeps no server from closing", () =>
    Effect.gen(function* () {
      yield* makeService("orders", 1000)
      const scope = yield* Scope.make()
      const ear = yield* listen(yield* Scope.extend(serve(), scope))
      yield* Queue.take(ear.updates)
      yield* Effect.timeout(Scope.close(scope, yield* Effect.exit(Effect.void)), "10 seconds")
      yield* ear.ended
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("has services do nothing, unless that is allowed", () =>
    Effect.gen(function* () {
      const { service } = yield* makeService("orders", 1000)
      const port = yield* serve()
      const ear = yield* listen(port)
      const id = idOf(yield* Queue.take(ear.updates))
      const headers = { "sec-fetch-site": "same-origin" }
      const answer = yield* ask(port, { method: "POST", path: `/services/${id}/start`, headers })
      expect(answer.status).toBe(403)
      expect(answer.text).toContain("actions")
      expect(yield* service.running).toBe(false)
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("has a service do what the page asks for", () =>
    Effect.gen(function* () {
      const { server } = yield* makeService("orders", 3_600_000, true)
      const port = yield* serve({ actions: true })
      const ear = yield* listen(port)
      const first = yield* Queue.take(ear.updates)
      expect(first.begin?.actions).toBe(true)
      const post = (action: string, id = idOf(first)) =>
        ask(port, { method: "POST", path: `/services/${id}/${action}`, headers: { "sec-fetch-site": "same-origin" } })
      const became = (state: string) =>
        awaitUpdate(ear.updates, (update) => statesOf(update).slice(-1).join() === state)

      expect(yield* post("start")).toMatchObject({ status: 200, text: "null" })
      yield* server.refuse(new Refused())
      yield* became("Waiting")
      yield* post("reconnect")
      yield* server.accept("first")
      yield* became("Connected")
      expect(yield* post("check")).toMatchObject({ status: 200, text: "true" })
      yield* post("stop")
      yield* became("Stopped")
      expect(yield* post("check")).toMatchObject({ status: 200, text: "false" })

      for (const action of ["toString", "name", ""]) expect((yield* post(action)).status).toBe(404)
      // Of a program that ran before this one.
      expect((yield* post("start", "abc-1")).status).toBe(404)
      const { service: other } = yield* makeService("without a heartbeat", 1000)
      const { services } = yield* awaitUpdate(ear.updates, ({ services }) => services[0]?.name === other.name)
      expect((yield* post("check", services[0]?.id)).status).toBe(404)
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("refuses what does not come from the page", () =>
    Effect.gen(function* () {
      const { service } = yield* makeService("orders", 1000)
      const port = yield* serve({ actions: true })
      const ear = yield* listen(port)
      const path = `/services/${idOf(yield* Queue.take(ear.updates))}/start`
      const host = `127.0.0.1:${port}`
      const statusOf = (headers: Record<string, string>) =>
        Effect.map(ask(port, { method: "POST", path, headers }), ({ status }) => status)
      expect(yield* statusOf({})).toBe(403)
      expect(yield* statusOf({ "sec-fetch-site": "cross-site", origin: `http://${host}` })).toBe(403)
      expect(yield* statusOf({ "sec-fetch-site": "same-site", origin: `http://${host}` })).toBe(403)
      expect(yield* statusOf({ "sec-fetch-site": "none" })).toBe(403)
      expect(yield* statusOf({ origin: "http://evil.example" })).toBe(403)
      expect(yield* statusOf({ origin: `http://${host}0` })).toBe(403)
      expect(yield* statusOf({ origin: "null" })).toBe(403)
      expect((yield* ask(port, { path, headers: { "sec-fetch-site": "same-origin" } })).status).toBe(404)
      expect(yield* service.running).toBe(false)
      expect(yield* statusOf({ origin: `http://${host}` })).toBe(200)
      expect(yield* service.running).toBe(true)
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("is shown under the names that it is known by, and no stranger's", () =>
    Effect.gen(function* () {
      const port = yield* serve({ hosts: ["ops.example.com"] })
      const statusOf = (host: string, path = "/services") =>
        Effect.map(ask(port, { path, headers: { host } }), ({ status }) => status)
      const known = ["localhost", "shop.localhost:80", "10.0.0.7:8080", "[::1]:80", "OPS.example.com:443"]
      for (const host of known) expect([host, yield* statusOf(host)]).toEqual([host, 200])
      const unknown = ["evil.example", "10.0.0.7.evil.example", "localhost.evil.example", "notlocalhost", "example.com"]
      for (const host of unknown) expect([host, yield* statusOf(host)]).toEqual([host, 403])
      expect(yield* statusOf("evil.example", "/services/events")).toBe(403)
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("shows as many as are asked for, and finds the others by their names", () =>
    Effect.gen(function* () {
      for (const name of ["Orders 1", "orders 2", "prices", "orders 3"]) yield* makeService(name, 1000)
      const port = yield* serve({ limit: 2, path: "/admin/live/" })
      const shown = (search: string) =>
        Effect.gen(function* () {
          const { found, services, total } = yield* Queue.take(
            (yield* listen(port, `/admin/live/events${search}`)).updates
          )
          return { total, found, names: services.map(({ name }) => name) }
        })
      expect(yield* shown("")).toEqual({ total: 4, found: 4, names: ["Orders 1", "orders 2"] })
      expect(yield* shown("?name=price")).toEqual({ total: 4, found: 1, names: ["prices"] })
      expect(yield* shown("?name=ORDERS")).toEqual({ total: 4, found: 3, names: ["Orders 1", "orders 2"] })
      // What is no URL, or badly written.
      expect(yield* shown("?name=%&x")).toMatchObject({ found: 0 })
      const ear = yield* listen(port, "http://x:99999/admin/live/events?name=price")
      expect(yield* Queue.take(ear.updates)).toMatchObject({ found: 1 })
      expect((yield* ask(port, { path: "/admin/live" })).status).toBe(200)
    }).pipe(Effect.provide(Live))
  )

  it.scopedLive("can be all that there is at a port", () =>
    Effect.gen(function* () {
      const { service } = yield* makeService("orders", 1000)
      const port = yield* serve({ path: "/", actions: true })
      expect((yield* ask(port, { path: "/" })).text).toBe(html)
      const first = yield* Queue.take((yield* listen(port, "/events")).updates)
      const headers = { "sec-fetch-site": "same-origin" }
      yield* ask(port, { method: "POST", path: `/${idOf(first)}/start`, headers })
      expect(yield* service.running).toBe(true)
    }).pipe(Effect.provide(Live))
  )

  it("refuses options that make no sense", () => {
    const refusal = (options: Devtools.Options) => {
      try {
        Devtools.routes(options)
        return "none"
      } catch (error) {
        return String(error)
      }
    }
    // A text from elsewhere may be no path.
    const noPath = "services" as `/${string}`
    expect(refusal({ path: noPath })).toContain("path must be a path that begins with /")
    expect(refusal({ path: "/services/:id" })).toContain("path must be")
    expect(refusal({ limit: 0 })).toContain("limit must be an integer of at least 1, got 0")
    expect(refusal({ title: " " })).toContain("title must be a text that is not empty")
    expect(refusal({ path: "/" })).toBe("none")
  })
})
