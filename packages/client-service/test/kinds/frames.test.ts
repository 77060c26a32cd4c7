import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Option, Stream, TestClock } from "effect"
import {
  ClientService,
  FrameError,
  Framing,
  InvalidOption,
  TestEndpoint,
  TestTransport,
  Transport
} from "effect-client-service"
import fc from "fast-check"
import { withoutRealTimers } from "../properties/realTimers.js"
import { Bench } from "../support/bench.js"
import { awaitState, settle } from "../support/fixture.js"
import { bytesOf, transports } from "../support/received.js"

const limit = 20

const readable = (frame: unknown) => (frame instanceof Uint8Array ? `bytes ${[...frame]}` : `text ${frame}`)

const text = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)

// A header that tells the length, as that of language servers.
const withHeader = Framing.make({
  length: (bytes) => {
    const end = bytes.indexOf(10)
    return end < 0 ? undefined : end + 1 + Number.parseInt(text(bytes.subarray(0, end)), 36)
  },
  decode: (bytes) => text(bytes.subarray(bytes.indexOf(10) + 1)),
  encode: (frame: string) => `${new TextEncoder().encode(frame).length.toString(36)}\n${frame}`,
  limit
})

const framings: Record<string, Framing.Framing<unknown, string>> = {
  lines: Framing.lines({ limit }),
  "lines that end with CRLF": Framing.lines({ limit, ending: "\r\n" }),
  delimited: Framing.delimited("\0", { limit }),
  "delimited by what overlaps with itself": Framing.delimited("aba", { limit }),
  lengthPrefixed: Framing.lengthPrefixed({ limit }),
  "lengthPrefixed by a byte": Framing.lengthPrefixed({ limit, bytes: 1 }),
  "lengthPrefixed by three bytes": Framing.lengthPrefixed({ limit, bytes: 3 }),
  "lengthPrefixed by eight bytes": Framing.lengthPrefixed({ limit, bytes: 8 }),
  "lengthPrefixed from the lowest byte on": Framing.lengthPrefixed({ limit, bytes: 2, littleEndian: true }),
  make: withHeader,
  transform: Framing.transform(Framing.lines({ limit }), {
    decode: (line) => `<${line}>`,
    encode: (line: string) => line
  })
}

/** What is read of these chunks, and how it ends. */
const readAll = (framing: Framing.Framing<unknown, never>, chunks: ReadonlyArray<Uint8Array>) =>
  Effect.gen(function* () {
    const received = yield* transports["a transport"]
    received.receive(...chunks)
    received.end()
    const frames: Array<string> = []
    const end = yield* framing.over(received.transport).frames.pipe(
      Stream.runForEach((frame) => Effect.sync(() => frames.push(readable(frame)))),
      Effect.either
    )
    return [...frames, end._tag === "Left" ? `${end.left}` : "the end"]
  }).pipe(Effect.runSync)

const cut = (bytes: Uint8Array, places: ReadonlyArray<number>) => {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

// What a peer may send that means well, and that does not.
const arbitraryText = fc.string({
  unit: fc.constantFrom("a", "b", "é", "\u{1f600}", "\ufeff", "\r", "\n", "\0", "1", "5"),
  maxLength: 30
})
const arbitraryBytes = fc.oneof(arbitraryText.map(bytesOf), fc.uint8Array({ maxLength: 60 }))

const encodedBy = (framing: Framing.Framing<unknown, string>, frames: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { transport, written } = yield* transports["a transport"]
    const chunks: Array<Uint8Array> = []
    const { write } = framing.over({
      ...transport,
      write: (chunk) => Effect.sync(() => void chunks.push(bytesOf(chunk)))
    })
    yield* Effect.forEach(frames, write)
    expect(written).toEqual([])
    return Buffer.concat(chunks)
  }).pipe(Effect.runSync)

