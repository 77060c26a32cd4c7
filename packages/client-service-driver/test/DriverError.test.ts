import { DriverError } from "effect-client-service-driver"
import { expect, it } from "vitest"

it("the message of an error tells where it was, what it means, the code once, and the detail", () => {
  for (const [fields, message] of [
    [{}, "here: it failed"],
    [{ detail: "" }, "here: it failed"],
    [{ code: "28P01" }, "here: it failed (28P01)"],
    [{ code: 404, detail: "no such queue" }, "here: it failed (404): no such queue"],
    [{ code: "ENOENT", detail: "connect ENOENT" }, "here: it failed: connect ENOENT"]
  ] as const) {
    expect(DriverError.messageOf({ reason: "Other", endpoint: "here", ...fields }, "it failed")).toBe(message)
  }
})

it("an error is JSON without its cause", () => {
  const cause: Record<string, unknown> = {}
  cause["itself"] = cause
  const error = { _tag: "E", reason: "Other", endpoint: "here", code: 1, detail: "said", cause, message: "all" }
  const { cause: _, ...others } = error
  expect(JSON.parse(JSON.stringify(DriverError.toJSON(error)))).toEqual(others)
})
