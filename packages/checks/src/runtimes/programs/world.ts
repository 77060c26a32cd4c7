import { Effect, Schedule } from "effect"

/** What the programs are run against. */
export interface World {
  /** Where the servers can be killed and started. */
  readonly control: string
  readonly tcp: number
  readonly tls: number
  readonly webSocket: number
  readonly rpc: number
  readonly path: string
  /** The certificate of the authority that the peer's is from. */
  readonly ca: string
  /** The URLs of the servers that are installed. */
  readonly servers: Readonly<Record<string, string>>
}

const get = (url: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const response = await fetch(url)
    const body = await response.text()
    if (!response.ok) throw new Error(body)
    return body
  })

export const worldOf = (control: string): Effect.Effect<World> =>
  Effect.map(get(`${control}/world`), (body): World => JSON.parse(body))

/** Has something done to a server, and waits until it is. */
export const tell = (world: World, server: string, action: "kill" | "start"): Effect.Effect<void> =>
  Effect.asVoid(get(`${world.control}/${server}/${action}`))

/** How many connections the peer has, and how many blocks of its flood the system has taken from it. */
export const peerOf = (world: World): Effect.Effect<{ readonly open: number; readonly taken: number }> =>
  Effect.map(get(`http://127.0.0.1:${world.webSocket}/`), (body) => JSON.parse(body))

/** Tells what was done. */
export const say = (text: string): Effect.Effect<void> => Effect.sync(() => console.log(`- ${text}`))

export const check = (holds: boolean, otherwise: () => string): Effect.Effect<void> =>
  holds ? Effect.void : Effect.die(new Error(otherwise()))

/** Waits, for ten seconds at most, until something is so. */
export const until = (what: string, holds: Effect.Effect<boolean>): Effect.Effect<void> =>
  holds.pipe(
    Effect.flatMap((is) => (is ? Effect.void : Effect.fail("not yet"))),
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 500 }),
    Effect.catchAll(() => Effect.die(new Error(`not so after ten seconds: ${what}`)))
  )

/** Runs a program in a process of its own, which it fails by its exit code. */
export const main = <E>(program: (world: World) => Effect.Effect<void, E>): Promise<void> =>
  Effect.runPromise(Effect.flatMap(worldOf(process.argv[2] ?? ""), program))