describe("frames", () => {
  for (const [name, framing] of Object.entries(framings)) {
    it.effect(`bytes cut anywhere give the same frames, and the same end: ${name}`, () =>
      Effect.sync(() =>
        fc.assert(
          fc.property(arbitraryBytes, fc.array(fc.nat(), { maxLength: 8 }), (bytes, places) => {
            const whole = readAll(framing, [bytes])
            expect(readAll(framing, cut(bytes, places))).toEqual(whole)
            expect(readAll(framing, cut(bytes, [...bytes.keys()]))).toEqual(whole)
          })
        )
      )
    )

    it.effect(`what is written is what is read: ${name}`, () =>
      Effect.sync(() =>
        fc.assert(
          fc.property(
            // With a CR or a header, they are within the limit.
            fc.array(fc.string({ unit: fc.constantFrom("x", "é", "\u{1f600}", "\ufeff", " "), maxLength: 4 })),
            fc.array(fc.nat(), { maxLength: 8 }),
            (frames, places) => {
              const isText = name !== "delimited" && !/^(delimited|lengthPrefixed)/.test(name)
              expect(readAll(framing, cut(encodedBy(framing, frames), places))).toEqual([
                ...frames.map((frame) => {
                  if (name === "transform") return `text <${frame}>`
                  return isText ? `text ${frame}` : readable(bytesOf(frame))
                }),
                "the end"
              ])
            }
          )
        )
      )
    )
  }

  // Kind 14: Every application cuts the bytes into frames itself, and finds none, two, or a torn one in a packet.
  it.effect("lines end with LF or CRLF, and characters that are cut stay whole", () =>
    Effect.sync(() => {
      const bytes = bytesOf("\ufeffaé\r\n\u{1f600}\r\r\n\n\r\nb\rc\n")
      for (let place = 0; place <= bytes.length; place++) {
        expect(readAll(framings["lines"] ?? Framing.lines(), cut(bytes, [place]))).toEqual([
          "text \ufeffaé",
          "text \u{1f600}\r",
          "text ",
          "text ",
          "text b\rc",
          "the end"
        ])
      }
    })
  )

  // Kind 14
  it.effect("a frame of as many bytes as the limit is read, and one of more is refused, before it has come", () =>
    Effect.sync(() => {
      const refused = `FrameError: a frame of the peer is too long: more than ${limit} bytes`
      for (const [name, framing] of Object.entries(framings)) {
        const most = name === "make" ? limit - 2 : limit - (name.includes("CRLF") ? 1 : 0)
        const good = encodedBy(framing, ["x".repeat(most)])
        expect(readAll(framing, [good]), name).toHaveLength(2)
        expect(readAll(framing, [Buffer.concat([good, encodedBy(framing, ["x".repeat(most + 1)])])])[1], name).toBe(
          refused
        )
        // Without its last bytes, which may never come.
        const bad = encodedBy(framing, ["x".repeat(most + 100)])
        expect(readAll(framing, [bad.subarray(0, limit + 5)]), name).toEqual([refused])
      }
      expect(readAll(Framing.messages({ limit }), [new Uint8Array(limit), new Uint8Array(limit + 1)])[1]).toBe(refused)
    })
  )

  // Kind 14
  it.effect("an end in the middle of a frame is no clean end", () =>
    Effect.sync(() => {
      for (const [name, framing] of Object.entries(framings)) {
        const bytes = encodedBy(framing, ["one", "two"])
        for (let length = 0; length <= bytes.length; length++) {
          const read = readAll(framing, [bytes.subarray(0, length)])
          const rest = encodedBy(framing, ["one", "two"].slice(0, read.length - 1)).length
          expect(read.at(-1), name).toBe(
            rest === length ? "the end" : "FrameError: the peer ended the connection in the middle of a frame"
          )
        }
      }
    })
  )

  // Kind 14
  it.effect("what the functions of an application throw is an error of a type, which reading stays at", () =>
    Effect.gen(function* () {
      const oops = new Error("oops")
      const fail = (_: Uint8Array | string): string => {
        throw oops
      }
      const failing: ReadonlyArray<Framing.Framing<string>> = [
        Framing.make({ length: (bytes) => fail(bytes).length, decode: text, encode: fail }),
        Framing.make({ length: () => 1, decode: fail, encode: fail }),
        Framing.transform(Framing.lines(), { decode: fail, encode: fail })
      ]
      for (const framing of failing) {
        const { receive, transport, written } = yield* transports["a transport"]
        const framed = framing.over(transport)
        receive("x\ny\n")
        const first = yield* Effect.flip(framed.read)
        expect(first).toEqual(new FrameError.FrameError({ reason: "Undecodable", cause: oops }))
        expect(yield* Effect.flip(framed.read)).toBe(first)
        const unsent = yield* Effect.flip(framed.write("x"))
        expect(unsent).toEqual(new FrameError.FrameError({ reason: "Unencodable", cause: oops }))
        expect(written).toEqual([])
        expect(`${first} ${unsent}`).not.toContain("oops")
      }
      for (const length of [0, -1, Number.NaN, 0.5]) {
        const endless = Framing.make({ length: () => length, decode: text, encode: text })
        expect(readAll(endless, [bytesOf("x")])).toEqual(["FrameError: a frame of the peer could not be decoded"])
      }
    })
  )

  // Kind 14
  it.effect("what can't be one frame is not sent", () =>
    Effect.gen(function* () {
      const { transport, written } = yield* transports["a transport"]
      const long = Framing.lengthPrefixed({ bytes: 1 }).over(transport)
      const refusals = [
        Framing.lines().over(transport).write("NICK alice\nQUIT"),
        Framing.lines().over(transport).write("NICK alice\r"),
        Framing.delimited("\0").over(transport).write("a\0b"),
        // With its delimiter, the frame would end before that.
        Framing.delimited("aba").over(transport).write("xab"),
        long.write(new Uint8Array(256))
      ]
      for (const refusal of refusals) expect(yield* Effect.flip(refusal)).toMatchObject({ reason: "Unencodable" })
      expect(written).toEqual([])
      yield* long.write(new Uint8Array(255))
      expect(written).toHaveLength(1)
    })
  )

  // Kind 14
  it.effect("a length that no number tells exactly is too long, and the least one of as many bytes is not", () =>
    Effect.sync(() => {
      for (const littleEndian of [false, true]) {
        const ordered = (bytes: ReadonlyArray<number>) => Uint8Array.from(littleEndian ? [...bytes].reverse() : bytes)
        const framing = Framing.lengthPrefixed({ bytes: 8, littleEndian })
        const one = Uint8Array.of(...ordered([0, 0, 0, 0, 0, 0, 0, 1]), 7)
        for (const first of [0x20, 0xff]) {
          // 2 ** 53 + 1, or almost 2 ** 64.
          const chunk = Uint8Array.of(...one, ...ordered([0, first, 0, 0, 0, 0, 0, 1]), 7)
          expect(readAll(framing, [chunk])).toEqual(["bytes 7", expect.stringContaining("more than 1048576 bytes")])
        }
      }
    })
  )

  it.effect("options that make no sense are refused at once", () =>
    Effect.sync(() => {
      const isRefused = (f: () => unknown) => expect(f).toThrow(InvalidOption.InvalidOption)
      for (const limit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        isRefused(() => Framing.lines({ limit }))
        isRefused(() => Framing.delimited("\n", { limit }))
        isRefused(() => Framing.lengthPrefixed({ limit }))
        isRefused(() => Framing.messages({ limit }))
        isRefused(() => Framing.make({ limit, length: () => 1, decode: text, encode: text }))
      }
      isRefused(() => Framing.delimited(""))
      isRefused(() => Framing.lengthPrefixed({ bytes: 1, limit: 256 }))
      // @ts-expect-error
      isRefused(() => Framing.lengthPrefixed({ bytes: 5 }))
      // @ts-expect-error
      isRefused(() => Framing.lines({ ending: "\r" }))
      // @ts-expect-error
      isRefused(() => Framing.make({ decode: text, encode: text }))
    })
  )

  // Kind 14
  it.effect("a frame that comes in very many chunks is copied a few times, not once a chunk", () =>
    Effect.sync(() => {
      let copied = 0
      const set = Uint8Array.prototype.set
      Uint8Array.prototype.set = function (array, offset) {
        copied += array.length
        set.call(this, array, offset)
      }
      try {
        const chunks = Array.from({ length: 20_000 }, () => new Uint8Array(16).fill(120))
        for (const framing of [Framing.lines(), Framing.delimited("\n")]) {
          copied = 0
          readAll(framing, [...chunks, bytesOf("\n")])
          expect(copied).toBeLessThan(4 * 16 * chunks.length)
        }
      } finally {
        Uint8Array.prototype.set = set
      }
    })
  )

  // Kind 14
  it.effect("frames that come whole in a chunk are views of it", () =>
    Effect.gen(function* () {
      const chunk = bytesOf("one\0two\0")
      const { receive, transport } = yield* transports["a transport"]
      receive(chunk)
      const { read } = Framing.delimited("\0").over(transport)
      for (const frame of [yield* read, yield* read]) expect(frame.buffer).toBe(chunk.buffer)
    })
  )
})

