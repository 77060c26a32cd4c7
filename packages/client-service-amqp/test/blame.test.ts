import { describe, expect, it } from "vitest"
import { Asked } from "../src/internal/blame.js"

type Reply = (error: Error | null) => void

const declare = 0x0032_000a
const bind = 0x0032_0014

/** What the server says as it closes the connection. */
const closeFor = (classId: number, methodId: number) => Object.assign(new Error("540"), { classId, methodId })

const make = () => {
  const replies: Array<Reply> = []
  const channel = {
    _rpc: (_method: number, _fields: unknown, _expected: number, reply: Reply) => void replies.push(reply)
  }
  const asked = new Asked()
  asked.listen(channel)
  const answers: Array<Error | null> = []
  const ask = (method: number) => channel._rpc(method, {}, method + 1, (error) => answers.push(error))
  return { answers, ask, asked, replies }
}

describe("who asked for what the server closes a connection for", () => {
  it("may be one that waits for the answer to it, and is not to blame once it is answered", () => {
    const { answers, ask, asked, replies } = make()
    expect(asked.maybe(closeFor(50, 10))).toBe(false)
    ask(declare)
    expect(asked.maybe(closeFor(50, 10))).toBe(true)
    expect(asked.maybe(closeFor(50, 20))).toBe(false)
    replies[0]?.(null)
    expect(answers).toEqual([null])
    expect(asked.maybe(closeFor(50, 10))).toBe(false)
    // The server does not tell.
    expect(asked.maybe(closeFor(0, 0))).toBe(true)
    expect(asked.maybe(new Error("540"))).toBe(true)
  })

  it("is not one whose question was not sent yet", () => {
    const { ask, asked, replies } = make()
    ask(declare)
    ask(bind)
    expect(asked.maybe(closeFor(50, 20))).toBe(false)
    replies[0]?.(null)
    expect(asked.maybe(closeFor(50, 20))).toBe(true)
  })

  it("is known when the loss has ended the questions", () => {
    const { answers, ask, asked, replies } = make()
    ask(declare)
    replies[0]?.(new Error("Channel closed"))
    expect(answers.length).toBe(1)
    expect(asked.maybe(closeFor(50, 10))).toBe(true)
    asked.clear()
    expect(asked.maybe(closeFor(50, 10))).toBe(false)
  })
})
