/**
 * Certificates and keys that are in files, and renewed there while the program runs.
 *
 * @since 0.1.0
 */
import * as Path from "node:path"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as Credential from "effect-client-service-driver/Credential"
import * as Validate from "effect-client-service-driver/Validate"
import * as FolderWatch from "./internal/folderWatch.js"
import * as Pem from "./internal/pem.js"
import { differences, type Snapshot, snapshotOf } from "./internal/snapshot.js"
import { TlsFilesError } from "./TlsFilesError.js"

/**
 * The names of the files, in PEM. Either of `cert` and `key` needs the other.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** The folder that the names are in. Default: the working directory. */
  readonly folder?: string | undefined
  /** The certificates to trust instead of the well-known ones. Default: none. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** The certificate of this client, with its chain. Default: none. */
  readonly cert?: string | undefined
  /** The private key of this client, which may be in the same file. Default: none. */
  readonly key?: string | undefined
  /** The passphrase of `key`. Default: none. */
  readonly passphrase?: Credential.Secret | undefined
  /**
   * How long to wait, once something has changed, before `changes` looks at the files: those who renew them one after the
   * other are done by then. Default 1 second.
   */
  readonly settle?: Duration.DurationInput | undefined
}

/**
 * What was in the files, as `node:tls` takes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Contents {
  readonly ca?: Array<string>
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
}

/**
 * Certificates and keys that are in files.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsFiles {
  /**
   * Reads the files: for the `credentials` of `NodeEndpoint.tls` and the `tls` of `NodeEndpoint.webSocket`, and where the
   * packages of Redis and AMQP have `tls` and that of PostgreSQL `ssl`, which run it at every attempt.
   *
   * What it gives belongs together: it reads until nothing has changed meanwhile, and each certificate is whole, and the key
   * is that of the certificate. Otherwise it fails, and the next attempt reads again.
   */
  readonly read: Effect.Effect<Contents, TlsFilesError>
  /**
   * The paths of those that have changed, each time that they have and can be used: for `ClientService.reconnectOn`, so that a
   * connection is renewed before the server takes the old certificate no more, and an attempt begins at once when what was
   * missing is there. Of a renewal that is half done it tells nothing before the rest is there.
   *
   * It compares what is in the files, and begins with what `read` gave last. Links are followed, and watched where they are,
   * so that one that is put in the place of another is noticed, be it a folder's; and so is any folder above the files that is.
   * It fails if the system can't watch a folder that has one of the files or of the links.
   * Some file systems, such as NFS, tell nothing of what others change: there, `maxAge` of the service has the files read.
   */
  readonly changes: Stream.Stream<ReadonlyArray<string>, TlsFilesError>
}

/**
 * Names files.
 *
 * @example
 * ```ts
 * import { NodeEndpoint, TlsFiles } from "effect-client-service-node"
 *
 * // As certbot has them
 * const files = TlsFiles.make({
 *   folder: "/etc/letsencrypt/live/client.example.com",
 *   cert: "fullchain.pem",
 *   key: "privkey.pem"
 * })
 *
 * const endpoint = NodeEndpoint.tls({ host: "broker.example.com", port: 8883, credentials: files.read })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const make = (options: Options): TlsFiles => filesOf("TlsFiles.make", options)

/**
 * The files of a folder that a Kubernetes secret of the type `kubernetes.io/tls` is mounted at, as cert-manager makes it: the
 * certificate `tls.crt`, its key `tls.key`, and the authority `ca.crt`. A secret that is mounted by `subPath` is never renewed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ClientService } from "effect-client-service"
 * import { NodeEndpoint, TlsFiles } from "effect-client-service-node"
 *
 * const files = TlsFiles.kubernetes("/etc/broker-tls")
 *
 * const program = Effect.gen(function* () {
 *   const service = yield* ClientService.make({
 *     endpoint: NodeEndpoint.tls({ host: "broker.example.com", port: 8883, credentials: files.read })
 *   })
 *   yield* Effect.forkScoped(Effect.tapError(ClientService.reconnectOn(service, files.changes), Effect.logError))
 *   yield* service.start
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const kubernetes = (folder: string, options?: Pick<Options, "settle">): TlsFiles =>
  filesOf("TlsFiles.kubernetes", { ...options, folder, ca: "ca.crt", cert: "tls.crt", key: "tls.key" })

const filesOf = (where: string, options: Options): TlsFiles => {
  const named = namesOf(where, options)
  const settle = Validate.finiteDuration(where, "settle", options.settle ?? "1 second")
  const paths = [...new Set([...named.ca, ...[named.cert, named.key].flatMap((path) => path ?? [])])]
  const current = snapshotOf(paths)
  /** What was read last for a connection. */
  let taken: Snapshot | undefined
  const read = Effect.flatMap(current, (snapshot) => {
    taken = snapshot
    return contentsOf(named, snapshot)
  })
  const changes = Stream.unwrapScoped(
    Effect.gen(function* () {
      const watch = yield* FolderWatch.make(paths)
      const now = yield* current
      let told = taken ?? now
      const look = Effect.gen(function* () {
        yield* Effect.sleep(settle)
        // Its folders may be others now.
        yield* watch.renew
        const snapshot = yield* current
        // What could not be used when it was read last is told once it can be, even if it is as it was before that.
        const unused = taken !== undefined && Either.isLeft(contentsOf(named, taken)) ? taken : undefined
        const changed = differences(unused ?? told, snapshot)
        if (changed.length === 0 || Either.isLeft(contentsOf(named, snapshot))) return undefined
        told = snapshot
        return changed
      })
      let isDue = differences(told, now).length > 0
      const next = Effect.gen(function* () {
        while (true) {
          if (!isDue) yield* watch.changed
          isDue = false
          const changed = yield* look
          if (changed !== undefined) return changed
        }
      })
      return Stream.repeatEffect(next)
    })
  )
  return { read, changes }
}

