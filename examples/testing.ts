/**
 * A service of your own on top of a `ClientService`, whose users know of mails and nothing of connections, and a test of
 * it that takes no time.
 */
import { Context, Data, Effect, Fiber, Layer, TestClock } from "effect"
import { ClientService, type Endpoint, TestEndpoint } from "effect-client-service"

/** What the mail library at hand gives. */
export interface MailConnection {
  readonly deliver: (to: string, text: string) => Effect.Effect<string, Refused>
}

export class Refused extends Data.TaggedError("Refused")<{ readonly reason: string }> {}

/** The server does not take this mail. */
export class MailRejected extends Data.TaggedError("MailRejected")<{ readonly to: string; readonly reason: string }> {}

/** The mail was not sent, for want of a connection. */
export class MailUnsent extends Data.TaggedError("MailUnsent")<{ readonly to: string }> {}

/** The connection was lost, or the server fell silent, on the way: the mail may have arrived. */
export class MailUncertain extends Data.TaggedError("MailUncertain")<{ readonly to: string }> {}

export interface MailService {
  /** Gives the number of the mail, within 10 seconds. */
  readonly send: (to: string, text: string) => Effect.Effect<string, MailRejected | MailUnsent | MailUncertain>
}

export class Mailer extends Context.Tag("app/Mailer")<Mailer, MailService>() {
  /** The endpoint is an argument, so that a test can give another. */
  static readonly layer = <E>(endpoint: Endpoint.Endpoint<MailConnection, E>): Layer.Layer<Mailer> =>
    Layer.scoped(
      Mailer,
      Effect.gen(function* () {
        const service = yield* ClientService.make({ endpoint, name: "mailer" })
        yield* service.start
        return { send: (to, text) => send(service, to, text) }
      })
    )
}

const send = <E>(service: ClientService.ClientService<MailConnection, E>, to: string, text: string) =>
  Effect.suspend(() => {
    let isUnderWay = false
    return service
      .use((mail) => {
        isUnderWay = true
        return mail.deliver(to, text)
      })
      .pipe(
        Effect.timeout("10 seconds"),
        Effect.mapError((error) => {
          if (error._tag === "Refused") return new MailRejected({ to, reason: error.reason })
          return isUnderWay ? new MailUncertain({ to }) : new MailUnsent({ to })
        })
      )
  })

/**
 * The heart of a test: the server is down, comes up, and is lost while a mail is under way. Run it with the services of
 * `@effect/vitest`'s `it.effect`, or with `TestContext` of `effect`.
 */
export const outage = Effect.gen(function* () {
  const server = yield* TestEndpoint.make<MailConnection, "down">()

  return yield* Effect.gen(function* () {
    const mailer = yield* Mailer
    const send = (to: string) => Effect.fork(Effect.either(mailer.send(to, "hello")))

    // The first attempt is refused. The mail waits, and goes out once the second one, of which the default policy lets
    // half a second pass at most, is accepted.
    const early = yield* send("early@example.com")
    yield* server.refuse("down")
    yield* TestClock.adjust("500 millis")
    const connection = yield* server.accept({ deliver: (to) => Effect.succeed(`1 to ${to}`) })
    const sent = yield* Fiber.join(early)

    // The next connection never answers, and is lost.
    yield* connection.drop()
    yield* TestClock.adjust("1 second")
    const silent = yield* server.accept({ deliver: () => Effect.never })
    const late = yield* send("late@example.com")
    yield* TestClock.adjust("1 second")
    yield* silent.drop()
    const uncertain = yield* Fiber.join(late)

    // Then there is none at all.
    const never = yield* send("never@example.com")
    yield* TestClock.adjust("10 seconds")
    const unsent = yield* Fiber.join(never)

    return { sent, uncertain, unsent }
  }).pipe(Effect.provide(Mailer.layer(server.endpoint)))
})
