import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { Amqp } from "effect-client-service-amqp"

// Connects in the background, and again whenever the connection is lost, until the program ends.
const AmqpLive = Amqp.layerConfig({ url: Config.redacted("AMQP_URL") })

const program = Effect.gen(function* () {
  const amqp = yield* Amqp.Amqp
  yield* amqp.use((channel) => channel.assertQueue("jobs"))

  // Waits for a connection, and until the server has confirmed the message. If the connection is lost before, sends it again.
  yield* amqp.sendToQueue("jobs", "write the report", { resend: true })

  // Goes on across connections. What is not acknowledged before one is lost comes again.
  const jobs = amqp.consume("jobs", { declare: (channel) => channel.assertQueue("jobs"), prefetch: 1 })
  yield* jobs.pipe(
    Stream.tap((job) => Console.log(`${job.content}`)),
    Stream.tap((job) => Effect.ignoreLogged(job.ack)),
    Stream.takeUntil((job) => `${job.content}` === "go home"),
    Stream.runDrain
  )
})

NodeRuntime.runMain(Effect.provide(program, AmqpLive))
