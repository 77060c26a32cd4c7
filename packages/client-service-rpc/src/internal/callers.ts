import { RequestId } from "@effect/rpc/RpcMessage"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { TakeCaller } from "./protocol.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** So many that were never sent are remembered of one fiber: it makes several before they are, as it opens streams. */
const most = 16

/** So many are remembered before those are looked for who have ended. */
const many = 1024

let last = 0n

/**
 * Remembers which fiber makes a request. A client sends it by another fiber, but asks for its id in the one that makes it. Of a
 * request that its middleware fails, nobody asks.
 */
export const callers = (): { readonly generateRequestId: () => RequestId; readonly take: TakeCaller } => {
  const byId = new Map<string, AnyFiber>()
  /** The last ones of a fiber. */
  const latest = new WeakMap<AnyFiber, Array<string>>()
  let limit = many
  return {
    generateRequestId: () => {
      last += 1n
      const id = String(last)
      const caller = Option.getOrUndefined(Fiber.getCurrentFiber())
      if (caller !== undefined) {
        const ids = latest.get(caller) ?? []
        latest.set(caller, ids)
        ids.push(id)
        if (ids.length > most) byId.delete(ids.shift() ?? "")
        byId.set(id, caller)
      }
      if (byId.size > limit) {
        for (const [id, each] of byId) if (each.unsafePoll() !== null) byId.delete(id)
        limit = Math.max(many, 2 * byId.size)
      }
      return RequestId(last)
    },
    take: (requestId) => {
      const caller = byId.get(requestId)
      byId.delete(requestId)
      return caller
    }
  }
}
