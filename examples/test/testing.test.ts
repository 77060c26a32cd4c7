import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Fiber, TestClock } from "effect"
import { TestEndpoint } from "effect-client-service"
import { type MailConnection, Mailer, MailRejected, MailUncertain, MailUnsent, outage, Refused } from "../testing.js"

describe("testing", () => {
  it.effect("the scenario tells what became of each mail", () =>
    Effect.gen(function* () {
      expect(yield* outage).toEqual({
        sent: Either.right("1 to early@example.com"),
        uncertain: Either.left(new MailUncertain({ to: "late@example.com" })),
        unsent: Either.left(new MailUnsent({ to: "never@example.com" }))
      })
    })
  )

  it.effect("a mail that the server refuses is rejected, and the connection kept", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<MailConnection>()
      yield* Effect.gen(function* () {
        const mailer = yield* Mailer
        const connection = yield* server.accept({ deliver: () => new Refused({ reason: "no such user" }) })
        const error = yield* Effect.flip(mailer.send("nobody@example.com", "hello"))
        expect(error).toEqual(new MailRejected({ to: "nobody@example.com", reason: "no such user" }))
        expect(yield* connection.closed).toBe(false)
      }).pipe(Effect.provide(Mailer.layer(server.endpoint)))
      expect(yield* server.closes).toBe(1)
    })
  )

  it.effect("a server that falls silent leaves a mail uncertain after 10 seconds", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<MailConnection>()
      yield* Effect.gen(function* () {
        const mailer = yield* Mailer
        yield* server.accept({ deliver: () => Effect.never })
        const mail = yield* Effect.fork(Effect.flip(mailer.send("a@example.com", "hello")))
        yield* TestClock.adjust("9 seconds")
        expect(mail.unsafePoll()).toBeNull()
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(mail)).toEqual(new MailUncertain({ to: "a@example.com" }))
      }).pipe(Effect.provide(Mailer.layer(server.endpoint)))
    })
  )
})
