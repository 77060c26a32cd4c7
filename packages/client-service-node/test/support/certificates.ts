import "reflect-metadata"
import { webcrypto } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { isIP } from "node:net"
import { join } from "node:path"
import * as X509 from "@peculiar/x509"
import { Effect } from "effect"
import * as serverProcess from "test-servers/serverProcess"

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** An authority that is made for a test, and what it certifies. */
export interface Authority {
  readonly ca: string
  readonly issue: (name: string, options?: { readonly validity?: Validity }) => Effect.Effect<Certificate>
}

export type Validity = "valid" | "expired" | "not yet valid"

export const makeAuthority = (name = "Test CA"): Effect.Effect<Authority> =>
  Effect.promise(async () => {
    const keys = await generateKeys()
    const root = await X509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      ...periods.valid,
      keys,
      signingAlgorithm,
      extensions: [new X509.BasicConstraintsExtension(true, 1, true)]
    })
    return {
      ca: root.toString("pem"),
      issue: (name, { validity = "valid" } = {}) =>
        Effect.promise(async () => {
          const own = await generateKeys()
          const certificate = await X509.X509CertificateGenerator.create({
            subject: `CN=${name}`,
            issuer: root.subject,
            ...periods[validity],
            publicKey: own.publicKey,
            signingKey: keys.privateKey,
            signingAlgorithm,
            extensions: [alternativeName(name)]
          })
          return inPem(certificate, own)
        })
    }
  })

/** Files of a certificate for a server that runs in a process of its own, and of the authority that has issued it. */
export const makeCertificateFiles = (name: string) =>
  Effect.gen(function* () {
    const { ca, issue } = yield* makeAuthority()
    const directory = yield* serverProcess.temporaryDirectory
    for (const [file, content] of Object.entries({ ca, ...(yield* issue(name)) }))
      yield* Effect.promise(() => writeFile(join(directory, file), content))
    return {
      ca,
      issue,
      files: { ca: join(directory, "ca"), cert: join(directory, "cert"), key: join(directory, "key") }
    }
  })

/** A certificate that nobody but its owner certifies. */
export const selfSigned = (name: string): Effect.Effect<Certificate> =>
  Effect.promise(async () => {
    const keys = await generateKeys()
    const certificate = await X509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      ...periods.valid,
      keys,
      signingAlgorithm,
      extensions: [alternativeName(name)]
    })
    return inPem(certificate, keys)
  })

X509.cryptoProvider.set(webcrypto)

const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }

const generateKeys = () => webcrypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"])

const day = 24 * 60 * 60 * 1000

const period = (from: number, to: number) => ({
  notBefore: new Date(Date.now() + from * day),
  notAfter: new Date(Date.now() + to * day)
})

const periods = { valid: period(-2, 1), expired: period(-2, -1), "not yet valid": period(1, 2) }

const alternativeName = (name: string) =>
  new X509.SubjectAlternativeNameExtension([{ type: isAddress(name) ? "ip" : "dns", value: name }])

const inPem = async (certificate: X509.X509Certificate, keys: webcrypto.CryptoKeyPair): Promise<Certificate> => {
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey))
  return {
    cert: certificate.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${key.toString("base64")}\n-----END PRIVATE KEY-----\n`
  }
}

const isAddress = (name: string): boolean => isIP(name) !== 0
