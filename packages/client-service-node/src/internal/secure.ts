import * as Net from "node:net"
import * as Tls from "node:tls"
import * as Effect from "effect/Effect"
import * as Address from "effect-client-service-driver/Address"
import * as Validate from "effect-client-service-driver/Validate"
import { ConnectError } from "../ConnectError.js"
import { watchEnd } from "./cutOff.js"
import { asEffect, type Fresh, isFresh } from "./fresh.js"
import { refuseItself } from "./openSocket.js"
import type { Kind } from "./overIp.js"
import { empty, isEmpty, problemOfCertificates } from "./pem.js"

type Pem = string | Uint8Array

/** Those of `NodeEndpoint.TlsSettings`. */
export interface Options<out E = never, out R = never> {
  readonly ca?: Fresh<Pem | ReadonlyArray<Pem>, E, R> | undefined
  readonly cert?: Fresh<Pem, E, R> | undefined
  readonly key?: Fresh<Pem, E, R> | undefined
  readonly passphrase?: Fresh<string, E, R> | undefined
  readonly credentials?: Effect.Effect<Partial<Material>, E, R> | undefined
  readonly servername?: string | undefined
  readonly minVersion?: Tls.SecureVersion | undefined
  readonly ciphers?: string | undefined
  readonly checkServerIdentity?: ((host: string, certificate: Tls.PeerCertificate) => Error | undefined) | undefined
  readonly rejectUnauthorized?: boolean | undefined
}

/** Refuses at once what makes no sense, and gives the rest for every attempt. */
export const secureOptions = <E, R>(
  where: string,
  settings: Options<E, R>,
  address: string
): Effect.Effect<Tls.ConnectionOptions, ConnectError | E, R> => {
  const { ca, cert, checkServerIdentity, key, passphrase, servername } = settings
  const credentials = settings.credentials ?? undefined
  const options: Tls.ConnectionOptions = {
    rejectUnauthorized: Validate.boolean(where, "rejectUnauthorized", settings.rejectUnauthorized ?? true)
  }
  if (credentials !== undefined && !Effect.isEffect(credentials))
    return Validate.refuse(where, "credentials", "(not shown)", "an Effect")
  if (servername !== undefined) options.servername = serverName(where, servername)
  if (checkServerIdentity !== undefined)
    options.checkServerIdentity = checked(Validate.callback(where, "checkServerIdentity", checkServerIdentity))
  const contextOf = (material: Material): Tls.ConnectionOptions => ({
    ...options,
    secureContext: secureContext(settings, material)
  })
  // Made once if it can be, so that what is not a certificate or a key is refused before the first attempt.
  if (credentials === undefined && !isFresh(ca) && !isFresh(cert) && !isFresh(key) && !isFresh(passphrase)) {
    try {
      return Effect.succeed(contextOf({ ca, cert, key, passphrase }))
    } catch (error) {
      const option = "ca, cert, key, passphrase, ciphers or minVersion"
      return Validate.refuse(where, option, "(not shown)", `usable (${messageOf(error)})`)
    }
  }
  const fresh = Effect.all({
    ca: asEffect(ca),
    cert: asEffect(cert),
    key: asEffect(key),
    passphrase: asEffect(passphrase)
  })
  const together: Effect.Effect<Partial<Material>, E, R> = credentials ?? Effect.succeed({})
  return Effect.flatMap(Effect.zip(fresh, together), ([each, all]) =>
    Effect.try({
      try: () =>
        contextOf({
          ca: all.ca ?? each.ca,
          cert: all.cert ?? each.cert,
          key: all.key ?? each.key,
          passphrase: all.passphrase ?? each.passphrase
        }),
      // The error of Node.js leads to nothing secret, but what it was made of is not its business.
      catch: (error) =>
        new ConnectError({
          reason: "Tls",
          address,
          cause: new Error(`ca, cert, key, passphrase, ciphers or minVersion can't be used: ${messageOf(error)}`)
        })
    })
  )
}

