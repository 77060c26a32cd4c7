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
   * Watches those folders that lead to the files now, since links may lead elsewhere, and a folder that is made again is
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
    const renew: FolderWatch["renew"] = Effect.flatMap(placesOf(paths), (places) =>
      Effect.suspend(() => {
        const { failure, opened } = open(places, listener)
        // Not before the others watch, lest what changes in between is not told.
        close()
        watchers = opened
        // A link or a folder that has changed between the look and the watch is told by nobody.
        if (failure === undefined) {
          return Effect.flatMap(placesOf(paths), (now) => (keyOf(now) === keyOf(places) ? Effect.void : renew))
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
  places: Places,
  listener: () => void
): { readonly opened: ReadonlyArray<FSWatcher>; readonly failure?: TlsFilesError } => {
  const opened: Array<FSWatcher> = []
  for (const [folder, { names }] of places) {
    // What is told of the folder itself has its own name.
    const own = Path.basename(folder)
    const isOf = (name: string | null) => names === undefined || name === null || name === own || names.has(name)
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (isOf(name)) listener()
      })
      // A folder that has gone is an error on some systems.
      opened.push(watcher.on("error", listener))
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined
      // Those above the files may be anybody's.
      if (names !== undefined && code !== "ENOENT") continue
      return { opened, failure: new TlsFilesError({ reason: "Unwatchable", path: folder, code, cause }) }
    }
  }
  return { opened }
}

/**
 * The folders by which some files are reached, with those of their names that matter: all, of a folder in which one of the files
 * or a link to it is, or is missing. `identity` tells a folder from another in its place.
 */
type Places = ReadonlyMap<string, Place>

interface Place {
  readonly names: ReadonlySet<string> | undefined
  readonly identity: string
}

const keyOf = (places: Places): string =>
  JSON.stringify([...places].map(([folder, { identity, names }]) => [folder, identity, names && [...names]]))

const placesOf = (paths: ReadonlyArray<string>): Effect.Effect<Places> =>
  Effect.promise(async () => {
    const names = new Map<string, Set<string> | undefined>()
    for (const { folder, name } of (await Promise.all(paths.map(stepsTo))).flat()) {
      const others = names.has(folder) ? names.get(folder) : new Set<string>()
      names.set(folder, name === undefined ? undefined : others?.add(name))
    }
    return new Map(
      await Promise.all(
        [...names].map(
          async ([folder, names]): Promise<[string, Place]> => [folder, { names, identity: await identityOf(folder) }]
        )
      )
    )
  })

interface Step {
  readonly folder: string
  /** What is looked up in it, if nothing else there matters. */
  readonly name?: string
}

/**
 * The folders that a path leads through, and those of the links on it. Any of them may be put elsewhere, and another be put in its
 * place. Of a path that leads nowhere, the last is the folder in which something is missing.
 */
const stepsTo = async (path: string): Promise<ReadonlyArray<Step>> => {
  const steps: Array<Step> = []
  let { folder, names } = split(path)
  for (let links = 0; links <= maxLinks; ) {
    const [name, ...rest] = names
    if (name === undefined) break
    const reached = Path.join(folder, name)
    const target = await linkAt(reached)
    const isPassed = target?.kind === "other" && rest.length > 0
    steps.push(isPassed ? { folder, name } : { folder })
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
  return steps
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

const identityOf = async (folder: string): Promise<string> => {
  try {
    const { dev, ino } = await Fs.stat(folder, { bigint: true })
    return `${dev} ${ino}`
  } catch {
    return ""
  }
}
