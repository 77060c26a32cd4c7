import { execFileSync } from "node:child_process"
import { createPrivateKey } from "node:crypto"
import * as Fs from "node:fs"
import FsPromises from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { join, sep } from "node:path"
import { TLSSocket } from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Logger, LogLevel, Queue, Redacted, Stream, TestClock } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { NodeEndpoint, TlsFiles, type TlsFilesError } from "effect-client-service-node"
import { vi } from "vitest"
import { folder, link, secret, watches, write } from "../support/certificateFolder.js"
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.js"
import { run } from "../support/child.js"
import { closedPort, echo, listen } from "../support/server.js"
import { connectOnce, startService, stateOf } from "../support/service.js"
import { turn, turns, until } from "../support/turns.js"
import * as WebSocketServer from "../support/webSocketServer.js"

const host = "127.0.0.1"

const names = { ca: "ca.crt", cert: "tls.crt", key: "tls.key" } as const

const filesOf = (ca: string, { cert, key }: Certificate) => ({ "ca.crt": ca, "tls.crt": cert, "tls.key": key })

/** A server that asks its clients for a certificate of an authority, and tells whose that is. */
const serve = (servers: Authority, clients: Authority, port = 0) =>
  Effect.map(
    Effect.flatMap(servers.issue(host), (certificate) =>
      listen(echo, {
        port,
        tls: { ...certificate, ca: clients.ca, requestCert: true, rejectUnauthorized: true }
      })
    ),
    (server) => ({
      ...server,
      client: Effect.map(Queue.take(server.accepted), (socket) =>
        socket instanceof TLSSocket ? socket.getPeerCertificate().subject.CN : undefined
      )
    })
  )

/** An authority with two certificates of it. */
const twoCertificates = Effect.gen(function* () {
  const authority = yield* makeAuthority()
  return { authority, first: yield* authority.issue("first"), second: yield* authority.issue("second") }
})

const problemOf = (files: TlsFiles.TlsFiles) => Effect.flip(files.read)

/** Has what is told of changes since now in a queue. */
const told = (files: TlsFiles.TlsFiles) =>
  Effect.gen(function* () {
    yield* files.read
    const changes = yield* Queue.unbounded<ReadonlyArray<string>>()
    const before = watches()
    const telling = yield* Effect.forkScoped(Stream.runForEach(files.changes, (paths) => Queue.offer(changes, paths)))
    yield* until(() => watches() > before)
    return { changes, telling }
  })

/** Waits until something has changed and `settle` is waited for. */
const settling = Effect.repeat(Effect.zipRight(turn, TestClock.sleeps()), { until: (sleeps) => [...sleeps].length > 0 })

/** Takes as long as the system does to look at a file, which on a busy machine is many turns of the event loop. */
const looked = Effect.promise(() => FsPromises.stat("."))

/** Has all be looked at that has changed by now. */
const quiet = Effect.repeatN(Effect.zipRight(Effect.repeatN(looked, 99), TestClock.adjust("1 second")), 9)

// What is watched can be counted on Linux.
const onLinux = process.platform === "linux"

