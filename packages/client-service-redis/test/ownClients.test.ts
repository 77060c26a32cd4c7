import { describe, expect, it } from "vitest"
import { type OwnClient, OwnClients } from "../src/internal/ownClients.js"

/** Clients of which each answers a `PING` at once, and one that shares them whose `UNBLOCK` is answered by the test. */
const make = () => {
  const done: Array<string> = []
  let opens = 0
  let unblocked = (_wasBlocked: boolean): void => {}
  const open = () => {
    const id = ++opens
    let isOpen = true
    const destroy = () => {
      isOpen = false
      done.push(`destroy ${id}`)
    }
    const own = {
      owner: { sendCommand: () => Promise.resolve("PONG") },
      id,
      isOpen: () => isOpen,
      isSpoiled: () => false
    }
    return { client: Promise.resolve(own as unknown as OwnClient), destroy }
  }
  const own = new OwnClients(open, {
    unblock: (id) => {
      done.push(`unblock ${id}`)
      return new Promise((resolve) => {
        unblocked = resolve
      })
    },
    kill: (id) => void done.push(`kill ${id}`)
  })
  /** Runs a command that blocks, and gives what answers it. */
  const blocked = () => {
    const over = new AbortController()
    let answer = (_value: unknown): void => {}
    const ran = own.run(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
      over.signal,
      "one that blocks"
    )
    return { abort: () => over.abort(), answer: (value: unknown) => answer(value), ran }
  }
  return { blocked, done, opens: () => opens, unblocked: (wasBlocked: boolean) => unblocked(wasBlocked) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe("a client that a command has for itself", () => {
  it("is nobody else's until it is known what the server has ended on it", async () => {
    const clients = make()
    const first = clients.blocked()
    await turn()
    first.abort()
    first.answer(null)
    await first.ran
    // The answer to UNBLOCK is on its way: it would end this one.
    const second = clients.blocked()
    await turn()
    expect(clients.opens()).toBe(2)
    clients.unblocked(true)
    await turn()
    const third = clients.blocked()
    await turn()
    expect(clients.opens()).toBe(2)
    expect(clients.done).toEqual(["unblock 1"])
    for (const { answer, ran } of [second, third]) {
      answer("job")
      expect(await ran).toBe("job")
    }
  })

  it("is closed by the server, too, if that has found nothing to end, which may be still to be read", async () => {
    const clients = make()
    const { abort, answer, ran } = clients.blocked()
    await turn()
    abort()
    clients.unblocked(false)
    await turn()
    answer(null)
    await ran
    await turn()
    expect(clients.done.slice(0, 3)).toEqual(["unblock 1", "kill 1", "destroy 1"])
    const next = clients.blocked()
    await turn()
    expect(clients.opens()).toBe(2)
    next.answer("job")
    expect(await next.ran).toBe("job")
  })
})
