import { createPrivateKey, X509Certificate } from "node:crypto"

/** What is wrong with a text that should have certificates, if anything is. OpenSSL takes those before it, and is silent. */
export const problemOfCertificates = (text: string): string | undefined => {
  const begun = text.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g)?.length ?? 0
  const whole = certificatesOf(text)
  if (begun === 0) return isEmpty(text) ? empty : "it has no certificate in PEM"
  if (begun !== whole.length) return "a certificate is cut off"
  return whole.map(problemOf).find((problem) => problem !== undefined)
}

/** What is wrong with a text that should have a private key, if anything is. */
export const problemOfKey = (text: string, passphrase: string | undefined): string | undefined => {
  if (isEmpty(text)) return empty
  try {
    keyOf(text, passphrase)
    return undefined
  } catch (error) {
    return `it has no private key that can be read (${messageOf(error)})`
  }
}

/** Whether a private key is that of the first of some certificates. Neither of them has a problem. */
export const isPair = (certificates: string, key: string, passphrase: string | undefined): boolean => {
  const [first] = certificatesOf(certificates)
  return first !== undefined && new X509Certificate(first).checkPrivateKey(keyOf(key, passphrase))
}

/** Such as a file that is being written. */
export const isEmpty = (text: string): boolean => text.trim() === ""

export const empty = "it is empty"

const certificatesOf = (text: string): ReadonlyArray<string> =>
  text.match(/-----BEGIN ([A-Z0-9 ]*CERTIFICATE)-----[^-]*-----END \1-----/g) ?? []

const problemOf = (certificate: string): string | undefined => {
  try {
    new X509Certificate(certificate)
    return undefined
  } catch (error) {
    return `a certificate can't be read (${messageOf(error)})`
  }
}

const keyOf = (text: string, passphrase: string | undefined) =>
  createPrivateKey(passphrase === undefined ? text : { key: text, passphrase })

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
