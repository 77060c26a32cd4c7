import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, FiberId } from "effect"
import { ClientService, ConnectionError, Transport } from "effect-client-service"

const service = "redis"

describe("ConnectTimeout", () => {
  it("tells which service has no connection, and within what time", () => {
    const error = new ConnectionError.ConnectTimeout({ service, duration: Duration.millis(1500), stage: "connect" })
    expect(error.message).toBe("redis: no connection within 1s 500ms")
    expect(String(error)).toBe("ConnectTimeout: redis: no connection within 1s 500ms")
    expect(error._tag).toBe("ConnectTimeout")
  })
})

describe("HeartbeatTimeout", () => {
  it("tells which service lost its connection, and for what silence", () => {
    const error = new ConnectionError.HeartbeatTimeout({ service, duration: Duration.seconds(10) })
    expect(error.message).toMatch(/^redis: .*10s/)
  })
})

describe("ConnectionLost", () => {
  it("tells which service lost its connection", () => {
    expect(new ConnectionError.ConnectionLost({ service }).message).toBe("redis: the connection was lost")
  })

  it("tells the message of a cause that is an Error", () => {
    const error = new ConnectionError.ConnectionLost({ service, cause: new Error("read ECONNRESET") })
    expect(error.message).toBe("redis: the connection was lost: read ECONNRESET")
    expect(error.cause).toEqual(new Error("read ECONNRESET"))
  })

  it("tells nothing of a cause that is not an Error, as that may hold a secret", () => {
    const cause = { url: "redis://user:hunter2@host" }
    const error = new ConnectionError.ConnectionLost({ service, cause })
    expect(error.message).toBe("redis: the connection was lost")
    expect(error.cause).toBe(cause)
  })
})

describe("ServiceStopped", () => {
  it("tells which service is stopped", () => {
    expect(new ConnectionError.ServiceStopped({ service }).message).toBe("redis: the service is stopped")
  })
})

describe("RetriesExhausted", () => {
  const exhausted = (cause: Cause.Cause<unknown>, failures = 3) =>
    new ConnectionError.RetriesExhausted({ service, failures, cause })

  it("tells how many failures there were, and the first line of the last cause", () => {
    expect(exhausted(Cause.fail(new Error("connect ECONNREFUSED\nat some place"))).message).toBe(
      "redis: gave up after 3 failures in a row: Error: connect ECONNREFUSED"
    )
  })

  it("has no row of one", () => {
    expect(exhausted(Cause.fail(new Error("refused")), 1).message).toBe(
      "redis: gave up after 1 failure: Error: refused"
    )
  })

  it.each<[string, Cause.Cause<unknown>, string]>([
    ["a text", Cause.fail("refused"), "Error: refused"],
    ["a defect", Cause.die(new TypeError("x is not a function")), "TypeError: x is not a function"],
    ["an interruption", Cause.interrupt(FiberId.none), "All fibers interrupted without errors."],
    [
      "an error of the service",
      Cause.fail(new ConnectionError.ConnectTimeout({ service, duration: Duration.seconds(30), stage: "connect" })),
      "ConnectTimeout: redis: no connection within 30s"
    ],
    [
      "an error of a transport",
      Cause.fail(new Transport.TransportError({ reason: "Read", cause: new Error("reset") })),
      "TransportError: reading from the connection failed: reset"
    ],
    [
      "a failure and what its clean-up died of",
      Cause.sequential(Cause.fail(new Error("refused")), Cause.die(new Error("clean-up"))),
      "Error: refused"
    ]
  ])("tells a cause that is %s in one line", (_, cause, reason) => {
    expect(exhausted(cause).message).toBe(`redis: gave up after 3 failures in a row: ${reason}`)
  })

  it("keeps the whole cause", () => {
    const cause = Cause.parallel(Cause.fail("refused"), Cause.die("bug"))
    expect(exhausted(cause).cause).toBe(cause)
  })
})

describe("the errors", () => {
  const errors = {
    ConnectTimeout: new ConnectionError.ConnectTimeout({ service, duration: Duration.seconds(1), stage: "connect" }),
    HeartbeatTimeout: new ConnectionError.HeartbeatTimeout({ service, duration: Duration.seconds(1) }),
    ConnectionLost: new ConnectionError.ConnectionLost({ service }),
    ServiceStopped: new ConnectionError.ServiceStopped({ service }),
    RetriesExhausted: new ConnectionError.RetriesExhausted({ service, failures: 1, cause: Cause.fail("refused") }),
    TransportError: new Transport.TransportError({ reason: "Closed" })
  }
  for (const [tag, error] of Object.entries(errors)) {
    it(`${tag} is an Error that can be failed with, and is caught by its tag`, () => {
      expect(error).toBeInstanceOf(Error)
      expect(error.name).toBe(tag)
      expect(error.stack).toContain("ConnectionError.test")
      const failed: Effect.Effect<never, typeof error> = error
      expect(Effect.runSyncExit(failed)).toEqual(Exit.fail(error))
      expect(Effect.runSync(Effect.catchAll(failed, (caught) => Effect.succeed(caught._tag)))).toBe(tag)
    })
  }

  it("are those that ClientService exports", () => {
    expect(ClientService.ConnectTimeout).toBe(ConnectionError.ConnectTimeout)
    expect(ClientService.ConnectionLost).toBe(ConnectionError.ConnectionLost)
    expect(ClientService.ServiceStopped).toBe(ConnectionError.ServiceStopped)
    expect(ClientService.RetriesExhausted).toBe(ConnectionError.RetriesExhausted)
  })
})

describe("TransportError", () => {
  it.each<[Transport.TransportError["reason"], string]>([
    ["Read", "reading from the connection failed"],
    ["Write", "writing to the connection failed"],
    ["Closed", "the connection is closed"],
    ["Overflow", "the peer sent more than the receive buffer holds"]
  ])("of reason %s tells: %s", (reason, message) => {
    expect(new Transport.TransportError({ reason }).message).toBe(message)
    expect(new Transport.TransportError({ reason, cause: new Error("why") }).message).toBe(`${message}: why`)
    expect(new Transport.TransportError({ reason, cause: { password: "hunter2" } }).message).toBe(message)
  })
})