for (const [name, received] of Object.entries(transports)) {
  describe(`frames of ${name}`, () => {
    // Kind 14
    it.scoped("what follows in a packet stays for the next reader, of one frame or of all", () =>
      Effect.gen(function* () {
        const { end, receive, transport } = yield* received
        const { frames, read } = Framing.lines().over(transport)
        const greeting = yield* Effect.fork(read)
        yield* settle
        receive("hello\none\ntwo\nthr")
        expect(yield* Fiber.join(greeting)).toBe("hello")
        expect(yield* Stream.runHead(frames)).toEqual(Option.some("one"))
        expect(yield* read).toBe("two")
        receive("ee\nfour\n")
        end()
        expect(Chunk.toReadonlyArray(yield* Stream.runCollect(frames))).toEqual(["three", "four"])
        expect(yield* Effect.flip(read)).toMatchObject({ _tag: "TransportError", reason: "Closed" })
      })
    )

    // Kind 14
    it.scoped("a second reader fails with Busy, and takes nothing", () =>
      Effect.gen(function* () {
        const { receive, transport } = yield* received
        const { frames, read } = Framing.lines().over(transport)
        for (const [first, isHead] of [
          [Effect.asVoid(read), true],
          [Stream.runDrain(frames), false]
        ] as const) {
          const reading = yield* Effect.fork(first)
          yield* settle
          expect(yield* Effect.flip(read)).toMatchObject({ reason: "Busy" })
          expect(yield* Effect.flip(Stream.runDrain(frames))).toMatchObject({ reason: "Busy" })
          receive("one\n")
          if (isHead) yield* Fiber.join(reading)
          else yield* Effect.zipRight(settle, Fiber.interrupt(reading))
        }
        receive("two\n")
        expect(yield* read).toBe("two")
      })
    )

    // Kind 14
    it.scoped("whoever reads the transport itself keeps the frames from being read, and they it", () =>
      Effect.gen(function* () {
        const { receive, transport } = yield* received
        const { read } = Framing.lines().over(transport)
        const raw = yield* Effect.fork(Stream.runDrain(transport.incoming))
        yield* settle
        expect(yield* Effect.flip(read)).toMatchObject({ reason: "Busy" })
        yield* Fiber.interrupt(raw)
        receive("three\n")
        expect(yield* read).toBe("three")
        yield* Effect.fork(read)
        yield* settle
        expect(yield* Effect.flip(Stream.runDrain(transport.incoming))).toMatchObject({ reason: "Busy" })
      })
    )

    // Kind 14
    it.effect("a read that is interrupted, between any two of its steps, takes nothing", () =>
      Effect.sync(() => {
        for (const early of ["on", "one\ntw"]) {
          let isHeld = true
          for (let held = 1; isHeld; held++) {
            withoutRealTimers(() => {
              isHeld = false
              let step = 0
              const bench = new Bench((_, isNote) => {
                if (isNote || ++step !== held) return "goes on"
                isHeld = true
                return "is held"
              })
              const { receive, transport } = bench.evaluate(received)
              const { read } = Framing.lines().over(transport)
              receive(early)
              step = 0
              const first = bench.fork(read)
              bench.drain(() => isHeld)
              if (early === "on") bench.drain(() => bench.scheduler.ready === 0)
              receive("one\ntwo\n".slice(early.length))
              const isInTime = held % 2 === 0
              if (isInTime) bench.drain(() => isHeld)
              step = Number.NaN
              bench.fork(Fiber.interrupt(first))
              bench.drain()
              const next = bench.run(read)
              const exit = first.unsafePoll()
              expect(exit).not.toBeNull()
              const isTaken = exit !== null && Exit.isSuccess(exit)
              if (isTaken) expect(exit.value).toBe("one")
              expect(next).toEqual(Exit.succeed(isTaken ? "two" : "one"))
            })
          }
        }
      })
    )

    // Kind 14
    it.scoped("a connection that ends in a frame, or has one that can't be read, fails with the reason for ever", () =>
      Effect.gen(function* () {
        const reset = new Transport.TransportError({ reason: "Read", cause: new Error("reset") })
        for (const [bytes, end, expected] of [
          ["one\ntw", undefined, { reason: "CutOff" }],
          ["one\ntw", reset, { reason: "Read" }],
          [`one\n${"x".repeat(21)}`, undefined, { reason: "TooLong", limit: 20 }]
        ] as const) {
          const peer = yield* received
          const { frames, read } = Framing.lines({ limit: 20 }).over(peer.transport)
          peer.receive(bytes)
          peer.end(end)
          expect(yield* read).toBe("one")
          expect(yield* Effect.flip(read)).toMatchObject(expected)
          expect(yield* Effect.flip(Stream.runDrain(frames))).toMatchObject(expected)
        }
      })
    )
  })
}

