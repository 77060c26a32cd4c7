import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, FiberId, Option } from "effect"
import { ClientService, ConnectionError, ConnectionState, EndpointsFailed, Transport } from "effect-client-service"

const service = "redis"

describe("ConnectTimeout", () => {
  it.each(["connect", "protocol", "prepare"] as const)("tells that it was %s that took too long", (stage) => {
    const error = new ConnectionError.ConnectTimeout({ service, duration: Duration.millis(1500), stage })
    expect(error.message).toBe(`redis: no connection within 1s 500ms: ${stage} had not finished`)
    expect(String(error)).toBe(`ConnectTimeout: ${error.message}`)
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

  it("tells how the connection ended, where there was no error", () => {
    const detail = "the peer ended it cleanly (FIN)"
    const error = new ConnectionError.ConnectionLost({ service, detail })
    expect(error.message).toBe("redis: the connection was lost: the peer ended it cleanly (FIN)")
    expect(new ConnectionError.ConnectionLost({ service, cause: error }).message).toBe(error.message)
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
      "redis: gave up after 3 failures in a row: connect ECONNREFUSED"
    )
  })

  it("has no row of one", () => {
    expect(exhausted(Cause.fail(new Error("refused")), 1).message).toBe("redis: gave up after 1 failure: refused")
  })

  it.each<[string, Cause.Cause<unknown>, string]>([
    ["a text", Cause.fail("refused"), "refused"],
    ["a defect", Cause.die(new TypeError("x is not a function")), "TypeError: x is not a function"],
    ["an interruption", Cause.interrupt(FiberId.none), "interrupted"],
    [
      "an error of the service",
      Cause.fail(new ConnectionError.ConnectTimeout({ service, duration: Duration.seconds(30), stage: "prepare" })),
      "no connection within 30s: prepare had not finished"
    ],
    [
      "an error of a transport",
      Cause.fail(new Transport.TransportError({ reason: "Read", cause: new Error("reset") })),
      "TransportError: reading from the connection failed: reset"
    ],
    [
      "a failure and what its clean-up died of",
      Cause.sequential(Cause.fail(new Error("refused")), Cause.die(new Error("clean-up"))),
      "refused"
    ]
  ])("tells a cause that is %s in one line", (_, cause, reason) => {
    expect(exhausted(cause).message).toBe(`redis: gave up after 3 failures in a row: ${reason}`)
  })

  it("tells no more than the tag of a cause that is neither an Error nor text, as that may hold a secret", () => {
    const url = "redis://user:hunter2@host"
    expect(exhausted(Cause.fail({ url })).message).toBe("redis: gave up after 3 failures in a row")
    expect(exhausted(Cause.fail({ _tag: "Refused", url })).message).toBe(
      "redis: gave up after 3 failures in a row: Refused"
    )
  })

  it("keeps the whole cause", () => {
    const cause = Cause.parallel(Cause.fail("refused"), Cause.die("bug"))
    expect(exhausted(cause).cause).toBe(cause)
  })
})

describe("NotConnected", () => {
  const maxWait = Duration.seconds(2)
  const refused = Cause.fail(new Error("connect ECONNREFUSED"))
  const messageIn = (state: ConnectionState.ConnectionState<string, unknown>) =>
    new ConnectionError.NotConnected({ service, state, maxWait }).message

  it.each<[ConnectionState.ConnectionState<string, unknown>, string]>([
    [ConnectionState.Init(), "the service is not started"],
    [ConnectionState.Connecting({ attempt: 1, failures: 0, cause: Option.none() }), "attempt 1 is under way"],
    [
      ConnectionState.Connecting({ attempt: 4, failures: 3, cause: Option.some(refused) }),
      "attempt 4 is under way after 3 failures in a row: connect ECONNREFUSED"
    ],
    [ConnectionState.Connected({ protocol: "first", generation: 1, connectedAt: 0 }), "it was lost just now"],
    [
      ConnectionState.Waiting({ failures: 1, delay: Duration.seconds(5), retryAt: 5000, cause: refused }),
      "waiting to try again after 1 failure: connect ECONNREFUSED"
    ],
    [ConnectionState.Disconnecting({ uses: 0 }), "the service is stopping"],
    [ConnectionState.Restarting(), "the service is restarting"],
    [ConnectionState.Stopped(), "the service is stopped"],
    [
      ConnectionState.Exhausted({ failures: 2, cause: refused }),
      "gave up after 2 failures in a row: connect ECONNREFUSED"
    ]
  ])("tells what the service is doing, and why: $_tag", (state, doing) => {
    expect(messageIn(state)).toBe(`redis: no connection within 2s: ${doing}`)
  })

  it("tells of no time if the caller did not wait", () => {
    const state = ConnectionState.Init()
    const expected = "redis: no connection: the service is not started"
    expect(new ConnectionError.NotConnected({ service, state, maxWait: Duration.zero }).message).toBe(expected)
    expect(new ConnectionError.NotConnected({ service, state }).message).toBe(expected)
  })

  it("tells neither of a protocol nor of a cause that may hold a secret", () => {
    const secret = { url: "redis://user:hunter2@host" }
    const cause = Cause.fail(secret)
    for (const state of [
      ConnectionState.Connecting({ attempt: 2, failures: 1, cause: Option.some(cause) }),
      ConnectionState.Waiting({ failures: 1, delay: Duration.zero, retryAt: 0, cause }),
      ConnectionState.Exhausted({ failures: 1, cause }),
      ConnectionState.Connected({ protocol: secret.url, generation: 1, connectedAt: 0 })
    ]) {
      expect(messageIn(state)).not.toContain("hunter2")
    }
  })
})

describe("an error within another of the same service", () => {
  const lost = (cause?: unknown) => new ConnectionError.ConnectionLost({ service, cause })
  const timedOut = new ConnectionError.ConnectTimeout({ service, duration: Duration.seconds(30), stage: "protocol" })
  const silent = new ConnectionError.HeartbeatTimeout({ service, duration: Duration.seconds(10) })
  const stopped = new ConnectionError.ServiceStopped({ service })
  const exhausted = (error: unknown, failures = 3) =>
    new ConnectionError.RetriesExhausted({ service, failures, cause: Cause.fail(error) })
  const notConnected = (error: unknown) =>
    new ConnectionError.NotConnected({
      service,
      state: ConnectionState.Waiting({ failures: 3, delay: Duration.zero, retryAt: 0, cause: Cause.fail(error) })
    })

  it.each<[Error, string]>([
    [lost(lost()), "redis: the connection was lost"],
    [lost(lost(lost(new Error("reset")))), "redis: the connection was lost: reset"],
    [lost(new Error("the connection was lost")), "redis: the connection was lost"],
    [lost(new Error("the connection was lost: reset")), "redis: the connection was lost: reset"],
    [
      lost(new Error("the connection was lost, badly")),
      "redis: the connection was lost: the connection was lost, badly"
    ],
    [lost(timedOut), "redis: the connection was lost: no connection within 30s: protocol had not finished"],
    [lost(silent), "redis: the connection was lost: no answer to the heartbeat within 10s"],
    [lost(stopped), "redis: the connection was lost: the service is stopped"],
    [
      lost(exhausted(lost())),
      "redis: the connection was lost: gave up after 3 failures in a row: the connection was lost"
    ],
    [exhausted(lost()), "redis: gave up after 3 failures in a row: the connection was lost"],
    [
      exhausted(lost(silent)),
      "redis: gave up after 3 failures in a row: the connection was lost: no answer to the heartbeat within 10s"
    ],
    [
      exhausted(timedOut),
      "redis: gave up after 3 failures in a row: no connection within 30s: protocol had not finished"
    ],
    [exhausted(exhausted(lost())), "redis: gave up after 3 failures in a row: the connection was lost"],
    [
      notConnected(lost()),
      "redis: no connection: waiting to try again after 3 failures in a row: the connection was lost"
    ],
    [
      notConnected(timedOut),
      "redis: no connection: waiting to try again after 3 failures in a row: no connection within 30s: protocol had not finished"
    ]
  ])("says nothing twice: %s", (error, message) => {
    expect(error.message).toBe(message)
  })

  it("is told from one of another service, whose name it keeps", () => {
    const proxy = new ConnectionError.ConnectionLost({ service: "proxy" })
    expect(lost(proxy).message).toBe("redis: the connection was lost: proxy: the connection was lost")
    expect(exhausted(proxy).message).toBe(
      "redis: gave up after 3 failures in a row: ConnectionLost: proxy: the connection was lost"
    )
  })
})

describe("the errors", () => {
  const errors = {
    ConnectTimeout: new ConnectionError.ConnectTimeout({ service, duration: Duration.seconds(1), stage: "connect" }),
    HeartbeatTimeout: new ConnectionError.HeartbeatTimeout({ service, duration: Duration.seconds(1) }),
    ConnectionLost: new ConnectionError.ConnectionLost({ service }),
    NotConnected: new ConnectionError.NotConnected({ service, state: ConnectionState.Init() }),
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
    expect(ClientService.NotConnected).toBe(ConnectionError.NotConnected)
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

describe("EndpointsFailed", () => {
  it("tells which endpoints failed and why, and no more than the tag of what may hold a secret", () => {
    const error = new EndpointsFailed.EndpointsFailed<unknown>({
      failures: [
        { endpoint: "first", cause: Cause.fail(new Error("refused")) },
        { endpoint: "second", cause: Cause.fail({ _tag: "Denied", password: "hunter2" }) },
        { endpoint: "third", cause: Cause.fail({ password: "hunter2" }) }
      ]
    })
    expect(error.message).toBe("first: refused; second: Denied; third: failed")
  })
})
