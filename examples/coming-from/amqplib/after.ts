import { Effect, Stream } from "effect"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"

export const after = (url: string, onJob: (job: string) => void) =>
  Effect.gen(function* () {
    const amqp = yield* Amqp.make({ endpoint: AmqpEndpoint.make({ url }) })

    // On each channel that follows it declares and consumes anew.
    const jobs = amqp.consume("orders", { declare: (channel) => channel.assertQueue("orders"), prefetch: 1 })
    yield* jobs.pipe(
      Stream.runForEach((job) =>
        Effect.zipRight(
          Effect.sync(() => onJob(`${job.content}`)),
          Effect.ignoreLogged(job.ack)
        )
      ),
      Effect.forkScoped
    )

    // Waits for a connection, and until the message is confirmed. If that is lost before, sends it again.
    return { send: (job: string) => amqp.sendToQueue("orders", job, { resend: true }) }
  })
