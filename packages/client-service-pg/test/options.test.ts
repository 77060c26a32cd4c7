import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestEndpoint } from "effect-client-service"
import { type PgConnection, PgEndpoint, PgService } from "effect-client-service-pg"

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
    expect(refusal(() => PgEndpoint.make({ port: 0 }))).toContain("PgEndpoint.make: port must be")
    expect(refusal(() => PgEndpoint.make({ host: " " }))).toContain("PgEndpoint.make: host must be")
    expect(refusal(() => PgEndpoint.make({ name: "" }))).toContain("PgEndpoint.make: name must be")
    expect(refusal(() => PgEndpoint.make({ linger: Number.POSITIVE_INFINITY }))).toContain(
      "PgEndpoint.make: linger must"
    )
  })

  it("refuses a connection string that is none, and does not show it", () => {
    const message = refusal(() => PgEndpoint.make({ connectionString: "postgres://user:secret@:99:99/x" }))
    expect(message).toContain("PgEndpoint.make: connectionString")
    expect(message).not.toContain("secret")
  })

  it("is named after where it connects to, without secrets", () => {
    const connectionString = "postgres://user:secret@db.example.com:6543/app?application_name=secret"
    for (const given of [connectionString, Redacted.make(connectionString)]) {
      expect(PgEndpoint.make({ connectionString: given }).name).toBe("postgres://db.example.com:6543/app")
    }
    expect(PgEndpoint.make({ connectionString, name: "orders" }).name).toBe("orders")
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
