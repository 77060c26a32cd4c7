import { connect } from "amqplib"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
import * as rabbitmq from "test-servers/rabbitmq"
import { timedCalls } from "../callers.js"
import { installed } from "../installed.js"
import { interleave } from "../measure.js"
import type { Row } from "../row.js"

const publishes = 20_000
const atATime = 500
const queue = "measured"
const message = Buffer.alloc(64, "m")

export const amqpPublishes: Row = {
  name: "a confirmed AMQP publish, of 20,000, 500 at a time",
  against: "a confirm channel of amqplib in Effect.promise",
  unit: "ms",
  reach: { ratio: 1.3 },
  samples: Effect.gen(function* () {
    const paths = yield* installed(rabbitmq.install)
    const { url } = yield* rabbitmq.make(paths)
    const amqp = yield* Amqp.make({ endpoint: AmqpEndpoint.make({ url: Redacted.make(url) }) })
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => connect(url)),
      (model) => Effect.promise(() => model.close())
    )
    const channel = yield* Effect.promise(() => model.createConfirmChannel())
    yield* Effect.promise(() => channel.assertQueue(queue, { durable: false }))

    const publish = () =>
      new Promise<void>((resolve, reject) => {
        channel.sendToQueue(queue, message, { persistent: true }, (error) => {
          if (error === null) resolve()
          else reject(error)
        })
      })
    const measured = <E>(call: () => Effect.Effect<unknown, E>) =>
      Effect.zipRight(
        Effect.promise(() => channel.purgeQueue(queue)),
        timedCalls(publishes, atATime, call)
      )
    return yield* interleave({
      rounds: 7,
      warmUp: 2,
      subject: measured(() => amqp.sendToQueue(queue, message)),
      against: measured(() => Effect.promise(publish))
    })
  })
}
