import * as Fs from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type Reason, TlsFilesError } from "../TlsFilesError.js"

/** What was in some files at one time, or why it could not be read. */
export type Snapshot = ReadonlyMap<string, Either.Either<string, TlsFilesError>>

/**
 * Reads all of some files as they are at one time: again, until they were the same twice. Whoever changes them has no lock, and
 * may have changed one of them in between.
 */
export const snapshotOf = (paths: ReadonlyArray<string>): Effect.Effect<Snapshot> => {
  const all: Effect.Effect<Snapshot> = Effect.promise(
    async (signal) =>
      new Map(await Promise.all(paths.map(async (path) => [path, await contentOf(path, signal)] as const)))
  )
  const again = (before: Snapshot, times: number): Effect.Effect<Snapshot> =>
    Effect.flatMap(all, (now) => {
      const changed = differences(before, now)
      if (changed.length === 0) return Effect.succeed(now)
      return times === 0 ? Effect.succeed(unsteady(now, changed)) : again(now, times - 1)
    })
  return Effect.flatMap(all, (before) => again(before, 10))
}

const unsteady = (snapshot: Snapshot, paths: ReadonlyArray<string>): Snapshot =>
  new Map([
    ...snapshot,
    ...paths.map((path) => {
      const error = new TlsFilesError({ reason: "Unreadable", path, detail: "it changes all the while" })
      return [path, Either.left(error)] as const
    })
  ])

/** The paths of those files that were not the same. */
export const differences = (before: Snapshot, now: Snapshot): ReadonlyArray<string> =>
  [...now].flatMap(([path, content]) => (keyOf(before.get(path)) === keyOf(content) ? [] : [path]))

const keyOf = (content: Either.Either<string, TlsFilesError> | undefined): string | undefined =>
  content &&
  Either.match(content, { onLeft: ({ code, reason }) => `${reason} ${code}`, onRight: (text) => `: ${text}` })

// A bundle of all authorities has a quarter of a megabyte.
const maxSize = 16 * 1024 * 1024

const contentOf = async (path: string, signal: AbortSignal): Promise<Either.Either<string, TlsFilesError>> => {
  const refuse = (reason: Reason, detail?: string) => Either.left(new TlsFilesError({ reason, path, detail }))
  try {
    // Not by what has opened it, as that of a pipe waits for whoever writes.
    const stats = await Fs.stat(path)
    if (!stats.isFile()) return refuse("NotAFile")
    if (stats.size > maxSize) return refuse("Invalid", "it is larger than 16 MiB")
    return Either.right(await Fs.readFile(path, { encoding: "utf8", signal }))
  } catch (error) {
    return Either.left(failureOf(error, path))
  }
}

const failureOf = (cause: unknown, path: string): TlsFilesError => {
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined
  return new TlsFilesError({ reason: reasons.get(code) ?? "Unreadable", path, code, cause })
}

const reasons: ReadonlyMap<string | undefined, Reason> = new Map([
  ["ENOENT", "NotFound"],
  ["ENOTDIR", "NotFound"],
  ["EACCES", "NotPermitted"],
  ["EPERM", "NotPermitted"]
])