/** The paths of the files. */
interface Named {
  readonly ca: ReadonlyArray<string>
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly passphrase: string | undefined
}

const namesOf = (where: string, { ca, cert, folder = ".", key, passphrase }: Options): Named => {
  const inFolder = nameOf(where, "folder", folder)
  const pathOf = (option: string, name: string) => Path.resolve(inFolder, nameOf(where, option, name))
  const authorities = ca === undefined ? [] : typeof ca === "string" ? [ca] : ca
  if ((cert === undefined) !== (key === undefined)) {
    const [missing, given] = cert === undefined ? ["cert", "key"] : ["key", "cert"]
    Validate.refuse(where, missing, undefined, `the name of a file, since there is a ${given}`)
  }
  if (cert === undefined && authorities.length === 0) {
    Validate.refuse(where, "ca, cert and key", undefined, "the name of a file at least")
  }
  return {
    ca: authorities.map((name) => pathOf("ca", name)),
    cert: cert === undefined ? undefined : pathOf("cert", cert),
    key: key === undefined ? undefined : pathOf("key", key),
    passphrase: passphrase === undefined ? undefined : Credential.textOf(passphrase)
  }
}

const nameOf = (where: string, option: string, name: string): string => {
  // Elsewhere it is what is in the file that is given, which is not to be shown.
  if (Validate.text(where, option, name).includes("-----BEGIN")) {
    return Validate.refuse(where, option, "(not shown)", "the name of a file, not what is in it")
  }
  return name.includes("\0") ? Validate.refuse(where, option, name, "a path without a NUL") : name
}

const contentsOf = ({ ca, cert, key, passphrase }: Named, snapshot: Snapshot): Either.Either<Contents, TlsFilesError> =>
  Either.gen(function* () {
    for (const path of [...ca, ...(cert === undefined ? [] : [cert])]) {
      yield* checked(path, Pem.problemOfCertificates(yield* textOf(snapshot, path)))
    }
    const authorities = ca.length === 0 ? {} : { ca: yield* Either.all(ca.map((path) => textOf(snapshot, path))) }
    if (cert === undefined || key === undefined) return authorities
    const pair = { cert: yield* textOf(snapshot, cert), key: yield* textOf(snapshot, key) }
    yield* checked(key, Pem.problemOfKey(pair.key, passphrase))
    if (!Pem.isPair(pair.cert, pair.key, passphrase)) {
      return yield* Either.left(
        new TlsFilesError({ reason: "Mismatch", path: key, detail: `the certificate is in ${cert}` })
      )
    }
    return { ...authorities, ...pair, ...(passphrase === undefined ? {} : { passphrase }) }
  })

const textOf = (snapshot: Snapshot, path: string): Either.Either<string, TlsFilesError> =>
  snapshot.get(path) ?? Either.left(new TlsFilesError({ reason: "NotFound", path }))

const checked = (path: string, problem: string | undefined): Either.Either<void, TlsFilesError> =>
  problem === undefined ? Either.void : Either.left(new TlsFilesError({ reason: "Invalid", path, detail: problem }))
