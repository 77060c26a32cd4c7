import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Deferred, Effect, Exit, type Layer, Redacted } from "effect"
import { Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { type PgConnection, PgEndpoint, PgError, PgService } from "effect-client-service-pg"
import { ofUrl } from "../src/internal/url.js"

const refusal = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return String(error)
  }
  throw new Error("It is accepted")
}

describe("PgEndpoint.make", () => {
  it("refuses what makes no sense", () => {
    // What a program without types may pass, too.
    for (const port of [0, null, "80", Number.NaN, -0, 1.5])
      expect(refusal(() => PgEndpoint.make({ port: port as number }))).toContain("PgEndpoint.make: port must be")
    expect(refusal(() => PgEndpoint.make({ url: "postgres://h:0" }))).toContain("PgEndpoint.make: port must be")
    // With the name of the socket, it is longer than a path of one may be.
    expect(refusal(() => PgEndpoint.make({ host: `/${"x".repeat(100)}` }))).toContain("PgEndpoint.make: host must be")
    expect(refusal(() => PgEndpoint.make({ host: " " }))).toContain("PgEndpoint.make: host must be")
    for (const host of ["localhost\0.evil.example", "/run/postgresql\0"])
      expect(refusal(() => PgEndpoint.make({ host }))).toContain("PgEndpoint.make: host must be")
    expect(refusal(() => PgEndpoint.make({ name: "" }))).toContain("PgEndpoint.make: name must be")
    for (const part of ["user", "database", "application_name", "fallback_application_name", "options"]) {
      const url = `postgres://me@db.example.com?${part}=app%00user%00other`
      for (const options of [{ [part]: "app\0user\0other" }, { url }]) {
        expect(refusal(() => PgEndpoint.make(options))).toMatch(
          /(user|database|application_name|options) must be without a NUL/
        )
      }
    }
    for (const [option, value] of [
      ["statement_timeout", Number.NaN],
      ["lock_timeout", -1],
      ["query_timeout", 2_147_483_648],
      ["idle_in_transaction_session_timeout", 0.5],
      ["connectionTimeoutMillis", 1e12],
      ["keepAliveInitialDelayMillis", -1],
      ["client_encoding", "latin1"]
    ] as const) {
      expect(refusal(() => PgEndpoint.make({ [option]: value }))).toContain(`PgEndpoint.make: ${option} must be`)
    }
    expect(PgEndpoint.make({ host: "a", database: "b", statement_timeout: false, query_timeout: 5000 }).name).toBe(
      "postgres://a:5432/b"
    )
    expect(refusal(() => PgEndpoint.make({ linger: Number.POSITIVE_INFINITY }))).toContain(
      "PgEndpoint.make: linger must"
    )
  })

  it("refuses a connection string that is none, and does not show it", () => {
    const message = refusal(() => PgEndpoint.make({ url: "postgres://user:secret@:99:99/x" }))
    expect(message).toContain("PgEndpoint.make: url")
    expect(message).not.toContain("secret")
  })

  it("refuses query parts that it does not know, by their names", () => {
    const base = "postgres://user:secret@db.example.com/app"
    const message = refusal(() => PgEndpoint.make({ url: `${base}?service=mine` }))
    expect(message).toContain("?service=")
    expect(message).not.toContain("secret")
    expect(refusal(() => PgEndpoint.make({ url: `${base}?connect_timeout=soon` }))).toContain("seconds")
    expect(refusal(() => PgEndpoint.make({ url: `${base}?channel_binding=x` }))).toContain("prefer")
    const known =
      "application_name=a&connect_timeout=5&sslmode=verify-full&channel_binding=require&options=-c%20x%3D1&target_session_attrs=any"
    expect(PgEndpoint.make({ url: `${base}?${known}` }).name).toBe("postgres://db.example.com:5432/app")
  })

  it("refuses what pg would take for something else, by name and value, and shows no secret", () => {
    const base = "postgres://user:secret@db.example.com/app"
    for (const [url, told] of [
      ["mysql://user:secret@db.example.com/app", "postgres://"],
      ["https://user:secret@db.example.com/app", "postgres://"],
      ["db.example.com", "postgres://"],
      ["postgres:db.example.com", "postgres://"],
      ["postgres:/db.example.com/app", "postgres://"],
      [`${base}#secret`, "fragment"],
      ["postgres://user:/secret@db.example.com/app", "%2F"],
      ["postgres://user:12/secret@db.example.com/app", "%2F"],
      ["postgres://user:secret@db.example\r\n.com/app", "line end"],
      ["postgres://user:pa?secret@db.example.com/app", "<redacted>"],
      ["postgres://user:pa?ssl=secret@db.example.com/app", "<redacted>"],
      [`${base}?port=5432abc`, "?port=5432abc"],
      [`${base}?database=orders`, "?database=orders"],
      ["postgres://db.example.com?database=app&db=orders", "?db=orders"],
      [`${base}?ssl=false&sslmode=require`, "?ssl=false"],
      [`${base}?ssl=0&sslrootcert=/ca.pem`, "?ssl=0"],
      [`${base}?ssl=true&sslmode=disable`, "?ssl=true"],
      [`${base}?connect_timeout=2147484`, "?connect_timeout=2147484"],
      [`${base}?query_timeout=2147483648`, "?query_timeout=2147483648"],
      [`${base}?application_name=a&application_name=b`, "?application_name="],
      [`${base}?sslmode=verify_full`, "?sslmode=verify_full"],
      [`${base}?sslmode=allow`, "?sslmode=allow"],
      [`${base}?ssl=no`, "?ssl=no"],
      [`${base}?uselibpqcompat=1`, "?uselibpqcompat=1"],
      [`${base}?sslnegotiation=tls`, "?sslnegotiation=tls"],
      [`${base}?client_encoding=latin1`, "?client_encoding=latin1"],
      [`${base}?replication=maybe`, "?replication=maybe"],
      [`${base}?sslcert=/a.pem`, "sslkey"],
      [`${base}?sslkey=/a.pem`, "sslcert"],
      ...["sslcert=&sslkey=/a.pem", "sslcert=/a.pem&sslkey=", "sslrootcert=", "sslrootcert=%20"].map(
        (part) => [`${base}?${part}`, "the path of a file"] as const
      ),
      ...["statement_timeout", "lock_timeout", "query_timeout", "idle_in_transaction_session_timeout"].map(
        (name) => [`${base}?${name}=5s`, `?${name}=5s`] as const
      )
    ] as const) {
      const message = refusal(() => PgEndpoint.make({ url }))
      expect(message).toContain(told)
      expect(message).not.toContain("secret")
      expect(refusal(() => PgEndpoint.cluster({ url }))).toContain(told)
    }
  })

  it("shows nothing of a password that has a question mark", () => {
    for (const rest of [
      "secret",
      "ssl=secret",
      "target_session_attrs=secret",
      "ssl=1&secret",
      "ssl=1&ssl=secret",
      "secret=1&secret"
    ]) {
      for (const make of [PgEndpoint.make<never>, PgEndpoint.cluster<never>]) {
        const message = refusal(() => make({ url: `postgres://user:pa?${rest}@db.example.com/app` }))
        expect(message).toMatch(/: url(: target_session_attrs)? must be/)
        expect(message).not.toContain("secret")
      }
    }
  })

  it("has nothing said of sslmode on the standard error", () => {
    // `pg` speaks of the first that it is given in a process, so what it is given has to do.
    const given = (query: string) => ofUrl("test", `postgres://db.example.com/app?${query}`).config.connectionString
    for (const mode of ["prefer", "require", "verify-ca", "verify-full"]) {
      expect(given(`sslmode=${mode}`)).toBe("postgres://db.example.com/app?sslmode=verify-full")
    }
    const asLibpq = "sslmode=require&uselibpqcompat=true"
    expect(given(asLibpq)).toBe(`postgres://db.example.com/app?${asLibpq}`)
  })

  it("takes a scheme in capitals, and a database of the query", () => {
    const nameOf = (url: string) => PgEndpoint.make({ url }).name
    expect(nameOf("POSTGRESQL://db.example.com/app?client_encoding=UTF8&ssl=false")).toBe(
      "postgres://db.example.com:5432/app"
    )
    for (const name of ["database", "db"]) {
      expect(nameOf(`postgres://db.example.com?${name}=orders`)).toBe("postgres://db.example.com:5432/orders")
    }
    expect(nameOf("postgres://db.example.com/my%20app?database=my%20app&ssl=true&sslmode=verify-full")).toBe(
      "postgres://db.example.com:5432/my app"
    )
    expect(nameOf("postgres://db.example.com/100%?db=100%25")).toContain("/100%")
    expect(nameOf("postgres://db.example.com?connect_timeout=2147483&port=6543")).toContain(":6543")
    const { name } = PgEndpoint.cluster({ url: "POSTGRES://a.example,b.example/app" })
    expect(name).toContain("a.example")
    expect(name).toContain("b.example")
  })

  it.scopedLive("tells each host of a URL who logs in, also by a name that has an @", () =>
    Effect.gen(function* () {
      const told = yield* Deferred.make<string>()
      const server = createServer((socket) =>
        socket.once("data", (chunk) => {
          Deferred.unsafeDone(told, Exit.succeed(chunk.toString()))
          socket.destroy()
        })
      )
      yield* Effect.acquireRelease(
        Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      const { connect } = PgEndpoint.cluster({ url: `postgres://me@corp:p@ss@127.0.0.1:1,127.0.0.1:${port}/app` })
      for (const _ of [1, 2]) yield* Effect.flip(connect({ lost: () => {} }))
      expect(yield* Deferred.await(told)).toContain("user\0me@corp\0")
    })
  )

  it.scoped("fails an attempt whose certificates are gone by then", () =>
    Effect.gen(function* () {
      const folder = mkdtempSync(join(tmpdir(), "pg-options-"))
      const file = join(folder, "root.pem")
      writeFileSync(file, "")
      const endpoint = PgEndpoint.make({ url: `postgres://127.0.0.1:1/app?sslmode=verify-full&sslrootcert=${file}` })
      rmSync(folder, { recursive: true })
      const error = yield* Effect.flip(endpoint.connect({ lost: () => {} }))
      expect(error).toMatchObject({ _tag: "PgError", reason: "Credentials", detail: expect.stringContaining("ENOENT") })
    })
  )

  it("has options take the place of what the URL says, and of what it does not", () => {
    const bare = PgEndpoint.make({ url: "postgres://", host: "db.example.com", port: 6543, database: "orders" })
    expect(bare.name).toBe("postgres://db.example.com:6543/orders")
    const url = "postgres://me@other.example/app?host=third.example"
    const full = PgEndpoint.make({ url, host: "db.example.com", port: 6543, database: "orders and more" })
    expect(full.name).toBe("postgres://db.example.com:6543/orders and more")
  })

  it("has options take the place of those of a URL that names no host", () => {
    const url = "postgres://me:secret@/app?host=/run/postgresql"
    expect(PgEndpoint.make({ url, database: "orders" }).name).toBe("postgres:///run/postgresql:5432/orders")
    expect(PgEndpoint.make({ url: "socket:/run/postgresql?database=orders" }).name).toBe(
      "postgres:///run/postgresql:5432/orders"
    )
  })

  it("takes endpoints of several servers for a Layer", () => {
    const endpoint = PgEndpoint.make({ host: "db.example.com", database: "app" })
    const retryPolicy = RetryPolicy.fullJitter().pipe(RetryPolicy.whileError((error) => !PgError.isFatal(error)))
    const layer = () => PgService.layer({ endpoint: Endpoint.failover([endpoint, endpoint]), retryPolicy })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<PgService.PgService>>()
    const nested = Endpoint.happyEyeballs([Endpoint.failover([endpoint, endpoint]), endpoint])
    expectTypeOf(() => PgService.layer({ endpoint: nested })).returns.toEqualTypeOf<Layer.Layer<PgService.PgService>>()
  })

  it("takes the name of a host as the wire does, wherever it is given", () => {
    const nameOf = (options: PgEndpoint.Options) => PgEndpoint.make({ ...options, database: "app" }).name
    for (const options of [{ host: " Bücher.example. " }, { url: "postgres://Bücher.example./app" }])
      expect(nameOf(options)).toBe("postgres://xn--bcher-kva.example:5432/app")
    expect(nameOf({ host: "[::1]" })).toBe("postgres://[::1]:5432/app")
  })

  it("is named after where it connects to, without secrets", () => {
    const url = "postgres://user:secret@db.example.com:6543/app?application_name=secret"
    for (const given of [url, Redacted.make(url)]) {
      expect(PgEndpoint.make({ url: given }).name).toBe("postgres://db.example.com:6543/app")
    }
    expect(PgEndpoint.make({ url, name: "orders" }).name).toBe("orders")
  })
})

describe("listen", () => {
  it.scoped("refuses names that the server would cut or not take, and a buffer of nothing", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* TestEndpoint.make<PgConnection.PgConnection, never>()
      const pg = yield* PgService.make({ endpoint })
      expect(refusal(() => pg.listen(""))).toContain("channel must be")
      expect(refusal(() => pg.listen("a\0b"))).toContain("channel must be without a NUL")
      expect(refusal(() => pg.listen("ü".repeat(32)))).toContain("channel must be at most 63 bytes long")
      expect(refusal(() => pg.listen("jobs", { bufferSize: 1 }))).toContain(
        "bufferSize must be an integer of at least 2"
      )
    })
  )
})