describe("certificates in files: read at every attempt", () => {
  // Kind 13
  it.scopedLive("the authority and the certificate of the client may be others at the next connection", () =>
    Effect.gen(function* () {
      const [servers, others] = yield* Effect.all([makeAuthority("Old"), makeAuthority("New")])
      const { folder, mount } = yield* secret
      const files = TlsFiles.kubernetes(folder)
      mount(filesOf(servers.ca, yield* servers.issue("old client")))
      const old = yield* serve(servers, servers)
      const { port } = old
      const service = yield* startService(NodeEndpoint.tls({ host, port, credentials: files.read }))
      expect(yield* old.client).toBe("old client")
      yield* service.whenConnected()
      yield* old.kill
      yield* stateOf(service, "Waiting")
      mount(filesOf(others.ca, yield* others.issue("new client")))
      const renewed = yield* serve(others, others, port)
      expect(yield* renewed.client).toBe("new client")
      yield* service.whenConnected()
    })
  )

  // Kind 13
  it.scopedLive("of a WebSocket too, which fails with what is wrong with the file", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const { folder, mount } = yield* secret
      const credentials = TlsFiles.kubernetes(folder).read
      const tls = { ...(yield* authority.issue(host)), ca: authority.ca, requestCert: true, rejectUnauthorized: true }
      const { port } = yield* WebSocketServer.listen({ tls })
      const endpoint = NodeEndpoint.webSocket(`wss://${host}:${port}`, { tls: { credentials } })
      expect(yield* Effect.flip(Effect.scoped(connectOnce(endpoint)))).toMatchObject({
        _tag: "TlsFilesError",
        reason: "NotFound",
        path: join(folder, "ca.crt")
      })
      mount(filesOf(authority.ca, yield* authority.issue("client")))
      yield* connectOnce(endpoint)
    })
  )

  // Kind 13
  it.scopedLive(
    "of a pair that is half written, an attempt fails by the name of the file, and a later one succeeds",
    () =>
      Effect.gen(function* () {
        const { authority, first, second } = yield* twoCertificates
        const path = yield* folder
        write(path, { ...filesOf(authority.ca, first), "tls.crt": second.cert })
        const server = yield* serve(authority, authority)
        const { read } = TlsFiles.make({ folder: path, ...names })
        const service = yield* startService(NodeEndpoint.tls({ host, port: server.port, credentials: read }))
        const error = Cause.squash((yield* stateOf(service, "Waiting")).cause)
        expect(error).toMatchObject({ _tag: "TlsFilesError", reason: "Mismatch", path: join(path, "tls.key") })
        expect(error).toHaveProperty("message", expect.stringContaining(join(path, "tls.crt")))
        write(path, { "tls.key": second.key })
        expect(yield* server.client).toBe("second")
      })
  )

  // Kind 13
  it.scopedLive("what it gives takes the place of the options, and what it leaves out is theirs", () =>
    Effect.gen(function* () {
      const { authority, first, second } = yield* twoCertificates
      const server = yield* serve(authority, authority)
      const tls = { host, port: server.port, ca: authority.ca, ...first }
      yield* connectOnce(NodeEndpoint.tls({ ...tls, credentials: Effect.succeed(second) }))
      expect(yield* server.client).toBe("second")
      yield* connectOnce(NodeEndpoint.tls({ ...tls, credentials: Effect.succeed({}) }))
      expect(yield* server.client).toBe("first")
      const wrong = connectOnce(NodeEndpoint.tls({ ...tls, credentials: Effect.succeed({ ca: "none" }) }))
      expect(yield* Effect.flip(Effect.scoped(wrong))).toMatchObject({ _tag: "ConnectError", reason: "Tls" })
    })
  )

  // Kind 13
  it.scopedLive("what is read belongs together, though a secret is mounted between the reading of two files", () =>
    Effect.gen(function* () {
      const { folder, mount } = yield* secret
      const [old, renewed] = yield* Effect.all(
        ["Old", "New"].map((name) =>
          Effect.flatMap(makeAuthority(name), (authority) =>
            Effect.map(authority.issue(name), (certificate) => filesOf(authority.ca, certificate))
          )
        )
      )
      mount(old ?? {})
      let reads = 0
      let last: Promise<unknown> = Promise.resolve()
      const { readFile } = FsPromises
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const spy = vi.spyOn(FsPromises, "readFile").mockImplementation((...options) => {
            const before = last
            const read = async () => {
              reads += 1
              if (reads === 2) {
                await before
                mount(renewed ?? {})
              }
              return readFile(...options)
            }
            const reading = read()
            last = reading
            return reading
          })
          syncBuiltinESMExports()
          return spy
        }),
        (spy) =>
          Effect.sync(() => {
            spy.mockRestore()
            syncBuiltinESMExports()
          })
      )
      const { ca, cert, key } = yield* TlsFiles.kubernetes(folder).read
      expect({ "ca.crt": ca?.[0], "tls.crt": cert, "tls.key": key }).toEqual(renewed)
      expect(reads).toBeGreaterThan(3)
    })
  )
})

