import { type FSWatcher, watch } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { TlsFilesError } from "../TlsFilesError.js"

/** Watches the folders in which something may change that some files are reached by. */
export interface FolderWatch {
  /** Waits until something has changed since it was asked last. */
  readonly changed: Effect.Effect<void>
  /**
   * Watches those folders that are the files' now, since links may lead elsewhere, and a folder that is made again is
   * another. What changes from then on is told.
   */
  readonly renew: Effect.Effect<void, TlsFilesError>
}

/** Begins to watch. It ends with the Scope. */
export const make = (paths: ReadonlyArray<string>): Effect.Effect<FolderWatch, TlsFilesError, Scope.Scope> =>
  Effect.gen(function* () {
    let watchers: ReadonlyArray<FSWatcher> = []
    let hasChanged = false
    let wake = () => {}
    const listener = () => {
      hasChanged = true
      wake()
    }
    const close = () => {
      for (const watcher of watchers) watcher.close()
      watchers = []
    }
    const changed = Effect.async<void>((resume) => {
      wake = () => {
        if (!hasChanged) return
        hasChanged = false
        wake = () => {}
        resume(Effect.void)
      }
      wake()
      return Effect.sync(() => {
        wake = () => {}
      })
    })
    const renew: FolderWatch["renew"] = Effect.flatMap(foldersOf(paths), (folders) =>
      Effect.suspend(() => {
        const { failure, opened } = open(folders, listener)
        // Not before the others watch, lest what changes in between is not told.
        close()
        watchers = opened
        // A link or a folder that has changed between the look and the watch is told by nobody.
        if (failure === undefined) {
          return Effect.flatMap(foldersOf(paths), (now) =>
            now.join("\0") === folders.join("\0") ? Effect.void : renew
          )
        }
        // It has gone meanwhile.
        return failure.code === "ENOENT" ? renew : Effect.fail(failure)
      })
    )
    yield* Effect.addFinalizer(() => Effect.sync(close))
    yield* renew
    return { changed, renew }
  })

const open = (
  folders: ReadonlyArray<string>,
  listener: () => void
): { readonly opened: ReadonlyArray<FSWatcher>; readonly failure?: TlsFilesError } => {
  const opened: Array<FSWatcher> = []
  for (const folder of folders) {
    try {
      // A folder that has gone is an error on some systems.
      opened.push(watch(folder, { persistent: false }, listener).on("error", listener))
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined
      return { opened, failure: new TlsFilesError({ reason: "Unwatchable", path: folder, code, cause }) }
    }
  }
  return { opened }
}

const foldersOf = (paths: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => [...new Set((await Promise.all(paths.map(foldersOfFile))).flat())])

/**
 * The folder of a file, and those of the links by which it is reached; of one that is not there, the folder in which something
 * is missing.
 */
const foldersOfFile = async (path: string): Promise<ReadonlyArray<string>> => {
  const folders: Array<string> = []
  let { folder, names } = split(path)
  for (let links = 0; links <= maxLinks; ) {
    const [name, ...rest] = names
    if (name === undefined) break
    const reached = Path.join(folder, name)
    const target = await linkAt(reached)
    if (target === undefined || target.kind === "link" || rest.length === 0) folders.push(folder)
    if (target === undefined) break
    if (target.kind === "link") {
      links += 1
      const to = split(Path.resolve(folder, target.to))
      folder = to.folder
      names = [...to.names, ...rest]
    } else {
      folder = reached
      names = rest
    }
  }
  return folders
}

// As many as Linux follows.
const maxLinks = 40

const split = (path: string): { folder: string; names: ReadonlyArray<string> } => {
  const { root } = Path.parse(path)
  return {
    folder: root,
    names: path
      .slice(root.length)
      .split(Path.sep)
      .filter((name) => name !== "")
  }
}

/** What there is at a path, if there is something. */
const linkAt = async (
  path: string
): Promise<{ readonly kind: "link"; readonly to: string } | { readonly kind: "other" } | undefined> => {
  try {
    const stats = await Fs.lstat(path)
    return stats.isSymbolicLink() ? { kind: "link", to: await Fs.readlink(path) } : { kind: "other" }
  } catch {
    return undefined
  }
}
