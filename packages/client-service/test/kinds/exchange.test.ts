import { describe, expect, it } from "@effect/vitest"
import { Chunk, Data, Effect, Exit, Fiber, Option, Scope, Stream, TestClock } from "effect"
import {
  ClientService,
  ConnectionError,
  Exchange,
  type FrameError,
  Framing,
  InvalidOption,
  RetryPolicy,
  TestEndpoint,
  TestTransport,
  Transport
} from "effect-client-service"
import fc from "fast-check"
import { awaitState, settle } from "../support/fixture.js"
import { transports } from "../support/received.js"
import { day, withWallClock } from "../support/wallClock.js"

const isEvent = (line: string): line is `*${string}` => line.startsWith("*")

/** Requests are `id:text`, and so are answers; what begins with a star is an event. */
const byId = (framed: Framing.Framed<string>, options?: { readonly maxId?: number }) =>
  Exchange.byId(framed, {
    request: (id, text: string) => `${id}:${text}`,
    idOf: (line) => (isEvent(line) ? undefined : Number(line.split(":")[0])),
    ...options
  })

const over = <A>(
  make: (framed: Framing.Framed<string>) => Effect.Effect<A, never, Scope.Scope>,
  /** What a write waits for. */
  gate: Effect.Effect<void> = Effect.void
) =>
  Effect.gen(function* () {
    const peer = yield* transports["a transport"]
    const losses: Array<FrameError.FrameError | undefined> = []
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const exchange = yield* make(
      Framing.lines().over(
        { ...peer.transport, write: (chunk) => Effect.zipRight(gate, peer.transport.write(chunk)) },
        { lost: (error) => losses.push(error) }
      )
    ).pipe(Scope.extend(scope))
    return { ...peer, exchange, losses, scope, lines: () => peer.written.splice(0).join("").split("\n").slice(0, -1) }
  })

describe("an exchange in order", () => {
  // Kind 14
  it.scoped("gives each caller its answer, however it comes in parts, and those of one turn go out in one write", () =>
    Effect.gen(function* () {
      const { exchange, receive, written } = yield* over(Exchange.inOrder)
      const asking = yield* Effect.fork(
        Effect.all([exchange.ask("1"), exchange.ask("2"), exchange.ask("3")], { concurrency: "unbounded" })
      )
      yield* settle
      expect(written).toEqual(["1\n2\n3\n"])
      receive("on", "e\r", "\ntwo\nthr")
      yield* settle
      receive("ee\n")
      expect(yield* Fiber.join(asking)).toEqual(["one", "two", "three"])
    })
  )

  // Kind 14
  it.effect("keeps the place of callers who have left, and takes back what was not sent", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.constantFrom("stays", "leaves", "leaves unsent"), fc.nat()), { maxLength: 30 }),
          (callers) =>
            Effect.gen(function* () {
              const gate = yield* Effect.makeLatch()
              const { exchange, lines, receive } = yield* over(Exchange.inOrder, gate.await)
              const telling = yield* Effect.fork(exchange.tell("begin"))
              yield* settle
              const asking = callers.map(([caller, turn], index) => ({
                caller,
                fiber: Effect.runFork(exchange.ask(`${index}`)),
                index,
                turn
              }))
              const interruptThose = (who: string) =>
                Effect.forEach(
                  asking.filter(({ caller }) => caller === who).sort((a, b) => a.turn - b.turn),
                  ({ fiber }) => Fiber.interrupt(fiber)
                )
              yield* interruptThose("leaves unsent")
              yield* gate.open
              yield* Fiber.join(telling)
              yield* settle
              const sent = asking.filter(({ caller }) => caller !== "leaves unsent")
              expect(lines()).toEqual(["begin", ...sent.map(({ index }) => `${index}`)])
              yield* interruptThose("leaves")
              receive(sent.map(({ index }) => `answer ${index}\n`).join(""))
              yield* settle
              for (const { caller, fiber, index } of asking) {
                const exit = fiber.unsafePoll()
                if (caller === "stays") expect(exit).toEqual(Exit.succeed(`answer ${index}`))
                else expect(exit !== null && Exit.isInterrupted(exit)).toBe(true)
              }
            }).pipe(Effect.scoped, Effect.runPromise)
        ),
        { numRuns: 50 }
      )
    )
  )

  // Kind 14
  it.scoped("an answer to what nobody has asked loses the connection, and those who are answered have it first", () =>
    Effect.gen(function* () {
      for (const how of ["nobody asks", "one asks"]) {
        const { exchange, losses, receive } = yield* over(Exchange.inOrder)
        const asking =
          how === "one asks"
            ? yield* Effect.fork(
                Effect.zipLeft(exchange.ask("1"), settle.pipe(Effect.zipRight(Effect.sync(() => losses.length))))
              )
            : undefined
        yield* settle
        receive(how === "one asks" ? "one\ntwo\n" : "two\n")
        if (asking !== undefined) expect(yield* Fiber.join(asking)).toBe("one")
        yield* settle
        expect(losses[0]).toMatchObject({ reason: "Unasked" })
        const late = yield* Effect.fork(exchange.ask("2"))
        yield* settle
        expect(late.unsafePoll()).toBeNull()
      }
    })
  )
})