describe("certificates in files: what is wrong is told, with the path", () => {
  const wrong = (prepare: (path: string, files: Record<string, string>) => void) =>
    Effect.gen(function* () {
      const { authority, first } = yield* twoCertificates
      const path = yield* folder
      const files = filesOf(authority.ca, first)
      write(path, files)
      prepare(path, files)
      return { path, error: yield* problemOf(TlsFiles.make({ folder: path, ...names })) }
    })

  for (const [what, reason, name, prepare] of [
    ["a file that is missing", "NotFound", "ca.crt", (path) => Fs.rmSync(join(path, "ca.crt"))],
    [
      "a link that leads nowhere",
      "NotFound",
      "tls.crt",
      (path) => {
        Fs.rmSync(join(path, "tls.crt"))
        Fs.symlinkSync("nowhere", join(path, "tls.crt"))
      }
    ],
    [
      "a link that leads to itself",
      "Unreadable",
      "tls.crt",
      (path) => {
        Fs.rmSync(join(path, "tls.crt"))
        Fs.symlinkSync("tls.crt", join(path, "tls.crt"))
      }
    ],
    [
      "a folder",
      "NotAFile",
      "tls.key",
      (path) => {
        Fs.rmSync(join(path, "tls.key"))
        Fs.mkdirSync(join(path, "tls.key"))
      }
    ],
    [
      "a pipe, which nobody writes to",
      "NotAFile",
      "tls.key",
      (path) => {
        Fs.rmSync(join(path, "tls.key"))
        execFileSync("mkfifo", [join(path, "tls.key")])
      }
    ],
    ["an authority that is empty", "Invalid", "ca.crt", (path) => write(path, { "ca.crt": "" })],
    ["what is no authority", "Invalid", "ca.crt", (path) => write(path, { "ca.crt": "secret" })],
    [
      "an authority that is cut off, after a whole one",
      "Invalid",
      "ca.crt",
      (path, files) => write(path, { "ca.crt": `${files["ca.crt"]}\n${files["ca.crt"]?.slice(0, 200)}` })
    ],
    [
      "a chain that is cut off",
      "Invalid",
      "tls.crt",
      (path, files) => write(path, { "tls.crt": `${files["tls.crt"]}\n${files["ca.crt"]?.slice(0, 200)}` })
    ],
    [
      "a certificate that is none",
      "Invalid",
      "tls.crt",
      (path) => write(path, { "tls.crt": "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----" })
    ],
    ["a key that is empty", "Invalid", "tls.key", (path) => write(path, { "tls.key": "" })],
    [
      "a key that is cut off",
      "Invalid",
      "tls.key",
      (path, files) => write(path, { "tls.key": files["tls.key"]?.slice(0, 80) ?? "" })
    ],
    ["a file that has no end", "Invalid", "tls.crt", (path) => Fs.truncateSync(join(path, "tls.crt"), 2 ** 31)]
  ] satisfies ReadonlyArray<
    readonly [string, TlsFilesError.Reason, string, (path: string, files: Record<string, string>) => void]
  >) {
    it.scopedLive(`${reason}, of ${what}`, () =>
      Effect.gen(function* () {
        const { error, path } = yield* wrong(prepare)
        expect(error).toMatchObject({ _tag: "TlsFilesError", reason, path: join(path, name) })
        expect(error.message).toContain(join(path, name))
        expect(error.message).not.toContain("secret")
      })
    )
  }

  // Kind 13
  it.scopedLive("a key needs its passphrase, which may be in the same file as the certificate", () =>
    Effect.gen(function* () {
      const { authority, first } = yield* twoCertificates
      const path = yield* folder
      const passphrase = "open sesame"
      const key = createPrivateKey(first.key).export({
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase
      })
      write(path, { "client.pem": `${first.cert}\n${key}` })
      const files = { folder: path, cert: "client.pem", key: "client.pem" }
      for (const given of [undefined, "another"]) {
        const error = yield* problemOf(TlsFiles.make({ ...files, passphrase: given }))
        expect(error).toMatchObject({ reason: "Invalid", path: join(path, "client.pem") })
      }
      const { read } = TlsFiles.make({ ...files, passphrase: Redacted.make(passphrase) })
      const server = yield* serve(authority, authority)
      yield* connectOnce(NodeEndpoint.tls({ host, port: server.port, ca: authority.ca, credentials: read }))
      expect(yield* server.client).toBe("first")
    })
  )

  // Kind 13
  it.scopedLive("NotPermitted, of a file that this process may not read, and Unwatchable, of such a folder", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "private")
      write(path, { "ca.crt": "" })
      Fs.chmodSync(join(path, "ca.crt"), 0)
      Fs.chmodSync(path, 0o711)
      // A process of its own, since it gives up the right of root to read any.
      const client = yield* run("unprivilegedFiles.ts", [join(path, "ca.crt")])
      expect(yield* client.line("reading")).toBe(`NotPermitted EACCES ${join(path, "ca.crt")}`)
      expect(yield* client.line("watching")).toBe(`Unwatchable EACCES ${path}`)
    })
  )

  // Kind 13
  it("names that make no sense are refused at once", () => {
    const refusal = (option: string) => expect.objectContaining({ _tag: "InvalidOption", option })
    expect(() => TlsFiles.make({})).toThrow(refusal("ca, cert and key"))
    expect(() => TlsFiles.make({ ca: [] })).toThrow(refusal("ca, cert and key"))
    expect(() => TlsFiles.make({ cert: "tls.crt" })).toThrow(refusal("key"))
    expect(() => TlsFiles.make({ key: "tls.key" })).toThrow(refusal("cert"))
    expect(() => TlsFiles.make({ ca: "a\0b" })).toThrow(refusal("ca"))
    expect(() => TlsFiles.make({ ca: [" "] })).toThrow(refusal("ca"))
    expect(() => TlsFiles.kubernetes("")).toThrow(refusal("folder"))
    expect(() => TlsFiles.kubernetes("/tls", { settle: Number.NaN })).toThrow(refusal("settle"))
  })

  // Kind 13
  it("an authority that is none, and a certificate without its key, are refused where they are given too", () => {
    const refusal = expect.objectContaining({ _tag: "InvalidOption" })
    for (const ca of ["", "secret", Buffer.from("secret"), ["secret"], []]) {
      expect(() => NodeEndpoint.tls({ host, port: 1, ca })).toThrow(refusal)
      expect(() => NodeEndpoint.webSocket("wss://a", { tls: { ca } })).toThrow(refusal)
    }
  })

  it("a key in the place of its name is refused, and not shown", () => {
    const key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"
    for (const options of [
      { key },
      { cert: key, key },
      { cert: "tls.crt", key },
      { ca: key },
      { folder: key, ca: "a" }
    ]) {
      expect(() => TlsFiles.make(options)).toThrow(/name of a file/)
      expect(() => TlsFiles.make(options)).not.toThrow(/secret/)
    }
  })

  it.scopedLive("and where an Effect gives them", () =>
    Effect.gen(function* () {
      const { first } = yield* twoCertificates
      const port = yield* closedPort
      expect(() => NodeEndpoint.tls({ host, port, cert: first.cert })).toThrow(/cert and key/)
      const error = yield* Effect.flip(
        Effect.scoped(connectOnce(NodeEndpoint.tls({ host, port, cert: Effect.succeed(first.cert) })))
      )
      expect(error).toMatchObject({ reason: "Tls" })
      expect(error.message).toContain("cert and key")
    })
  )
})

