import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ClientService, type Endpoint } from "effect-client-service"
import type { Installed } from "test-servers/debian"
import type { ServerProcess } from "test-servers/serverProcess"

export interface Server extends ServerProcess {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Changes the password from the next start on. It is called while the server runs. */
  readonly setPassword: (password: string) => Effect.Effect<void>
}

/** What an application does with the connection: asks for something and gets the answer. */
export type Call = () => Promise<unknown>

/** A client in use. */
export interface Subject {
  readonly call: Call
  /** A call that does not wait for ever, where the client has one. */
  readonly impatientCall: Call
}

export interface Client {
  readonly name: string
  /** Starts its server, or tells why there is none. */
  readonly server: Effect.Effect<Server | string, never, Scope.Scope>
  /** Connects as the client does by itself, with a listener for its `error` event or without. */
  readonly alone: (server: Server, hasListener: boolean) => Effect.Effect<Call, never, Scope.Scope>
  /** What is under a `ClientService` instead, where the client does nothing but reconnect. */
  readonly under?: string
  /** The client with its own reconnecting off. */
  readonly endpoint: (server: Server) => Endpoint.Endpoint<Call, Failed>
}

export class Failed extends Error {
  readonly _tag = "Failed"

  constructor(override readonly cause: unknown) {
    super("the client failed")
  }
}

/** The server of a client, once it is installed. */
export const serverOf = <Executable extends string>(
  install: () => Promise<Installed<Executable>>,
  make: (paths: Readonly<Record<Executable, string>>) => Effect.Effect<Server, never, Scope.Scope>
): Client["server"] =>
  Effect.flatMap(Effect.promise(install), (installed): Client["server"] =>
    installed.isInstalled ? make(installed.paths) : Effect.succeed(installed.reason)
  )

export const byItself = (client: Client, server: Server, hasListener: boolean) =>
  Effect.map(client.alone(server, hasListener), (call): Subject => ({ call, impatientCall: call }))

/** The client under a `ClientService` of defaults, but for the heartbeat that it has no default for. */
export const underClientService = (client: Client, server: Server): Effect.Effect<Subject, never, Scope.Scope> =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: client.endpoint(server),
      heartbeat: { probe: tried, interval: "1 second", timeout: "1 second" }
    })
    yield* service.start
    const impatient = service.whenConnected({ failAfterFailures: 1 })
    return {
      call: () => run(service.use(tried)),
      impatientCall: () => run(Effect.flatMap(impatient, tried))
    }
  })

const tried = (call: Call) => Effect.tryPromise({ try: call, catch: (cause) => new Failed(cause) })

// It rejects with the error itself, not with what Effect makes of it for a program that ends.
const run = async <A, E>(effect: Effect.Effect<A, E>): Promise<A> => {
  const exit = await Effect.runPromiseExit(effect)
  if (exit._tag === "Success") return exit.value
  throw Cause.squash(exit.cause)
}