describe("frames of a service", () => {
  const serviceOf = (framing: Framing.Framing<string>) =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<Transport.Transport>()
      const service = yield* ClientService.make({ endpoint: server.endpoint, protocol: Framing.protocol(framing) })
      yield* service.start
      const { peer, transport } = yield* TestTransport.make()
      yield* server.accept(transport)
      yield* awaitState(service, "Connected")
      return { peer, service }
    })

  // Kind 14
  it.scoped("a frame that can't be read loses the connection, once its reader had time to act on that", () =>
    Effect.gen(function* () {
      const { peer, service } = yield* serviceOf(Framing.lines({ limit: 5 }))
      yield* peer.write("123456")
      const read = service.use(({ read }) => Effect.zipLeft(Effect.flip(read), Effect.yieldNow()))
      expect(yield* read).toMatchObject({ reason: "TooLong", limit: 5 })
      yield* awaitState(service, "Waiting")
      const state = yield* service.state.get
      expect(state._tag === "Waiting" && `${state.cause}`).toContain("more than 5 bytes")
    })
  )

  // Kind 1
  it.scoped("a slow reader of the many frames of one packet gets them all before the loss is known", () =>
    Effect.gen(function* () {
      for (const slowly of [100, 999]) {
        const { end, losses, receive, transport } = yield* transports["a transport"]
        const { frames, read } = Framing.lines().over(transport)
        receive(Array.from({ length: 50 }, (_, i) => `${i}\n`).join(""))
        expect(yield* read).toBe("0")
        end()
        const reading = yield* frames.pipe(
          Stream.mapEffect((frame) => Effect.as(Effect.sleep(slowly), frame)),
          Stream.runCollect,
          Effect.fork
        )
        for (let frame = 1; frame < 50; frame++) {
          yield* TestClock.adjust(slowly - 1)
          expect(losses).toEqual([])
          yield* TestClock.adjust(1)
        }
        expect(Chunk.size(yield* Fiber.join(reading))).toBe(49)
        yield* settle
        expect(losses).toHaveLength(1)
      }
    })
  )

  // Kind 1
  it.scoped("one who is at a frame when the end comes has a second from then on, as a reader of bytes has", () =>
    Effect.gen(function* () {
      for (const after of [500, 1200]) {
        const { end, losses, receive, transport } = yield* transports["a transport"]
        const { frames } = Framing.lines().over(transport)
        const reading = yield* frames.pipe(
          Stream.mapEffect((frame) => Effect.as(Effect.sleep(after + 999), frame)),
          Stream.runCollect,
          Effect.fork
        )
        yield* settle
        receive("1\n2\n")
        yield* TestClock.adjust(after)
        end()
        yield* TestClock.adjust(999)
        yield* settle
        expect(losses).toEqual([])
        yield* TestClock.adjust(1000)
        yield* settle
        expect(losses).toHaveLength(1)
        yield* Fiber.interrupt(reading)
      }
    })
  )
})

// Kind 14
it.scoped("wherever a reader of one frame is interrupted, the next one gets it", () =>
  Effect.gen(function* () {
    for (let ops = 10; ops < 30; ops++) {
      for (let yields = 0; yields < 6; yields++) {
        const { receive, transport } = yield* transports["a transport"]
        const { read } = Framing.lines().over(transport)
        const first = yield* Effect.fork(Effect.withMaxOpsBeforeYield(read, ops))
        yield* Effect.repeatN(Effect.yieldNow(), yields)
        yield* Fiber.interruptFork(first)
        yield* settle
        const next = yield* Effect.fork(read)
        yield* settle
        receive("frame\n")
        yield* settle
        expect(next.unsafePoll(), `${ops} ops, ${yields} yields`).toEqual(Exit.succeed("frame"))
      }
    }
  })
)
