import { RequestId } from "@effect/rpc/RpcMessage"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { TakeCaller } from "./protocol.js"

/** So many are remembered: of a request that its middleware fails, nobody asks. */
const most = 1024

let last = 0n

/**
 * Remembers which fiber makes a request. A client sends it by another fiber, but asks for its id in the one that makes it.
 */
export const callers = (): { readonly generateRequestId: () => RequestId; readonly take: TakeCaller } => {
  const callers = new Map<string, Fiber.RuntimeFiber<unknown, unknown>>()
  return {
    generateRequestId: () => {
      last += 1n
      const caller = Option.getOrUndefined(Fiber.getCurrentFiber())
      if (caller !== undefined) callers.set(String(last), caller)
      const [first] = callers.keys()
      if (callers.size > most && first !== undefined) callers.delete(first)
      return RequestId(last)
    },
    take: (requestId) => {
      const caller = callers.get(requestId)
      callers.delete(requestId)
      return caller
    }
  }
}
