import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Installed } from "test-servers/debian"

/** There is no server here to measure a row with. */
export class ServerMissing extends Data.TaggedError("ServerMissing")<{ readonly reason: string }> {}

/** Where the executables of a server are, once it is installed. */
export const installed = <Executable extends string>(
  install: () => Promise<Installed<Executable>>
): Effect.Effect<Readonly<Record<Executable, string>>, ServerMissing> =>
  Effect.flatMap(Effect.promise(install), (installed) =>
    installed.isInstalled ? Effect.succeed(installed.paths) : new ServerMissing({ reason: installed.reason })
  )
