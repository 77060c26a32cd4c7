import "reflect-metadata"
import { webcrypto } from "node:crypto"
import * as X509 from "@peculiar/x509"
import { Effect } from "effect"

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** An authority that is made for a test, and what it certifies. */
export interface Authority {
  readonly ca: string
  readonly issue: (name: string, options?: { readonly isExpired?: boolean }) => Effect.Effect<Certificate>
}

export const makeAuthority = (name = "Test CA"): Effect.Effect<Authority> =>
  Effect.promise(async () => {
    const keys = await generateKeys()
    const root = await X509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      ...validity(false),
      keys,
      signingAlgorithm,
      extensions: [new X509.BasicConstraintsExtension(true, 1, true)]
    })
    return {
      ca: root.toString("pem"),
      issue: (name, { isExpired = false } = {}) =>
        Effect.promise(async () => {
          const own = await generateKeys()
          const certificate = await X509.X509CertificateGenerator.create({
            subject: `CN=${name}`,
            issuer: root.subject,
            ...validity(isExpired),
            publicKey: own.publicKey,
            signingKey: keys.privateKey,
            signingAlgorithm,
            extensions: [
              new X509.SubjectAlternativeNameExtension([{ type: isAddress(name) ? "ip" : "dns", value: name }])
            ]
          })
          const exported = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", own.privateKey))
          return {
            cert: certificate.toString("pem"),
            key: `-----BEGIN PRIVATE KEY-----\n${exported.toString("base64")}\n-----END PRIVATE KEY-----\n`
          }
        })
    }
  })

X509.cryptoProvider.set(webcrypto)

const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }

const generateKeys = () => webcrypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"])

const day = 24 * 60 * 60 * 1000

const validity = (isExpired: boolean) => ({
  notBefore: new Date(Date.now() - 2 * day),
  notAfter: new Date(Date.now() + (isExpired ? -day : day))
})

const isAddress = (name: string): boolean => /^[\d.]+$/.test(name)