describe("an exchange by id", () => {
  // Kind 14
  it.scoped("gives each caller its answer in any order, and drops those of callers who have left", () =>
    Effect.gen(function* () {
      const { exchange, lines, losses, receive } = yield* over((framed) => byId(framed))
      const asking = yield* Effect.forEach(["a", "b", "c"], (text) => Effect.fork(exchange.ask(text)))
      yield* settle
      expect(lines()).toEqual(["1:a", "2:b", "3:c"])
      yield* Effect.forEach(asking.slice(1, 2), Fiber.interrupt)
      receive("3:C\n2:B\n", "1:A\n1:again\n")
      yield* settle
      expect(
        asking
          .map((fiber) => fiber.pipe((f) => f.unsafePoll()))
          .map((exit) => exit !== null && Exit.isSuccess(exit) && exit.value)
      ).toEqual(["1:A", false, "3:C"])
      expect(losses).toEqual([])
    })
  )

  // Kind 14
  it.scoped("an id that was never given away loses the connection", () =>
    Effect.gen(function* () {
      for (const id of ["2", "0", "-1", "1.5", "x"]) {
        const { exchange, losses, receive } = yield* over((framed) => byId(framed))
        yield* Effect.fork(exchange.ask("a"))
        yield* settle
        receive(`${id}:A\n`)
        yield* settle
        expect(losses[0], id).toMatchObject({ reason: "Unasked" })
      }
    })
  )

  // Kind 14
  it.scoped("ids begin again after the highest, and pass over those under way", () =>
    Effect.gen(function* () {
      const { exchange, lines, receive } = yield* over((framed) => byId(framed, { maxId: 3 }))
      const slow = yield* Effect.fork(exchange.ask("slow"))
      for (const id of [2, 3, 2, 3]) {
        const asking = yield* Effect.fork(exchange.ask("a"))
        yield* settle
        expect(lines().at(-1)).toBe(`${id}:a`)
        receive(`${id}:A\n`)
        expect(yield* Fiber.join(asking)).toBe(`${id}:A`)
      }
      yield* Effect.forEach(["a", "b"], (text) => Effect.fork(exchange.ask(text)))
      yield* settle
      expect(yield* Effect.flip(exchange.ask("one too many"))).toMatchObject({ reason: "Unencodable" })
      receive("1:slow\n")
      expect(yield* Fiber.join(slow)).toBe("1:slow")
    })
  )
})

describe("an exchange by few ids", () => {
  const few = (maxId: number) => over((framed) => byId(framed, { maxId }))

  // Kind 14
  it.scoped("an id whose caller has left is not used again before its answer has come", () =>
    Effect.gen(function* () {
      const { exchange, lines, losses, receive } = yield* few(2)
      const left = yield* Effect.fork(exchange.ask("left"))
      yield* settle
      yield* Fiber.interrupt(left)
      for (const text of ["a", "b", "c"]) {
        const asking = yield* Effect.fork(exchange.ask(text))
        yield* settle
        expect(lines().at(-1)).toBe(`2:${text}`)
        receive(`2:${text.toUpperCase()}\n`)
        expect(yield* Fiber.join(asking)).toBe(`2:${text.toUpperCase()}`)
      }
      receive("1:late\n")
      yield* settle
      const next = yield* Effect.fork(exchange.ask("next"))
      yield* settle
      expect([lines(), next.unsafePoll()]).toEqual([["1:next"], null])
      receive("1:NEXT\n")
      expect(yield* Fiber.join(next)).toBe("1:NEXT")
      expect(losses).toEqual([])
    })
  )

  // Kind 14
  it.scoped("ids of callers who have left are in use, and fail who finds no other", () =>
    Effect.gen(function* () {
      const { exchange, receive } = yield* few(2)
      const asking = yield* Effect.forEach(["a", "b"], (text) => Effect.fork(exchange.ask(text)))
      yield* settle
      yield* Fiber.interruptAll(asking)
      expect(yield* Effect.flip(exchange.ask("c"))).toMatchObject({ _tag: "FrameError", reason: "Unencodable" })
      receive("2:B\n")
      yield* settle
      const next = yield* Effect.fork(exchange.ask("next"))
      yield* settle
      receive("1:A\n2:NEXT\n")
      expect(yield* Fiber.join(next)).toBe("2:NEXT")
    })
  )

  // Kind 14
  it.scoped("an id whose caller has left before it was sent is free", () =>
    Effect.gen(function* () {
      const gate = yield* Effect.makeLatch()
      const { exchange, lines } = yield* over((framed) => byId(framed, { maxId: 1 }), gate.await)
      yield* Effect.fork(exchange.tell("begin"))
      yield* settle
      const unsent = yield* Effect.fork(exchange.ask("unsent"))
      yield* settle
      yield* Fiber.interrupt(unsent)
      yield* gate.open
      yield* settle
      expect(yield* Effect.flip(exchange.ask("a\nb"))).toMatchObject({ reason: "Unencodable" })
      yield* Effect.fork(exchange.ask("sent"))
      yield* settle
      expect(lines()).toEqual(["begin", "1:sent"])
    })
  )

  // Kind 14
  it.scoped("callers never get the answer of another, whoever leaves", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.constantFrom("ask", "leave", "answer"), fc.nat({ max: 3 })), { maxLength: 60 }),
          (steps) =>
            Effect.gen(function* () {
              const { exchange, lines, losses, receive } = yield* few(3)
              const asking: Array<Fiber.RuntimeFiber<string, unknown>> = []
              const unanswered: Array<string> = []
              for (const [step, n] of steps) {
                if (step === "ask") asking.push(yield* Effect.fork(exchange.ask(`${asking.length}`)))
                const fiber = asking[asking.length - 1 - n]
                if (step === "leave" && fiber !== undefined) yield* Fiber.interrupt(fiber)
                const answered = step === "answer" ? unanswered.splice(n, 1) : []
                receive(...answered.map((line) => `${line}\n`))
                yield* settle
                unanswered.push(...lines())
              }
              asking.forEach((fiber, index) => {
                const exit = fiber.unsafePoll()
                if (exit !== null && Exit.isSuccess(exit)) expect(exit.value.split(":")[1]).toBe(`${index}`)
              })
              expect(losses).toEqual([])
            }).pipe(Effect.scoped, Effect.runPromise)
        ),
        { numRuns: 50 }
      )
    )
  )
})

