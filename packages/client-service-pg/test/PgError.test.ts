import { describe, expect, it } from "@effect/vitest"
import { PgError } from "effect-client-service-pg"
import { DatabaseError } from "pg"
import { pgFailure } from "../src/internal/pgFailure.js"

const endpoint = "db.example.com:5432"

const fromServer = (code: string) => Object.assign(new DatabaseError("as the server says", 10, "error"), { code })

const fromNode = (code: string) => Object.assign(new Error("as Node.js says"), { code })

describe("PgError", () => {
  for (const [cause, reason, isFatal] of [
    [fromServer("28P01"), "Authentication", true],
    [fromServer("28000"), "Authentication", true],
    [new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string"), "Authentication", true],
    [fromServer("3D000"), "NoDatabase", true],
    [fromServer("57P03"), "Unavailable", false],
    [fromServer("53300"), "Unavailable", false],
    [fromServer("57P01"), "Terminated", false],
    [fromServer("57P05"), "Terminated", false],
    [fromServer("25P03"), "Terminated", false],
    [fromServer("23505"), "Query", false],
    [fromNode("ECONNREFUSED"), "Refused", false],
    [fromNode("ENOTFOUND"), "Dns", false],
    [fromNode("ETIMEDOUT"), "TimedOut", false],
    [fromNode("EHOSTUNREACH"), "Unreachable", false],
    [fromNode("ECONNRESET"), "Reset", false],
    [fromNode("EACCES"), "Permission", false],
    [fromNode("CERT_HAS_EXPIRED"), "Tls", false],
    [new Error("The server does not support SSL connections"), "Tls", false],
    [new Error("Connection terminated unexpectedly"), "Reset", false],
    [new Error("timeout expired"), "TimedOut", false],
    [new Error("something else"), "Other", false],
    ["not even an error", "Other", false]
  ] as const) {
    it(`takes ${cause instanceof Error && "code" in cause ? cause.code : cause} for ${reason}`, () => {
      const error = pgFailure(cause, endpoint)
      expect(error).toMatchObject({ _tag: "PgError", reason, endpoint, cause })
      expect(PgError.isFatal(error)).toBe(isFatal)
    })
  }

  it("tells where, what, and what the server says", () => {
    expect(pgFailure(fromServer("57P03"), endpoint).message).toBe(
      "db.example.com:5432: the server takes no connection now (57P03): as the server says"
    )
    expect(pgFailure(undefined, endpoint).message).toBe("db.example.com:5432: it failed")
  })

  it("is JSON also if what Node.js tells of a certificate refers to itself", () => {
    const cert: Record<string, unknown> = {}
    cert["issuerCertificate"] = cert
    const error = pgFailure(Object.assign(fromNode("ERR_TLS_CERT_ALTNAME_INVALID"), { cert }), endpoint)
    const { message } = error
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      _tag: "PgError",
      reason: "Tls",
      endpoint,
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      detail: error.detail,
      message
    })
  })

  it("finds no other error fatal", () => {
    expect(PgError.isFatal(new Error("28P01"))).toBe(false)
  })
})
