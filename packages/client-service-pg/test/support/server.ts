import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as postgres from "test-servers/postgres"

export type Server = postgres.Postgres

const installed = await postgres.install()

/** Makes a server of the test's own, where there can be one. */
export const makeServer = (
  options: { readonly isStandby?: boolean } = {}
): Effect.Effect<Server, never, Scope.Scope> =>
  installed.isInstalled ? postgres.make(installed.paths, options.isStandby) : Effect.dieMessage(installed.reason)

/** Describes tests that share a server. They are skipped where there can be none. */
export const describeWithServer = (
  name: string,
  tests: (test: (name: string, run: (server: Server) => Effect.Effect<unknown, unknown, Scope.Scope>) => void) => void
): void => {
  if (!installed.isInstalled) console.warn(`Skipped: ${name}, for want of PostgreSQL: ${installed.reason}`)
  describe.skipIf(!installed.isInstalled)(name, () => {
    let server: Server
    const scope = Effect.runSync(Scope.make())
    beforeAll(async () => {
      if (installed.isInstalled) server = await Effect.runPromise(Scope.extend(postgres.make(installed.paths), scope))
    }, 60_000)
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    tests((name, run) => it.scopedLive(name, () => run(server)))
  })
}
