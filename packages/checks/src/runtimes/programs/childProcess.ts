import { Cause, Chunk, Effect, Stream } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { ChildProcessEndpoint } from "effect-client-service-node"
import { check, main, say, until } from "./world.js"

await main(() =>
  Effect.scoped(
    Effect.gen(function* () {
      const losses: Array<unknown> = []
      const service = yield* ClientService.make({
        endpoint: ChildProcessEndpoint.make("cat"),
        retryPolicy: RetryPolicy.fromFunction(() => "50 millis")
      })
      yield* service.state.changes.pipe(
        Stream.runForEach((state) =>
          Effect.sync(() => void (state._tag === "Waiting" && losses.push(Cause.squash(state.cause))))
        ),
        Effect.fork
      )
      const echo = service.use((transport) =>
        Effect.gen(function* () {
          yield* transport.write("hello")
          const answer = yield* Stream.runCollect(Stream.take(Stream.decodeText(transport.incoming), 1))
          yield* check(Chunk.join(answer, "") === "hello", () => `${answer} instead of hello`)
          return transport.pid
        })
      )
      yield* service.start
      const pid = yield* echo
      yield* say("started, and answered")
      process.kill(pid, "SIGKILL")
      yield* until(
        "its end is known",
        Effect.sync(() => losses.length > 0)
      )
      yield* check(String(losses[0]).includes("SIGKILL"), () => `the loss is ${losses[0]}`)
      const next = yield* echo
      yield* check(next !== pid, () => "the same process answered")
      yield* say("killed, and started again")
      yield* service.stop
      yield* until(
        "no process is left",
        Effect.sync(() => !isAlive(next))
      )
      yield* say("stopped")
    })
  )
)

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
