import { describe, expect, it } from "@effect/vitest"
import { ConnectError } from "effect-client-service-node"

const nodeError = (code: string, message = `connect ${code}`) => Object.assign(new Error(message), { code })

describe("ConnectError", () => {
  it.each<[ConnectError.Reason, ReadonlyArray<string>]>([
    ["Refused", ["ECONNREFUSED", "ENOENT", "ENOTDIR", "EAGAIN"]],
    ["Dns", ["ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "ENODATA", "ESERVFAIL"]],
    ["TimedOut", ["ETIMEDOUT", "ERR_SOCKET_CONNECTION_TIMEOUT"]],
    ["Unreachable", ["EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "EADDRNOTAVAIL"]],
    [
      "Tls",
      [
        "ERR_TLS_CERT_ALTNAME_INVALID",
        "ERR_SSL_WRONG_VERSION_NUMBER",
        "ERR_OSSL_PEM_NO_START_LINE",
        "CERT_HAS_EXPIRED",
        "CRL_HAS_EXPIRED",
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "SELF_SIGNED_CERT_IN_CHAIN",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "HOSTNAME_MISMATCH",
        "INVALID_CA",
        "EPROTO"
      ]
    ],
    ["Reset", ["ECONNRESET", "EPIPE", "ECONNABORTED"]],
    ["Permission", ["EACCES", "EPERM"]],
    ["Other", ["EMFILE", "ERR_INVALID_ARG_TYPE", "toString", ""]]
  ])("takes for %s: %s", (reason, codes) => {
    for (const code of codes) expect([code, ConnectError.reasonOf(code)]).toEqual([code, reason])
  })

  it("keeps the code and the cause, and tells what to look at", () => {
    const cause = nodeError("ECONNREFUSED")
    const error = ConnectError.fromNodeError(cause, "127.0.0.1:6379")
    expect(error).toMatchObject({ _tag: "ConnectError", reason: "Refused", address: "127.0.0.1:6379" })
    expect(error.code).toBe("ECONNREFUSED")
    expect(error.cause).toBe(cause)
    expect(error.message).toBe(
      "127.0.0.1:6379: nothing accepts connections there; is the server running, and is this its address? (ECONNREFUSED)"
    )
  })

  it("tells the details of a failed handshake, since its code alone says little", () => {
    const error = ConnectError.fromNodeError(nodeError("CERT_HAS_EXPIRED", "certificate has expired"), "db:5432")
    expect(error.message).toBe("db:5432: the TLS handshake failed (CERT_HAS_EXPIRED): certificate has expired")
    // OpenSSL ends its lines.
    const wrong = nodeError("ERR_SSL_WRONG_VERSION_NUMBER", "wrong version number:\n")
    expect(ConnectError.fromNodeError(wrong, "db:5432").message).toMatch(/: wrong version number:$/)
    const two = new AggregateError([wrong, nodeError("EPROTO")])
    expect(ConnectError.fromNodeError(two, "db:5432").message).toMatch(/: wrong version number:, connect EPROTO$/)
  })

  it("is JSON without its cause, which may be none", () => {
    const certificate: Record<string, unknown> = {}
    certificate["issuerCertificate"] = certificate
    const cause = Object.assign(nodeError("ERR_TLS_CERT_ALTNAME_INVALID", "not of db"), { cert: certificate })
    const error = ConnectError.fromNodeError(cause, "db:5432")
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      _tag: "ConnectError",
      reason: "Tls",
      address: "db:5432",
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      message: error.message
    })
  })

  it("takes what has no code for Other", () => {
    expect(ConnectError.fromNodeError("odd", "a").reason).toBe("Other")
    expect(ConnectError.fromNodeError(new Error("odd"), "a").message).toBe("a: the connection failed: odd")
    expect(ConnectError.fromNodeError(undefined, "a").message).toBe("a: the connection failed")
  })

  it("takes of several addresses that of the attempt that got farthest, and tells of all", () => {
    const unreachable = nodeError("ENETUNREACH")
    const timedOut = nodeError("ETIMEDOUT")
    const refused = nodeError("ECONNREFUSED")
    const expired = nodeError("CERT_HAS_EXPIRED", "certificate has expired")
    const ofAll = (...errors: ReadonlyArray<unknown>) =>
      ConnectError.fromNodeError(new AggregateError(errors), "db:5432")
    expect(ofAll(unreachable).reason).toBe("Unreachable")
    expect(ofAll(unreachable, timedOut, refused).reason).toBe("Refused")
    expect(ofAll(unreachable, timedOut)).toMatchObject({ reason: "TimedOut", code: "ETIMEDOUT" })
    expect(ofAll(unreachable, timedOut).message).toBe(
      "db:5432: no answer; is the host up, and does a firewall drop the packets? (ETIMEDOUT): connect ENETUNREACH, connect ETIMEDOUT"
    )
    const error = ofAll(
      ConnectError.fromNodeError(refused, "[::1]:5432"),
      ConnectError.fromNodeError(expired, "127.0.0.1:5432"),
      ConnectError.fromNodeError(undefined, "127.0.0.2:5432"),
      "odd"
    )
    expect(error).toMatchObject({ reason: "Tls", code: "CERT_HAS_EXPIRED", cause: { errors: [{}, {}, {}, "odd"] } })
    expect(error.message).toBe(
      "db:5432: the TLS handshake failed (CERT_HAS_EXPIRED): [::1]:5432 (ECONNREFUSED), 127.0.0.1:5432 (certificate has expired), 127.0.0.2:5432 (Other), odd"
    )
  })
})