describe.runIf(onLinux)("certificates in files: changes are told", () => {
  const started = Effect.gen(function* () {
    const { authority, first, second } = yield* twoCertificates
    return { first: filesOf(authority.ca, first), second: filesOf(authority.ca, second), authority }
  })

  // Kind 13
  it.scopedLive("a connection is renewed when a secret is mounted anew, once, before the old certificate expires", () =>
    Effect.gen(function* () {
      const { authority, first, second } = yield* started
      const { folder, mount } = yield* secret
      mount(first)
      const server = yield* serve(authority, authority)
      const files = TlsFiles.kubernetes(folder, { settle: 0 })
      const service = yield* ClientService.make({
        endpoint: NodeEndpoint.tls({ host, port: server.port, credentials: files.read })
      })
      yield* Effect.forkScoped(ClientService.reconnectOn(service, files.changes))
      yield* service.start
      expect(yield* server.client).toBe("first")
      yield* service.whenConnected()
      mount(second)
      expect(yield* server.client).toBe("second")
      yield* service.whenConnected()
      mount(first)
      expect(yield* server.client).toBe("first")
      yield* service.whenConnected()
      expect(yield* Queue.size(server.accepted)).toBe(0)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  // Kind 13
  it.scopedLive("an attempt begins at once when what was missing is there", () =>
    Effect.gen(function* () {
      const { authority, first } = yield* started
      const path = join(yield* folder, "not", "mounted", "yet")
      const server = yield* serve(authority, authority)
      const files = TlsFiles.kubernetes(path, { settle: 0 })
      const service = yield* startService(NodeEndpoint.tls({ host, port: server.port, credentials: files.read }), {
        retryPolicy: RetryPolicy.fromFunction(() => "1 hour")
      })
      yield* stateOf(service, "Waiting")
      yield* Effect.forkScoped(ClientService.reconnectOn(service, files.changes))
      write(path, first)
      expect(yield* server.client).toBe("first")
    })
  )

  // Kind 13
  it.scopedLive("what could not be read is told when it is there again, as it was before", () =>
    Effect.gen(function* () {
      const { first } = yield* started
      const path = yield* folder
      write(path, first)
      const files = TlsFiles.kubernetes(path, { settle: 0 })
      const { changes } = yield* told(files)
      Fs.rmSync(join(path, "tls.key"))
      expect(yield* problemOf(files)).toMatchObject({ reason: "NotFound" })
      write(path, first)
      expect(yield* Queue.take(changes)).toEqual([join(path, "tls.key")])
    })
  )

  // Kind 13
  it.scopedLive("what has changed since it was read for a connection is told to whoever begins to listen", () =>
    Effect.gen(function* () {
      const { first, second } = yield* started
      const { folder, mount } = yield* secret
      mount(first)
      const files = TlsFiles.kubernetes(folder, { settle: 0 })
      yield* files.read
      mount(second)
      const changed = yield* Effect.flatten(Stream.runHead(files.changes))
      expect(changed).toEqual(["tls.crt", "tls.key"].map((name) => join(folder, name)))
    })
  )

  // Kind 13
  it.scoped(
    "nothing is told of a pair that is half written, of another file, or of one that is written as it was",
    () =>
      Effect.gen(function* () {
        const { first, second } = yield* started
        const path = yield* folder
        write(path, first)
        const { changes } = yield* told(TlsFiles.kubernetes(path))
        const looked = (files: Record<string, string>) =>
          Effect.gen(function* () {
            write(path, files)
            yield* settling
            yield* TestClock.adjust("1 second")
          })
        yield* looked({ "tls.crt": second["tls.crt"] })
        yield* looked({ other: "x" })
        // It waits again only after it has looked.
        yield* looked({ "tls.crt": second["tls.crt"] })
        expect(yield* Queue.size(changes)).toBe(0)
        yield* looked({ "tls.key": second["tls.key"] })
        expect(yield* Queue.take(changes)).toEqual(["tls.crt", "tls.key"].map((name) => join(path, name)))
        yield* looked(second)
        yield* looked({ other: "x" })
        expect(yield* Queue.size(changes)).toBe(0)
      })
  )

  // Kind 13
  it.scoped("those who renew the files one after the other have until `settle`, and it is told once", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* started, yield* started]
      const path = yield* folder
      write(path, one.first)
      const { changes } = yield* told(TlsFiles.kubernetes(path))
      write(path, { "ca.crt": other.first["ca.crt"] })
      yield* settling
      yield* TestClock.adjust("999 millis")
      write(path, other.first)
      yield* TestClock.adjust("1 millis")
      expect(yield* Queue.take(changes)).toEqual(Object.values(names).map((name) => join(path, name)))
    })
  )

  for (const [what, swap] of [
    [
      "a link to a folder, such as that of a release, leads elsewhere",
      (path, files) => {
        write(join(path, "2"), files)
        link("2", join(path, "current"))
      }
    ],
    [
      "the folder is removed, and made again",
      (path, files) => {
        Fs.rmSync(join(path, "1"), { recursive: true })
        write(join(path, "1"), files)
      }
    ],
    [
      "the folder is put in the place of another",
      (path, files) => {
        write(join(path, "2"), files)
        Fs.renameSync(join(path, "1"), join(path, "0"))
        Fs.renameSync(join(path, "2"), join(path, "1"))
      }
    ],
    [
      "the folder above is",
      (path, files) => {
        link("1", join(path, "9"))
        write(join(path, "2"), files)
        link("2", join(path, "9"))
        link("9", join(path, "current"))
      }
    ],
    ["the files are written", (path, files) => write(join(path, "1"), files)]
  ] satisfies ReadonlyArray<readonly [string, (path: string, files: Record<string, string>) => void]>) {
    it.scoped(`twice, when ${what}`, () =>
      Effect.gen(function* () {
        const { first, second } = yield* started
        const path = yield* folder
        write(join(path, "1"), first)
        link("1", join(path, "current"))
        const { changes } = yield* told(TlsFiles.kubernetes(join(path, "current")))
        swap(path, second)
        yield* quiet
        expect(yield* Queue.take(changes)).toHaveLength(2)
        Fs.rmSync(join(path, "0"), { recursive: true, force: true })
        yield* quiet
        write(Fs.realpathSync(join(path, "current")), first)
        yield* quiet
        expect(yield* Queue.take(changes)).toHaveLength(2)
      })
    )
  }

  for (const [what, swap] of [
    [
      "is put in the place of another",
      (path, files) => {
        write(join(path, "new", "certs"), files)
        Fs.renameSync(join(path, "live"), join(path, "old"))
        Fs.renameSync(join(path, "new"), join(path, "live"))
        Fs.rmSync(join(path, "old"), { recursive: true })
      }
    ],
    [
      "is removed, and made again",
      (path, files) => {
        Fs.rmSync(join(path, "live"), { recursive: true })
        write(join(path, "live", "certs"), files)
      }
    ],
    [
      "is a link from now on",
      (path, files) => {
        Fs.rmSync(join(path, "live"), { recursive: true })
        write(join(path, "released", "certs"), files)
        link("released", join(path, "live"))
      }
    ]
  ] satisfies ReadonlyArray<readonly [string, (path: string, files: Record<string, string>) => void]>) {
    // Kind 13
    it.scoped(`a folder above that of the files ${what}`, () =>
      Effect.gen(function* () {
        const { first, second } = yield* started
        const path = join(yield* folder, "app")
        write(join(path, "live", "certs"), first)
        const { changes } = yield* told(TlsFiles.kubernetes(join(path, "live", "certs")))
        swap(path, second)
        yield* quiet
        expect(yield* Queue.size(changes)).toBe(1)
        expect(yield* Queue.take(changes)).toHaveLength(2)
        // And once more, one above that.
        Fs.renameSync(path, `${path}.old`)
        yield* quiet
        write(join(path, "live", "certs"), first)
        yield* quiet
        expect(yield* Queue.take(changes)).toHaveLength(2)
        // What else is put there is nobody's business.
        write(path, { other: "x" })
        yield* turns(200)
        expect(yield* TestClock.sleeps()).toHaveLength(0)
      })
    )
  }

  // Kind 13
  it.scopedLive("a link of a file leads elsewhere, as those of certbot do", () =>
    Effect.gen(function* () {
      const { first, second } = yield* started
      const path = yield* folder
      const live = join(path, "live")
      const renewed = (generation: number, files: typeof first) => {
        const named = {
          [`fullchain${generation}.pem`]: files["tls.crt"],
          [`privkey${generation}.pem`]: files["tls.key"]
        }
        write(join(path, "archive"), named)
        for (const name of ["fullchain", "privkey"])
          link(`../archive/${name}${generation}.pem`, join(live, `${name}.pem`))
      }
      Fs.mkdirSync(live)
      renewed(1, first)
      const files = TlsFiles.make({ folder: live, cert: "fullchain.pem", key: "privkey.pem", settle: 0 })
      const { changes } = yield* told(files)
      renewed(2, second)
      expect(yield* Queue.take(changes)).toEqual([join(live, "fullchain.pem"), join(live, "privkey.pem")])
      expect(yield* files.read).toEqual({ cert: second["tls.crt"], key: second["tls.key"] })
    })
  )

  // Kind 4
  it.scopedLive("nothing is watched any more when the stream has ended, however often it was renewed", () =>
    Effect.gen(function* () {
      const { first, second } = yield* started
      const { folder, mount } = yield* secret
      mount(first)
      const before = watches()
      const { changes, telling } = yield* told(TlsFiles.kubernetes(folder, { settle: 0 }))
      const while1 = watches()
      for (let i = 0; i < 6; i++) {
        mount(i % 2 === 0 ? second : first)
        yield* Queue.take(changes)
      }
      expect(watches()).toBe(while1)
      // That of the secret, its own, and those above.
      expect(while1 - before).toBe(folder.split(sep).length + 1)
      yield* Fiber.interrupt(telling)
      expect(watches()).toBe(before)
    })
  )
})