/** A socket that asks a host for its own name, unless it is to ask for another. */
export const overTls = (options: Tls.ConnectionOptions, host: string): Kind => {
  const servername = Net.isIP(host) === 0 ? { servername: host } : {}
  // The zone of an address is this system's, and in no certificate.
  const [address] = host.split("%")
  const { checkServerIdentity = Tls.checkServerIdentity } = options
  const identity: Tls.ConnectionOptions =
    address === undefined || address === host || options.servername !== undefined
      ? {}
      : { checkServerIdentity: (_, certificate) => checkServerIdentity(address, certificate) }
  return {
    openEvent: "secureConnect",
    connect: (connection) =>
      watchEnd(refuseItself(Tls.connect({ ...connection, ...servername, ...options, ...identity })))
  }
}

const serverName = (where: string, servername: string): string => {
  const name = Address.host(where, "servername", servername)
  return Net.isIP(name) === 0 ? name : Validate.refuse(where, "servername", name, "a name, not an IP address")
}

export const alpnProtocols = (where: string, names: ReadonlyArray<string>): Array<string> =>
  (Array.isArray(names) ? names : Validate.refuse(where, "ALPNProtocols", names, "an array of names")).map((name) => {
    const length = Buffer.byteLength(Validate.text(where, "ALPNProtocols", name))
    return length <= 255 ? name : Validate.refuse(where, "ALPNProtocols", name, "names of at most 255 bytes")
  })

interface Material {
  readonly ca: Pem | ReadonlyArray<Pem> | undefined
  readonly cert: Pem | undefined
  readonly key: Pem | undefined
  readonly passphrase: string | undefined
}

const secureContext = (
  { ciphers, minVersion }: Options<unknown, unknown>,
  { ca, cert, key, passphrase }: Material
): Tls.SecureContext => {
  // Node.js is silent about all of it, such as a file that is being written: it would trust nobody, show no certificate, and
  // offer its own ciphers.
  if ((cert === undefined) !== (key === undefined)) throw new Error("of cert and key, one is missing")
  if (key !== undefined && isEmpty(pem(key).toString())) throw new Error(`of key, ${empty}`)
  if (ciphers === "") throw new Error("of ciphers, there are none")
  const options: Tls.SecureContextOptions = {}
  if (ca !== undefined && !isSingle(ca) && ca.length === 0) throw new Error("ca has no certificate")
  if (ca !== undefined) options.ca = (isSingle(ca) ? [ca] : ca).map((each) => certificates("ca", each))
  if (cert !== undefined) options.cert = certificates("cert", cert)
  if (key !== undefined) options.key = pem(key)
  if (passphrase !== undefined) options.passphrase = passphrase
  if (minVersion !== undefined) options.minVersion = minVersion
  if (ciphers !== undefined) options.ciphers = ciphers
  return Tls.createSecureContext(options)
}

// What it throws would end the process, and an error without a code would not tell that it is about TLS.
const checked =
  (check: NonNullable<Options["checkServerIdentity"]>): typeof Tls.checkServerIdentity =>
  (host, certificate) => {
    const refusal = (error: unknown): Error =>
      Object.assign(new Error(messageOf(error), { cause: error }), { code: "ERR_TLS_CERT_ALTNAME_INVALID" })
    try {
      const error: unknown = check(host, certificate)
      // Of a function without types that is asynchronous, nobody would hear the answer.
      if (error instanceof Promise) error.catch(() => {})
      return error === undefined ? undefined : refusal(error)
    } catch (error) {
      return refusal(error)
    }
  }

const isSingle = (ca: Pem | ReadonlyArray<Pem>): ca is Pem => typeof ca === "string" || ca instanceof Uint8Array

const certificates = (option: string, given: Pem): string | Buffer => {
  const problem = problemOfCertificates(pem(given).toString())
  if (problem !== undefined) throw new Error(`of ${option}, ${problem}`)
  return pem(given)
}

const pem = (value: Pem): string | Buffer => (typeof value === "string" ? value : Buffer.from(value))

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
