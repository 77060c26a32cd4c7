import { createPrivateKey } from "node:crypto"
import { inspect } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Logger, LogLevel, Queue, Stream, Tracer } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { ChildProcessEndpoint, NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "./support/certificates.js"
import { closedPort, echo, listen } from "./support/server.js"

const host = "127.0.0.1"

/** A text in all the forms in which an error, a state or a service may come to be read. */
const read = (value: unknown): string =>
  [
    String(value),
    JSON.stringify(value),
    inspect(value, { depth: 20 }),
    value instanceof Error ? value.stack : ""
  ].join()

/** Runs an Effect, and gives all that is said meanwhile in logs of every format and in spans. */
const overheard = <A, E, R>(effect: (said: (text: string) => void) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const texts: Array<string> = []
    const say = (text: string) => void texts.push(text)
    const loggers = [
      Logger.stringLogger,
      Logger.logfmtLogger,
      Logger.jsonLogger,
      Logger.map(Logger.structuredLogger, read)
    ]
    const logger = Logger.make<unknown, void>((options) => {
      for (const logger of loggers) say(logger.log(options))
    })
    const tracer = Tracer.make({
      context: (run) => run(),
      span: (name, parent, context, links, startTime, kind) => ({
        _tag: "Span",
        name,
        spanId: name,
        traceId: name,
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        links,
        sampled: true,
        kind,
        end: (_, exit) => say(exit._tag === "Failure" ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "ok"),
        attribute: (key, value) => say(`${key}=${read(value)}`),
        event: (name, _, attributes) => say(`${name} ${read(attributes)}`),
        addLinks: () => {}
      })
    })
    return effect(say).pipe(
      Effect.withTracer(tracer),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.map(() => texts.join("\n"))
    )
  })

describe("what is logged, traced, thrown and shown", () => {
  it.scopedLive("has nothing of keys, passphrases and what is sent", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const own = yield* authority.issue("client")
      const passphrase = "open sesame"
      const key = createPrivateKey(own.key).export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase })
      const server = yield* listen(echo, { tls: yield* authority.issue(host) })
      const impostor = yield* listen(echo, { tls: yield* authority.issue("impostor") })
      const silent = yield* listen()
      const credentials = { ca: authority.ca, cert: own.cert, key: key.toString(), passphrase }

      const said = yield* overheard((say) =>
        Effect.gen(function* () {
          for (const port of [server.port, impostor.port, silent.port, yield* closedPort]) {
            const service = yield* ClientService.make({
              endpoint: NodeEndpoint.tls({ host, port, ...credentials }),
              prepare: (transport) =>
                Effect.zipRight(transport.write("AUTH hunter2\n"), Stream.runHead(transport.incoming)),
              retryPolicy: RetryPolicy.fromFunction((failures) => (failures < 2 ? 1 : 1_000_000)),
              connectTimeout: port === silent.port ? 50 : undefined
            })
            yield* service.state.changes.pipe(
              // What a protocol shows of itself is its own affair.
              Stream.runForEach((state) =>
                Effect.sync(() => say(read(state._tag === "Connected" ? service : [state, service])))
              ),
              Effect.forkScoped
            )
            yield* service.start
            const failed = Effect.flip(service.whenConnected({ failAfterFailures: 2 }))
            if (port !== server.port) {
              say(read(yield* failed))
              continue
            }
            yield* service.whenConnected()
            const lost = yield* Effect.fork(Effect.flip(service.use(() => Effect.never)))
            const peer = yield* Queue.take(server.accepted)
            peer.destroy()
            say(read(yield* lost))
          }
        })
      )
      for (const what of [
        "ECONNREFUSED",
        "ALTNAME_INVALID",
        "ConnectTimeout",
        "ConnectionLost",
        `tls://${host}`,
        "ok"
      ]) {
        expect(said).toContain(what)
      }
      const [, body = ""] = credentials.key.split("\n")
      for (const secret of ["hunter2", passphrase, body]) expect(said).not.toContain(secret)
    })
  )

  // Kind 15
  it.scopedLive("has nothing of the arguments and the environment of a process", () =>
    Effect.gen(function* () {
      const script = "echo ready; read -r line; exit 7"
      const secrets = ["--token=hunter2", "open sesame"]
      const [token = "", SECRET] = secrets
      const said = yield* overheard((say) =>
        Effect.gen(function* () {
          for (const [command, ...args] of [["sh", "-c", script], ["no-such-command"], ["/"]] as const) {
            const service = yield* ClientService.make({
              endpoint: ChildProcessEndpoint.make(command, [...args, token], { env: { SECRET }, linger: 50 }),
              prepare: (transport) =>
                Effect.zipRight(
                  Effect.sync(() => say(read(transport))),
                  Effect.zipRight(Stream.runHead(transport.incoming), transport.write("hunter2\n"))
                ),
              retryPolicy: RetryPolicy.fromFunction((failures) => (failures < 2 ? 1 : 1_000_000))
            })
            yield* service.state.changes.pipe(
              Stream.runForEach((state) => Effect.sync(() => say(read([state, service])))),
              Effect.forkScoped
            )
            yield* service.start
            say(read(yield* Effect.flip(service.use(() => Effect.never).pipe(Effect.timeout(2000)))))
          }
        })
      )
      for (const what of ["process:sh", "exit code 7", "no-such-command", "ENOENT", "EACCES", "(pid "]) {
        expect(said).toContain(what)
      }
      for (const secret of ["hunter2", "open sesame", script]) expect(said).not.toContain(secret)
    })
  )

  it.scopedLive("has the words of the user's own errors, which are the user's to choose", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(echo)
      const said = yield* overheard(() =>
        Effect.gen(function* () {
          const service = yield* ClientService.make({
            endpoint: NodeEndpoint.tcp({ host, port }),
            prepare: () => Effect.fail(new Error("alice may not log in")),
            retryPolicy: RetryPolicy.fromFunction(() => "1 hour")
          })
          yield* service.start
          yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))
        })
      )
      expect(said).toContain("alice may not log in")
    })
  )
})
