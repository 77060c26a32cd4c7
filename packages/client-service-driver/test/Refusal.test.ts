import { Cause } from "effect"
import { EndpointsFailed } from "effect-client-service"
import { Refusal } from "effect-client-service-driver"
import { describe, expect, it } from "vitest"

const isFinal = Refusal.isFinal((error) => error === "wrong password")

const failed = (errors: ReadonlyArray<unknown>, untried?: number) =>
  new EndpointsFailed.EndpointsFailed({
    failures: errors.map((error) => ({ endpoint: "one", cause: Cause.fail(error) })),
    ...(untried === undefined ? {} : { untried })
  })

describe("a refusal", () => {
  it.each<[boolean, string, unknown]>([
    [true, "one that is", "wrong password"],
    [false, "another", "full"],
    [true, "several that are", failed(["wrong password", "wrong password"])],
    [false, "several of which one is not", failed(["wrong password", "full"])],
    [false, "several that are, of more", failed(["wrong password"], 1)],
    [true, "several of several", failed([failed(["wrong password"]), "wrong password"])],
    [
      false,
      "several of which one has died",
      new EndpointsFailed.EndpointsFailed({ failures: [{ endpoint: "one", cause: Cause.die("wrong password") }] })
    ]
  ])("is final (%s) of %s", (expected, _, error) => {
    expect(isFinal(error)).toBe(expected)
  })
})