const both = {
  "in order": (framed: Framing.Framed<string>) => Exchange.inOrder(framed, { isEvent }),
  "by id": (framed: Framing.Framed<string>) => byId(framed)
}

for (const [name, make] of Object.entries(both)) {
  const idOf = (n: number) => (name === "by id" ? `${n}:` : "")

  describe(`an exchange ${name}`, () => {
    // Kind 14
    it.scoped("10,000 requests under way at once are answered each", () =>
      Effect.gen(function* () {
        const { peer, transport } = yield* TestTransport.make()
        yield* Framing.lines()
          .over(peer)
          .frames.pipe(
            Stream.runForEach((line) => peer.write(`${line.toUpperCase()}\n`)),
            Effect.forkScoped
          )
        const exchange = yield* make(Framing.lines().over(transport))
        const questions = Array.from({ length: 10_000 }, (_, i) => `question ${i}`)
        const answers = yield* Effect.forEach(questions, exchange.ask, { concurrency: "unbounded" })
        expect(answers.map((answer) => answer.replace(/^\d+:/, ""))).toEqual(
          questions.map((question) => question.toUpperCase())
        )
      })
    )

    // Kind 14
    it.scoped("what was not sent is not asked when its Scope closes, and the rest fails", () =>
      Effect.gen(function* () {
        const { exchange, lines, losses, scope } = yield* over(make)
        const asked = yield* Effect.fork(Effect.flip(exchange.ask("1")))
        yield* settle
        lines()
        const unsent = Effect.runFork(Effect.flip(exchange.ask("2")))
        yield* Scope.close(scope, Exit.void)
        for (const fiber of [asked, unsent]) {
          expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "TransportError", reason: "Closed" })
        }
        yield* settle
        expect([lines(), losses]).toEqual([[], []])
        for (const late of [exchange.ask("3"), exchange.tell("4"), Stream.runDrain(exchange.events)]) {
          expect(yield* Effect.flip(late)).toMatchObject({ reason: "Closed" })
        }
      })
    )

    // Kind 14
    it.scoped("without a service, the rest fails when the connection ends", () =>
      Effect.gen(function* () {
        for (const [error, expected] of [
          [undefined, "Closed"],
          [new Transport.TransportError({ reason: "Read" }), "Read"]
        ] as const) {
          const { end, transport } = yield* transports["a transport"]
          const exchange = yield* make(Framing.lines().over(transport))
          const asking = yield* Effect.fork(Effect.flip(exchange.ask("1")))
          yield* settle
          end(error)
          expect(yield* Fiber.join(asking)).toMatchObject({ reason: expected })
          const drained = yield* Effect.exit(Stream.runDrain(exchange.events))
          expect(Exit.isSuccess(drained)).toBe(error === undefined)
        }
      })
    )

    // Kind 14
    it.scoped("what can't be sent fails its caller alone", () =>
      Effect.gen(function* () {
        const { exchange, lines, losses, receive } = yield* over(make)
        for (const unsendable of [exchange.ask("1\n2"), exchange.tell("1\n2")]) {
          expect(yield* Effect.flip(unsendable)).toMatchObject({ _tag: "FrameError", reason: "Unencodable" })
        }
        const asking = yield* Effect.fork(exchange.ask("1"))
        yield* Effect.yieldNow()
        yield* exchange.tell("2")
        expect(lines()).toEqual([`${name === "by id" ? "2:" : ""}1`, "2"])
        receive(`${name === "by id" ? "2:" : ""}one\n`)
        yield* Fiber.join(asking)
        expect(losses).toEqual([])
      })
    )

    // Kind 14
    it.scoped("a write that fails fails those whose requests were in it", () =>
      Effect.gen(function* () {
        const refused = new Transport.TransportError({ reason: "Write" })
        for (const failure of [Effect.fail(refused), Effect.die(refused)]) {
          const { transport } = yield* transports["a transport"]
          const exchange = yield* make(Framing.lines().over({ ...transport, write: () => failure }))
          for (const unsent of [exchange.ask("1"), exchange.tell("1")]) {
            const error = yield* Effect.flip(unsent)
            expect([error, error instanceof Transport.TransportError && error.cause]).toContain(refused)
          }
        }
      })
    )

    // Kind 14
    it.scoped("events are a stream, with one consumer at a time that goes on where the last has stopped", () =>
      Effect.gen(function* () {
        const { end, exchange, receive } = yield* over(make)
        const asking = yield* Effect.fork(exchange.ask("1"))
        yield* settle
        receive(`*a\n${idOf(1)}one\n*b\n*c\n`)
        yield* Fiber.join(asking)
        expect(yield* Stream.runHead(exchange.events)).toEqual(Option.some("*a"))
        const reading = yield* Effect.fork(Stream.runCollect(exchange.events))
        yield* settle
        expect(yield* Effect.flip(Stream.runDrain(exchange.events))).toMatchObject({ reason: "Busy" })
        receive("*d\n")
        end()
        expect(Chunk.toReadonlyArray(yield* Fiber.join(reading))).toEqual(["*b", "*c", "*d"])
      })
    )

    // Kind 8
    it.scoped("events that nobody reads push the peer back, and lose the connection while a call waits", () =>
      Effect.gen(function* () {
        const { peer, transport } = yield* TestTransport.make({ capacity: 1 })
        const losses: Array<unknown> = []
        const framed = Framing.lines().over(transport, { lost: (error) => losses.push(error) })
        const exchange =
          name === "in order"
            ? yield* Exchange.inOrder(framed, { isEvent, eventBuffer: 10 * 514 })
            : yield* Exchange.byId(framed, {
                request: (id, text: string) => `${id}:${text}`,
                idOf: (line) => (isEvent(line) ? undefined : 1),
                eventBuffer: 10 * 514
              })
        let written = 0
        yield* Effect.fork(
          Effect.repeatN(
            Effect.tap(peer.write("*e\n"), () => Effect.sync(() => written++)),
            999
          )
        )
        yield* Effect.repeatN(settle, 50)
        expect(written).toBeGreaterThanOrEqual(10)
        expect(written).toBeLessThan(14)
        const first = yield* Stream.runCollect(Stream.take(exchange.events, 100))
        expect(Chunk.size(first)).toBe(100)
        yield* Effect.repeatN(settle, 50)
        expect(losses).toEqual([])
        yield* Effect.fork(exchange.ask("1"))
        yield* Effect.repeatN(settle, 50)
        // Whoever has read some may come back.
        yield* TestClock.adjust("1 second")
        yield* Effect.repeatN(settle, 3)
        expect(losses[0]).toMatchObject({ reason: "Unread", limit: 10 * 514 })
      })
    )

    // Kind 1
    it.scoped("a slow reader of events gets them all before the loss is known", () =>
      Effect.gen(function* () {
        for (const garbage of ["", "garbage\n"]) {
          const { end, exchange, losses, receive } = yield* over(make)
          const told: Array<unknown> = losses
          const asking = yield* Effect.fork(exchange.ask("1"))
          yield* settle
          receive(`${idOf(1)}one\n*a\n*b\n*c\n${garbage}${garbage}`)
          yield* Fiber.join(asking)
          const reading = yield* exchange.events.pipe(
            Stream.mapEffect((event) => Effect.as(Effect.sleep(900), event)),
            Stream.runCollect,
            Effect.exit,
            Effect.fork
          )
          yield* settle
          if (garbage === "") end()
          yield* TestClock.adjust(2699)
          yield* settle
          expect(told).toEqual([])
          yield* TestClock.adjust(1)
          const exit = yield* Fiber.join(reading)
          expect(Exit.isSuccess(exit)).toBe(garbage === "")
          yield* Effect.repeatN(settle, 3)
          expect(told).toHaveLength(1)
        }
      })
    )

    // Kind 1
    it.scoped("one who took an event and is not back in a second does not hold the loss back", () =>
      Effect.gen(function* () {
        const { exchange, losses, receive } = yield* over(make)
        receive("*a\n*b\n")
        yield* settle
        yield* Stream.runHead(exchange.events)
        receive("garbage\n")
        yield* TestClock.adjust(999)
        yield* settle
        expect(losses).toHaveLength(0)
        yield* TestClock.adjust(1)
        yield* Effect.repeatN(settle, 2)
        expect(losses).toHaveLength(1)
      })
    )
  })
}

