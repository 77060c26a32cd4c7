import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"

/** What the RPC server of the benchmarks can do. */
export const Measured = RpcGroup.make(
  Rpc.make("Double", { payload: { number: Schema.Number }, success: Schema.Number }),
  /** The numbers from 1 on. */
  Rpc.make("Numbers", { payload: { count: Schema.Number }, success: Schema.Number, stream: true })
)
