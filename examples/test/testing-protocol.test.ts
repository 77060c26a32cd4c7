import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lines from "../support/lines.js"
import { login } from "../testing-protocol.js"

describe("testing-protocol", () => {
  it.scoped("the scenario tells what went over the wire", () =>
    Effect.gen(function* () {
      expect(yield* login).toEqual({
        firstLogin: "AUTH sesame\n",
        refusal: new Lines.Rejected({ reason: "who are you" }),
        question: "PRICE tea\n",
        price: "+12"
      })
    })
  )
})
