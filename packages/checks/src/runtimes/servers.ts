import { readFileSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { Effect, Runtime, type Scope } from "effect"
import { build } from "esbuild"
import type * as debian from "test-servers/debian"
import * as postgres from "test-servers/postgres"
import * as rabbitmq from "test-servers/rabbitmq"
import * as redis from "test-servers/redis"
import * as serverProcess from "test-servers/serverProcess"
import { run } from "../workspace.js"
import type { World } from "./programs/world.js"

/** What the programs are run against, and what is told of what can't be. */
export interface Servers {
  readonly world: World
  readonly missing: ReadonlyMap<string, string>
  /** Serves a page with a script, and gives what the script reports. */
  readonly serve: (script: string) => Promise<Report>
}

/** What a program in a browser has said, and its problem if it had one. */
export interface Report {
  readonly said: ReadonlyArray<string>
  readonly problem: string
}

/** Starts the servers that are installed, and one that kills and starts them for the programs. */
export const startServers: Effect.Effect<Servers, never, Scope.Scope> = Effect.gen(function* () {
  const directory = yield* serverProcess.temporaryDirectory
  const processes = new Map<string, serverProcess.ServerProcess>()
  const urls: Record<string, string> = {}
  const missing = new Map<string, string>()

  const ports = {
    tcp: yield* serverProcess.freePort,
    tls: yield* serverProcess.freePort,
    webSocket: yield* serverProcess.freePort,
    rpc: yield* serverProcess.freePort
  }
  const path = join(directory, "socket")
  const certificate = yield* Effect.promise(() => makeCertificate(directory))
  const settings = { ports, path, cert: certificate.cert, key: certificate.key }
  processes.set(
    "peer",
    yield* serverProcess.make({
      command: process.execPath,
      args: [yield* Effect.promise(() => bundlePeer(directory)), JSON.stringify(settings)],
      ready: /^ready$/m
    })
  )
  const start = <Executable extends string>(
    name: string,
    installing: () => Promise<debian.Installed<Executable>>,
    make: (
      paths: Readonly<Record<Executable, string>>
    ) => Effect.Effect<serverProcess.ServerProcess & { readonly url: string }, never, Scope.Scope>
  ) =>
    Effect.gen(function* () {
      const installed = yield* Effect.promise(installing)
      if (!installed.isInstalled) return void missing.set(name, installed.reason)
      const server = yield* make(installed.paths)
      processes.set(name, server)
      urls[name] = server.url
    })
  yield* start("redis", redis.install, (paths) =>
    Effect.map(redis.make(paths), (server) => ({ ...server, url: `redis://${server.host}:${server.port}` }))
  )
  yield* start("postgres", postgres.install, postgres.make)
  yield* start("rabbitmq", rabbitmq.install, rabbitmq.make)

  const runPromise = Runtime.runPromise(yield* Effect.runtime<never>())
  let script = ""
  let report: (report: Report) => void = () => {}
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [, name = "", action = ""] = (request.url ?? "").split("/")
    const server = processes.get(name)
    if (name === "world") response.end(JSON.stringify(world))
    else if (name === "report") {
      report(JSON.parse(await text(request)))
      response.end()
    } else if (name === "script.js") response.setHeader("content-type", "text/javascript").end(script)
    else if (name === "page") response.setHeader("content-type", "text/html").end(page(action))
    else if (server !== undefined && (action === "kill" || action === "start")) {
      await runPromise(server[action])
      response.end()
    } else response.writeHead(404).end(`There is no ${request.url}`)
  }
  const http = yield* Effect.acquireRelease(
    Effect.sync(() =>
      createServer((request, response) => {
        answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
      })
    ),
    (http) =>
      Effect.sync(() => {
        http.close()
        http.closeAllConnections()
      })
  )
  yield* Effect.async<void>((resume) => void http.listen(0, "127.0.0.1", () => resume(Effect.void)))
  const { port } = http.address() as AddressInfo
  const world: World = {
    control: `http://127.0.0.1:${port}`,
    ...ports,
    path,
    ca: certificate.ca,
    servers: urls
  }
  return {
    world,
    missing,
    serve: (served) => {
      script = served
      return new Promise((resolve) => (report = resolve))
    }
  }
})

const page = (where: string): string =>
  where === "worker"
    ? '<script>new Worker("/script.js", { type: "module" })</script>'
    : '<script type="module" src="/script.js"></script>'

/** One file, which starts in no time, since the programs have it killed again and again. */
const bundlePeer = async (directory: string): Promise<string> => {
  const outfile = join(directory, "peer.mjs")
  await build({
    entryPoints: [join(import.meta.dirname, "peer.ts")],
    bundle: true,
    format: "esm",
    platform: "node",
    // For what is CommonJS in it.
    banner: {
      js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);'
    },
    outfile
  })
  return outfile
}

/** Makes a certificate for localhost by an authority of its own: there are runtimes that trust none that certifies itself. */
const makeCertificate = async (directory: string) => {
  const of = (name: string) => join(directory, name)
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
  const openssl = (...args: ReadonlyArray<string>) => run("openssl", args, directory)
  writeFileSync(of("extensions"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
  const authority = ["-keyout", of("ca.key"), "-out", of("ca"), "-subj", "/CN=Test CA"]
  await openssl("req", "-x509", ...key, ...authority)
  await openssl("req", ...key, "-keyout", of("key"), "-out", of("request"), "-subj", "/CN=localhost")
  const issued = ["-CA", of("ca"), "-CAkey", of("ca.key"), "-CAcreateserial", "-days", "2"]
  await openssl("x509", "-req", "-in", of("request"), ...issued, "-extfile", of("extensions"), "-out", of("cert"))
  return { ca: readFileSync(of("ca"), "utf8"), cert: of("cert"), key: of("key") }
}
