import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Deferred, Effect, type Scope } from "effect"
import { flags } from "test-servers/chromium"

/** Opens a page in a browser without a window, which is ended with the Scope. Fails if the browser ends by itself. */
export const open = (
  executable: string,
  page: string
): Effect.Effect<{ readonly ended: Effect.Effect<never, Error> }, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const profile = mkdtempSync(join(tmpdir(), "chromium-"))
        const ended = Deferred.unsafeMake<never, Error>(Effect.runSync(Effect.fiberId))
        // A group of its own, so that all of its processes can be ended.
        const browser = spawn(executable, [...flags, `--user-data-dir=${profile}`, page], {
          detached: true,
          stdio: ["ignore", "ignore", "pipe"]
        })
        let said = ""
        browser.stderr.on("data", (chunk: Buffer) => {
          said += chunk.toString()
        })
        const failed = (how: string) => Deferred.unsafeDone(ended, Effect.fail(new Error(`Chromium ${how}: ${said}`)))
        browser.on("error", (error) => failed(`did not start (${error.message})`))
        browser.on("close", (code, signal) => failed(`ended with ${code ?? signal}`))
        const end = () => {
          try {
            if (browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL")
          } catch {
            // It has ended already.
          }
          rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
        }
        // The test may be ended before its Scope is closed.
        process.once("exit", end)
        return { end, ended: Deferred.await(ended) }
      }),
      ({ end, ended }) =>
        Effect.sync(() => {
          process.off("exit", end)
          end()
        }).pipe(Effect.zipRight(Effect.ignore(ended)), Effect.zipRight(Effect.sync(end)))
    ),
    ({ ended }) => ({ ended })
  )
