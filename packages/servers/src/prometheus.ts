/**
 * A Prometheus server for tests.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import * as serverProcess from "./serverProcess.js"

export interface Prometheus extends serverProcess.ServerProcess {
  /** Where its API is, such as `http://127.0.0.1:9090`. */
  readonly url: string
}

export type Executable = "prometheus"

export const wanted: debian.Wanted<Executable> = { packages: ["prometheus"], executables: ["prometheus"] }

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/**
 * Starts a server that reads the metrics of a port of 127.0.0.1 every 200 milliseconds. When the Scope closes, the server is
 * killed and its folder removed.
 */
export const make = (
  paths: Readonly<Record<Executable, string>>,
  target: number
): Effect.Effect<Prometheus, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const configuration = join(directory, "prometheus.yml")
    const port = yield* serverProcess.freePort
    const scraping = {
      global: { scrape_interval: "200ms" },
      scrape_configs: [{ job_name: "test", static_configs: [{ targets: [`127.0.0.1:${target}`] }] }]
    }
    // JSON is YAML too.
    yield* Effect.promise(() => writeFile(configuration, JSON.stringify(scraping)))
    const server = yield* serverProcess.make({
      command: paths.prometheus,
      args: [
        `--config.file=${configuration}`,
        `--storage.tsdb.path=${join(directory, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`
      ],
      ready: /Server is ready to receive web requests/,
      cwd: directory
    })
    return { ...server, url: `http://127.0.0.1:${port}` }
  })
