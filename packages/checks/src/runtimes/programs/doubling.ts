import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"

/** What the peer answers to `@effect/rpc`: nothing, if it is asked for the double of 0. */
export const Doubling = RpcGroup.make(Rpc.make("Double", { payload: { n: Schema.Number }, success: Schema.Number }))
