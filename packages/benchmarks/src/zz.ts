import * as Effect from "effect/Effect"
import * as Net from "node:net"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { reconnectCycle } from "./reconnectingService.js"
import { droppingServer, host } from "./tcp.js"
import { timed } from "./measure.js"
const cycles=500
const bareCycles = (port: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    let opens = 0
    const connect = (): void => {
      const socket = Net.connect({ host, port })
      socket.on("connect", () => {
        opens += 1
        if (opens === cycles) resume(Effect.sync(() => socket.destroy()))
      })
      socket.on("error", (error) => resume(Effect.die(error)))
      socket.on("close", () => {
        if (opens < cycles) connect()
      })
      socket.resume()
    }
    connect()
  })
await Effect.runPromise(Effect.scoped(Effect.gen(function*(){
  const port = yield* droppingServer
  for (let i=0;i<8;i++){
    const c0=process.cpuUsage()
    const a=yield* reconnectCycle(port,cycles)
    const c1=process.cpuUsage(c0)
    const c2=process.cpuUsage()
    const b=process.argv[2]==="solo"?0:yield* Effect.map(timed(bareCycles(port)), (m)=>m/cycles)
    const c3=process.cpuUsage(c2)
    console.log("ours",a.toFixed(3),"cpu",((c1.user+c1.system)/1000/cycles).toFixed(3),"bare",b.toFixed(3),"cpu",((c3.user+c3.system)/1000/cycles).toFixed(3))
  }
})).pipe(Logger.withMinimumLogLevel(LogLevel.None)))