class Refused extends Data.TaggedError("Refused")<{ readonly line: string }> {}

describe("an exchange of a service", () => {
  const serve = (framing: Framing.Framing<string>) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Transport.Transport>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        protocol: Framing.protocol(framing, Exchange.inOrder)
      })
      yield* service.start
      const { peer, transport } = yield* TestTransport.make()
      const connection = yield* server.accept(transport)
      yield* awaitState(service, "Connected")
      return { connection, peer, service }
    })

  // Kind 14
  it.scoped("calls under way end with ConnectionLost, whatever the connection is lost by", () =>
    Effect.gen(function* () {
      const parse = (line: string) => `${JSON.parse(line)}`
      const failing = Framing.transform(Framing.lines(), { decode: parse, encode: (line: string) => line })
      for (const [lose, framing] of [
        ["drop", Framing.lines()],
        ["end", Framing.lines()],
        ["garbage", failing]
      ] as const) {
        const { connection, peer, service } = yield* serve(framing)
        const asking = yield* Effect.forEach(["1", "2"], (question) =>
          Effect.fork(Effect.flip(service.use(({ ask }) => ask(question))))
        )
        yield* settle
        if (lose === "drop") yield* connection.drop()
        if (lose === "end") yield* peer.end
        if (lose === "garbage") yield* peer.write("garbage\n")
        for (const fiber of asking) {
          const error = yield* Fiber.join(fiber)
          expect(error).toBeInstanceOf(ConnectionError.ConnectionLost)
          if (lose === "garbage") expect(`${error}`).toContain("could not be decoded")
        }
        yield* awaitState(service, "Waiting")
      }
    })
  )

  // Kind 1
  it.scoped("prepare that takes its time to refuse the last answer says why, and the policy ends on that", () =>
    Effect.gen(function* () {
      const protocol = Framing.protocol(Framing.lines(), (lines) =>
        Effect.zipRight(lines.read, Exchange.inOrder(lines))
      )
      for (const last of ["refused\n", "refused\ngarbage\n"]) {
        const server = yield* TestEndpoint.make<Transport.Transport>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          protocol,
          prepare: ({ ask }) =>
            ask("LOGIN").pipe(
              Effect.tap(() => Effect.repeatN(Effect.yieldNow(), 10)),
              Effect.flatMap((line) => new Refused({ line }))
            ),
          retryPolicy: RetryPolicy.fromFunction(() => 1).pipe(
            RetryPolicy.whileError((error: unknown) => !(error instanceof Refused))
          )
        })
        yield* service.start
        const { peer, transport } = yield* TestTransport.make()
        yield* server.accept(transport)
        yield* peer.write("welcome\n")
        expect(yield* peer.readText).toEqual(Option.some("LOGIN\n"))
        yield* peer.write(last)
        yield* peer.end
        const error = yield* Effect.flip(service.whenConnected())
        expect(error._tag === "RetriesExhausted" && `${error.cause}`).toContain("Refused")
      }
    })
  )

  // Kind 1
  it.scoped("prepare that waits before it refuses the last answer says why as well, for a second", () =>
    Effect.gen(function* () {
      const protocol = Framing.protocol(Framing.lines(), (lines) => Exchange.inOrder(lines))
      for (const [wait, how] of [
        [900, "Refused"],
        [1100, "ConnectionLost"]
      ] as const) {
        const server = yield* TestEndpoint.make<Transport.Transport>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          protocol,
          prepare: ({ ask }) =>
            ask("LOGIN").pipe(
              // By a fiber of its own.
              Effect.timeout("10 seconds"),
              Effect.tap(() => Effect.sleep(wait)),
              Effect.flatMap((line) => new Refused({ line }))
            )
        })
        yield* service.start
        const { peer, transport } = yield* TestTransport.make()
        yield* server.accept(transport)
        expect(yield* peer.readText).toEqual(Option.some("LOGIN\n"))
        yield* peer.write("refused\n")
        yield* peer.end
        const failing = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
        yield* settle
        expect(failing.unsafePoll()).toBeNull()
        yield* TestClock.adjust(wait)
        expect(`${yield* Fiber.join(failing)}`).toContain(how)
      }
    })
  )

  // Kind 1
  it.scoped("prepare that asks much at once says why as well, whichever answer it refuses", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Transport.Transport>()
      const protocol = Framing.protocol(Framing.lines(), (lines) => Exchange.inOrder(lines))
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        protocol,
        prepare: ({ ask }) =>
          Effect.forEach(
            Array.from({ length: 100 }, (_, i) => `${i}`),
            (request) =>
              Effect.if(
                Effect.map(ask(request), (line) => line === "ok"),
                {
                  onTrue: () => ask("more"),
                  onFalse: () => Effect.delay(new Refused({ line: "" }), "900 millis")
                }
              ),
            { concurrency: "unbounded" }
          )
      })
      yield* service.start
      const { peer, transport } = yield* TestTransport.make()
      yield* server.accept(transport)
      yield* peer.readText
      yield* peer.write(`refused\n${"ok\n".repeat(99)}`)
      yield* peer.end
      const failing = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
      yield* settle
      yield* TestClock.adjust("900 millis")
      expect(`${yield* Fiber.join(failing)}`).toContain("Refused")
    })
  )

  // Kind 1
  it.scoped("a use has the time to act on an answer, whoever still waits for one, and the loss is known after it", () =>
    Effect.gen(function* () {
      const { peer, service } = yield* serve(Framing.lines())
      const use = (question: string, wait: number) =>
        Effect.fork(Effect.exit(service.use(({ ask }) => Effect.tap(ask(question), () => Effect.sleep(wait)))))
      const answered = yield* use("1", 10)
      const unanswered = yield* use("2", 0)
      yield* settle
      yield* peer.write("one\n")
      yield* peer.end
      yield* settle
      // What nobody can answer any more is asked by the next connection.
      const late = yield* use("3", 0)
      yield* TestClock.adjust(9)
      expect([unanswered.unsafePoll(), late.unsafePoll()]).toEqual([null, null])
      yield* TestClock.adjust(1)
      expect(yield* Fiber.join(answered)).toEqual(Exit.succeed("one"))
      for (const fiber of [unanswered, late]) {
        expect(yield* Fiber.join(fiber)).toEqual(Exit.fail(expect.any(ConnectionError.ConnectionLost)))
      }
      yield* awaitState(service, "Waiting")
    })
  )

  // Kind 1
  it.scoped("a use has the time to act on an answer, however many others ask, and for whom", () =>
    Effect.gen(function* () {
      for (const [others, how] of [
        [2, "use"],
        [1, "whenConnected"]
      ] as const) {
        const { peer, service } = yield* serve(Framing.lines())
        const answered = yield* Effect.fork(
          Effect.exit(
            service.use(({ ask }) =>
              // By a fiber of its own.
              Effect.tap(Effect.timeout(ask("1"), "10 seconds"), () => Effect.sleep(50))
            )
          )
        )
        yield* settle
        const questions = Array.from({ length: others }, (_, n) => `other ${n}`)
        const asking = ({ ask }: { readonly ask: (question: string) => Effect.Effect<string, unknown> }) =>
          Effect.forEach(questions, ask, { concurrency: "unbounded" })
        if (how === "use") yield* Effect.fork(Effect.exit(service.use(asking)))
        // As a probe does, which is no user.
        else yield* Effect.fork(Effect.exit(Effect.flatMap(service.whenConnected(), asking)))
        yield* settle
        yield* peer.write("one\n")
        yield* peer.end
        yield* settle
        yield* TestClock.adjust(50)
        expect(yield* Fiber.join(answered), how).toEqual(Exit.succeed("one"))
        yield* awaitState(service, "Waiting")
      }
    })
  )

  // Kind 1
  it.scoped("a use that has a promise has the time as well, while another asks", () =>
    Effect.gen(function* () {
      const { peer, service } = yield* serve(Framing.lines())
      const resumes: Array<() => void> = []
      const answered = yield* Effect.fork(
        Effect.exit(
          service.useAsync<string, never>(({ ask }, resume) => {
            const asking = Effect.runFork(Effect.orDie(ask("1")))
            asking.addObserver((exit) => resumes.push(() => resume(exit)))
          })
        )
      )
      yield* settle
      yield* Effect.fork(Effect.exit(service.use(({ ask }) => ask("2"))))
      yield* settle
      yield* peer.write("one\n")
      yield* peer.end
      yield* Effect.repeatN(settle, 2)
      for (const resume of resumes) resume()
      expect(yield* Fiber.join(answered)).toEqual(Exit.succeed("one"))
      yield* awaitState(service, "Waiting")
    })
  )

  // Kind 1
  it.scoped("one who uses the connection and has asked nothing of late does not hold the loss back", () =>
    Effect.gen(function* () {
      const { peer, service } = yield* serve(Framing.lines())
      yield* Effect.fork(service.use(() => Effect.never))
      yield* Effect.fork(service.use(({ ask }) => Effect.zipRight(ask("0"), Effect.never)))
      yield* settle
      yield* peer.write("zero\n")
      yield* TestClock.adjust("1 second")
      const answered = yield* Effect.fork(service.use(({ ask }) => ask("1")))
      yield* settle
      yield* peer.write("one\n")
      yield* peer.end
      expect(yield* Fiber.join(answered)).toBe("one")
      yield* awaitState(service, "Waiting")
    })
  )

  // Kind 1
  it.scoped(
    "prepare that waits before it refuses the last answer says why, though it asks by another fiber as well",
    () =>
      Effect.gen(function* () {
        const protocol = Framing.protocol(Framing.lines(), (lines) => Exchange.inOrder(lines))
        const server = yield* TestEndpoint.make<Transport.Transport>()
        const service = yield* ClientService.make({
          endpoint: server.endpoint,
          protocol,
          prepare: ({ ask }) =>
            Effect.gen(function* () {
              yield* Effect.forkScoped(Effect.zipRight(Effect.yieldNow(), ask("WATCH")))
              return yield* new Refused({ line: yield* Effect.zipLeft(ask("LOGIN"), Effect.sleep(50)) })
            }).pipe(Effect.scoped)
        })
        yield* service.start
        const { peer, transport } = yield* TestTransport.make()
        yield* server.accept(transport)
        yield* settle
        yield* peer.write("refused\n")
        yield* peer.end
        const failing = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
        yield* settle
        yield* TestClock.adjust(50)
        expect(`${yield* Fiber.join(failing)}`).toContain("Refused")
      })
  )

  // Kind 1
  it.scoped("one who asks again has come to the end, and nobody is waited for who has left", () =>
    Effect.gen(function* () {
      for (const isAsking of [true, false]) {
        const { peer, service } = yield* serve(Framing.lines())
        const using = yield* Effect.fork(
          Effect.exit(service.use(({ ask }) => (isAsking ? Effect.zipRight(ask("1"), ask("2")) : ask("1"))))
        )
        yield* settle
        yield* peer.write("one\n")
        yield* peer.end
        yield* awaitState(service, "Waiting")
        expect(Exit.isSuccess(yield* Fiber.join(using))).toBe(!isAsking)
      }
    })
  )
})

