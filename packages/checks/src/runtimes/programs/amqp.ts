import { Effect, Option, Predicate, Stream } from "effect"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
import { drive } from "./drive.js"
import { main } from "./world.js"

await main((world) =>
  Effect.gen(function* () {
    const amqp = yield* Amqp.Amqp
    const declare = Effect.asVoid(amqp.use((channel) => channel.assertQueue("runtimes", { durable: false })))
    const take = amqp
      .consume("runtimes", { declare: (channel) => channel.assertQueue("runtimes", { durable: false }) })
      .pipe(
        Stream.tap((message) => Effect.ignoreLogged(message.ack)),
        Stream.map((message) => String(message.content)),
        Stream.take(1),
        Stream.runHead,
        Effect.map(Option.getOrThrow)
      )
    const ask = declare.pipe(
      Effect.zipRight(amqp.sendToQueue("runtimes", "a job", { resend: true })),
      Effect.zipRight(take)
    )
    const call = amqp.use(() => new Promise<never>(() => {}))
    yield* drive(world, "rabbitmq", ask, call, Predicate.isTagged("ConnectionLost"))
  }).pipe(Effect.provide(Amqp.layer({ endpoint: AmqpEndpoint.make({ url: world.servers["rabbitmq"] }) })))
)
