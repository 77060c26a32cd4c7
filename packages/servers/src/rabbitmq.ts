/**
 * A RabbitMQ server for tests.
 */
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import * as debian from "./debian.js"
import { expressionOf } from "./rabbitmqCommands.js"
import { withLibrariesOf } from "./rabbitmqLibraries.js"
import * as serverProcess from "./serverProcess.js"

export interface RabbitMQ extends serverProcess.ServerProcess {
  readonly host: string
  readonly port: number
  /** An administrator. */
  readonly user: string
  readonly password: string
  /** All of these. */
  readonly url: string
  /** What another server needs to know to join it. */
  readonly node: Node
  /** Has the server do what a command of `rabbitmqctl` has it do. */
  readonly control: (...command: ReadonlyArray<string>) => Effect.Effect<void>
  /** Has what was declared survive a kill. */
  readonly keepDeclared: Effect.Effect<void>
}

interface Node {
  readonly name: string
  /** Where the secret of the cluster is. */
  readonly home: string
  readonly mapperPort: number
}

export type Executable = "epmd" | "erl_call" | "rabbitmq-server"

export const wanted: debian.Wanted<Executable> = {
  packages: ["rabbitmq-server"],
  executables: ["epmd", "erl_call", "rabbitmq-server"]
}

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

// Those on the PATH change the user and the environment.
const script = "/usr/lib/rabbitmq/bin/rabbitmq-server"

/**
 * Starts a server in a temporary folder, with a port mapper of its own. When it is started again, it has the same port and
 * the same data. When the Scope closes, both are killed and the folder removed.
 */
export const make = (
  paths: Readonly<Record<Executable, string>>,
  options?: {
    /** Default: a free one. */
    readonly port?: number | undefined
    /** Settings of `rabbitmq.conf`, in addition to those that it has here. */
    readonly settings?: Readonly<Record<string, string>> | undefined
    readonly plugins?: ReadonlyArray<string> | undefined
    /** A server whose cluster it joins. */
    readonly joins?: RabbitMQ | undefined
  }
): Effect.Effect<RabbitMQ, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* serverProcess.temporaryDirectory
    const port = options?.port ?? (yield* serverProcess.freePort)
    const user = "test"
    const password = "correct horse/battery@staple"
    const settings = Object.entries({ default_user: user, default_pass: password, ...options?.settings })
    const files = {
      "rabbitmq.conf": settings.map(([name, value]) => `${name} = ${value}\n`).join(""),
      enabled_plugins: `[${(options?.plugins ?? []).join(",")}].\n`,
      "rabbitmq-env.conf": ""
    }
    for (const [name, content] of Object.entries(files))
      yield* Effect.promise(() => writeFile(join(directory, name), content))
    const joined = options?.joins?.node
    const node: Node = {
      name: `test-${port}@localhost`,
      home: joined?.home ?? directory,
      mapperPort: joined?.mapperPort ?? (yield* serverProcess.freePort)
    }
    const scripts = yield* Effect.promise(() =>
      withLibrariesOf(options?.plugins ?? [], script, join(directory, "home"))
    )
    // Without waiting in a loop for what comes next, which takes the processor from the tests.
    const erlang = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
    const env = {
      HOME: node.home,
      ERL_EPMD_PORT: String(node.mapperPort),
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_SCRIPTS_DIR: scripts,
      RABBITMQ_NODENAME: node.name,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(yield* serverProcess.freePort),
      RABBITMQ_MNESIA_BASE: join(directory, "data"),
      RABBITMQ_LOG_BASE: join(directory, "log"),
      RABBITMQ_LOGS: "-",
      RABBITMQ_CONFIG_FILE: join(directory, "rabbitmq.conf"),
      RABBITMQ_CONF_ENV_FILE: join(directory, "rabbitmq-env.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: erlang,
      // So that the process is the server, not a script that waits for it.
      RUNNING_UNDER_SYSTEMD: "true"
    }
    // The server would start one that outlives it.
    if (joined === undefined)
      yield* serverProcess.make({
        command: paths.epmd,
        args: ["-d", "-d", "-port", env.ERL_EPMD_PORT, "-address", env.ERL_EPMD_ADDRESS],
        ready: /entering the main select/,
        env
      })
    const server = yield* serverProcess.make({
      command: script,
      ready: /Server startup complete/,
      env,
      cwd: directory
    })
    const control: RabbitMQ["control"] = (name = "", ...args) =>
      Effect.promise(() => evaluate(paths.erl_call, node.name, expressionOf(name, args), env))
    if (joined !== undefined) {
      yield* control("stop_app")
      yield* control("join_cluster", joined.name)
      yield* control("start_app")
    }
    return {
      ...server,
      node,
      host: "127.0.0.1",
      port,
      user,
      password,
      url: `amqp://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}`,
      control,
      keepDeclared: control("sync")
    }
  })

const evaluate = (
  erlCall: string,
  node: string,
  expression: string,
  env: Readonly<Record<string, string>>
): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = execFile(
      erlCall,
      ["-r", "-sname", node, "-e"],
      { env: { ...process.env, ...env } },
      (error, output) => {
        if (error !== null) reject(error)
        else if (/^\{ok, (?!\{(?:error|badrpc))/.test(output)) resolve()
        else reject(new Error(`${expression} gave ${output}`))
      }
    )
    child.stdin?.end(`${expression}\n`)
  })