it.scoped("options of an exchange that make no sense are refused at once", () =>
  Effect.gen(function* () {
    const { transport } = yield* transports["a transport"]
    const framed = Framing.lines().over(transport)
    for (const eventBuffer of [0, -1, 1.5, Number.NaN]) {
      expect(() => Exchange.inOrder(framed, { isEvent, eventBuffer })).toThrow(InvalidOption.InvalidOption)
    }
    expect(() => byId(framed, { maxId: 0 })).toThrow(InvalidOption.InvalidOption)
  })
)

describe("an exchange that is cut short", () => {
  // Kind 14
  it.scoped("has those fail whose message is being written when its Scope closes", () =>
    Effect.gen(function* () {
      const { exchange, scope } = yield* over(Exchange.inOrder, Effect.never)
      const telling = yield* Effect.fork(Effect.flip(exchange.tell("one")))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* settle
      expect(telling.unsafePoll()).toMatchObject({ _tag: "Success", value: { reason: "Closed" } })
    })
  )

  // Kind 14
  it.scoped("goes on after a write that throws", () =>
    Effect.gen(function* () {
      const { transport, written } = yield* transports["a transport"]
      const writes: Array<Transport.Transport["write"]> = [
        () => {
          throw new Error("out of order")
        }
      ]
      const write: Transport.Transport["write"] = (chunk) => (writes.pop() ?? transport.write)(chunk)
      const exchange = yield* Exchange.inOrder(Framing.lines().over({ ...transport, write }))
      const telling = yield* Effect.fork(Effect.flip(exchange.tell("one")))
      yield* settle
      expect(telling.unsafePoll()).toMatchObject({ _tag: "Success", value: { reason: "Write" } })
      yield* Effect.fork(exchange.tell("two"))
      yield* settle
      expect(written).toEqual(["two\n"])
    })
  )

  // Kind 14
  it.scoped("what throws has written nothing, and no answer is kept for it", () =>
    Effect.gen(function* () {
      for (const [name, make] of Object.entries(both)) {
        const { receive, transport, written } = yield* transports["a transport"]
        let throwing = true
        const write: Transport.Transport["write"] = (chunk) => {
          if (throwing) throw new Error("out of order")
          return transport.write(chunk)
        }
        const exchange = yield* make(Framing.lines().over({ ...transport, write }))
        const unsent = yield* Effect.forEach(["1", "2"], (text) => Effect.fork(Effect.flip(exchange.ask(text))))
        for (const fiber of unsent) expect(yield* Fiber.join(fiber)).toMatchObject({ reason: "Write" })
        throwing = false
        const asking = yield* Effect.fork(exchange.ask("3"))
        yield* settle
        expect(written).toEqual([name === "by id" ? "3:3\n" : "3\n"])
        receive(...written)
        yield* settle
        expect(asking.unsafePoll(), name).toEqual(Exit.succeed(written[0]?.trim()))
      }
    })
  )

  // Kind 14
  it.scoped("of messages, those before the one that throws are sent", () =>
    Effect.gen(function* () {
      const texts = Framing.transform(Framing.messages(), {
        decode: (bytes) => Buffer.from(bytes).toString(),
        encode: (text: string) => text
      })
      const { receive, transport, written } = yield* transports["a transport"]
      const write: Transport.Transport["write"] = (chunk) => {
        if (chunk === "2") throw new Error("out of order")
        return transport.write(chunk)
      }
      const exchange = yield* Exchange.inOrder(texts.over({ ...transport, write }))
      const asking = yield* Effect.forEach(["1", "2", "3"], (text) => Effect.fork(Effect.exit(exchange.ask(text))))
      yield* settle
      expect(written).toEqual(["1", "3"])
      receive("one", "three")
      const [one, two, three] = yield* Effect.forEach(asking, Fiber.join)
      expect([one, three]).toEqual([Exit.succeed("one"), Exit.succeed("three")])
      expect(two !== undefined && Exit.isFailure(two)).toBe(true)
    })
  )

  // Kind 14
  it.scoped("sends nothing after a write that failed, of which the peer may have a part, and is lost", () =>
    Effect.gen(function* () {
      for (const [name, make] of Object.entries(both)) {
        const { receive, transport, written } = yield* transports["a transport"]
        const losses: Array<unknown> = []
        const refused = new Transport.TransportError({ reason: "Write" })
        const write: Transport.Transport["write"] = (chunk) =>
          Effect.zipRight(transport.write(chunk), written.length === 1 ? refused : Effect.void)
        const exchange = yield* make(Framing.lines().over({ ...transport, write }, { lost: (e) => losses.push(e) }))
        const first = yield* Effect.fork(exchange.ask("1"))
        yield* settle
        const failed = yield* Effect.fork(Effect.flip(exchange.ask("2")))
        yield* settle
        const behind = yield* Effect.fork(Effect.flip(exchange.ask("3")))
        for (const fiber of [failed, behind]) expect(yield* Fiber.join(fiber)).toBe(refused)
        yield* settle
        // What the peer says to what it has.
        receive(...written.map((line) => line.replace("2\n", "two\n")))
        yield* settle
        expect(first.unsafePoll(), name).toEqual(Exit.succeed(written[0]?.trim()))
        expect([written.length, losses]).toEqual([2, []])
        yield* TestClock.adjust(999)
        yield* settle
        expect(losses).toEqual([])
        yield* TestClock.adjust(1)
        yield* Effect.repeatN(settle, 2)
        expect(losses).toEqual([undefined])
      }
    })
  )

  // Kind 14
  it.scoped("without a service, fails what still waits for its answer a while after a write that failed", () =>
    Effect.gen(function* () {
      const { transport, written } = yield* transports["a transport"]
      const refused = new Transport.TransportError({ reason: "Write" })
      const write: Transport.Transport["write"] = (chunk) => (written.length === 1 ? refused : transport.write(chunk))
      const exchange = yield* Exchange.inOrder(Framing.lines().over({ ...transport, write }))
      const first = yield* Effect.fork(Effect.flip(exchange.ask("1")))
      yield* settle
      expect(yield* Effect.flip(exchange.ask("2"))).toBe(refused)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(first)).toBe(refused)
    })
  )

  // Kind 14
  it.scoped("goes on when a transport says that its sending side has ended", () =>
    Effect.gen(function* () {
      const { receive, transport, written } = yield* transports["a transport"]
      const losses: Array<unknown> = []
      const closed = new Transport.TransportError({ reason: "Closed" })
      const write: Transport.Transport["write"] = (chunk) => (written.length === 1 ? closed : transport.write(chunk))
      const exchange = yield* Exchange.inOrder(
        Framing.lines().over({ ...transport, write }, { lost: (error) => losses.push(error) })
      )
      const first = yield* Effect.fork(exchange.ask("1"))
      yield* settle
      expect(yield* Effect.flip(exchange.ask("2"))).toBe(closed)
      yield* TestClock.adjust("1 minute")
      receive("one\n")
      expect(yield* Fiber.join(first)).toBe("one")
      expect(losses).toEqual([])
    })
  )

  // Kind 14
  it.scoped("sends on after any number of calls that have left before each would have had a write of its own", () =>
    Effect.gen(function* () {
      const texts = Framing.transform(Framing.messages(), {
        decode: (bytes) => Buffer.from(bytes).toString(),
        encode: (text: string) => text
      })
      const { transport, written } = yield* transports["a transport"]
      const gate = yield* Effect.makeLatch()
      const write: Transport.Transport["write"] = (chunk) => Effect.zipRight(gate.await, transport.write(chunk))
      const exchange = yield* Exchange.inOrder(texts.over({ ...transport, write }))
      yield* Effect.fork(exchange.tell("first"))
      yield* settle
      const left = yield* Effect.forEach(Array.from({ length: 20_000 }), () => Effect.fork(exchange.tell("left")))
      yield* settle
      yield* Fiber.interruptAll(left)
      yield* Effect.fork(exchange.tell("last"))
      yield* gate.open
      yield* settle
      expect(written).toEqual(["first", "last"])
    })
  )

  // Kind 14
  it.scoped("writes at once what the transport takes so, and in order what it does not", () =>
    Effect.gen(function* () {
      for (const [name, make] of Object.entries(both)) {
        const { receive, transport, written } = yield* transports["a transport"]
        const gate = yield* Effect.makeLatch()
        const atOnce: Array<unknown> = []
        const now = (chunk: unknown) => {
          if (atOnce.length === 2) throw new Error("out of order")
          if (atOnce.length === 1) return false
          atOnce.push(chunk)
          written.push(String(chunk))
          return true
        }
        const write = Object.assign(
          (chunk: Uint8Array | string) => Effect.zipRight(gate.await, transport.write(chunk)),
          { now }
        )
        const exchange = yield* make(Framing.lines().over({ ...transport, write }))
        // The first is sent by the fiber that sends, when it begins.
        yield* gate.open
        const asking = [yield* Effect.fork(exchange.ask("1"))]
        yield* settle
        yield* gate.close
        for (const text of ["2", "3", "4"]) {
          asking.push(yield* Effect.fork(exchange.ask(text)))
          yield* settle
        }
        expect(written.join("").match(/\d(?=\n)/g)).toEqual(["1", "2"])
        yield* gate.open
        yield* settle
        atOnce.push("throws")
        asking.push(yield* Effect.fork(exchange.ask("5")))
        yield* settle
        expect(written.join("").match(/\d(?=\n)/g)).toEqual(["1", "2", "3", "4", "5"])
        receive(...written)
        yield* settle
        const answers = yield* Effect.forEach(asking, Fiber.join)
        expect(
          answers.map((answer) => answer.at(-1)),
          name
        ).toEqual(["1", "2", "3", "4", "5"])
      }
    })
  )

  // Kind 14
  it.scoped("wherever a reader of the events is interrupted, the next one gets them", () =>
    Effect.gen(function* () {
      for (let ops = 10; ops < 30; ops++) {
        for (let yields = 0; yields < 6; yields++) {
          const { exchange, receive } = yield* over((framed) => Exchange.inOrder(framed, { isEvent }))
          const first = yield* Effect.fork(Effect.withMaxOpsBeforeYield(Stream.runDrain(exchange.events), ops))
          yield* Effect.repeatN(Effect.yieldNow(), yields)
          yield* Fiber.interruptFork(first)
          yield* settle
          const next = yield* Effect.fork(Stream.runHead(exchange.events))
          yield* settle
          receive("*event\n")
          yield* settle
          expect(next.unsafePoll(), `${ops} ops, ${yields} yields`).toEqual(Exit.succeed(Option.some("*event")))
        }
      }
    })
  )

  // Kind 6
  it.scoped("waits no day for the reader of the events, when somebody sets the clock back", () =>
    withWallClock((wallClock) =>
      Effect.gen(function* () {
        const { end, losses, receive } = yield* over((framed) => Exchange.inOrder(framed, { isEvent }))
        receive("*event\n")
        yield* settle
        end()
        yield* settle
        wallClock.ahead = -day
        yield* TestClock.adjust("1 second")
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
        expect(losses).toHaveLength(1)
      })
    )
  )
})
