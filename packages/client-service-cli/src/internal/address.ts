/**
 * Where to connect to, as it is written on the command line.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { shellWords } from "./shellWords.js"

export type Address = Data.TaggedEnum<{
  Tcp: { readonly host: string; readonly port: number }
  Tls: { readonly host: string; readonly port: number }
  Unix: { readonly path: string }
  /** `url` has no credentials. */
  WebSocket: { readonly url: string; readonly isSecure: boolean; readonly credentials: string | undefined }
  Exec: { readonly command: string; readonly args: ReadonlyArray<string> }
}>

export const Address = Data.taggedEnum<Address>()

/** Has nothing in its message that may be a secret, such as the password in a URL. */
export class BadAddress extends Data.TaggedError("BadAddress")<{ readonly message: string }> {}

export const forms = "tcp://host:port, tls://host:port, unix:/path, ws://…, wss://… or exec:command args"

export const parse = (text: string): Either.Either<Address, BadAddress> => {
  const [, given, rest = ""] = /^([a-z][a-z\d+-]*):(.*)$/is.exec(text) ?? []
  const scheme = given?.toLowerCase()
  switch (scheme) {
    case "tcp":
      return Either.map(hostAndPort(scheme, rest), (target) => Address.Tcp(target))
    case "tls":
      return Either.map(hostAndPort(scheme, rest), (target) => Address.Tls(target))
    case "unix":
      return unix(rest)
    case "ws":
    case "wss":
      return webSocket(scheme, text)
    case "exec":
      return exec(rest)
  }
  if (text === "") return bad(`the address is empty, expected ${forms}`)
  if (/^[\w.-]+:\d+$/.test(text)) return bad(`the address does not say how to connect: is it tcp://${text}?`)
  return scheme === undefined
    ? bad(`the address does not begin with how to connect, expected ${forms}`)
    : bad(`there is no way to connect to ${scheme}: addresses, expected ${forms}`)
}

/** The host and the port of `host:port`, or nothing. Without brackets an address of IPv6 is not one of either. */
export const splitHost = (text: string): Option.Option<{ readonly host: string; readonly port: number }> => {
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  // As in a URL, the sign before a zone may be escaped in brackets (RFC 6874).
  const host = bracketed?.replace("%25", "%") ?? plain
  const port = Number(digits)
  return host === undefined || port > 65_535 ? Option.none() : Option.some({ host, port })
}

type Parsed<A> = Either.Either<A, BadAddress>

const hostAndPort = (scheme: string, rest: string): Parsed<{ readonly host: string; readonly port: number }> => {
  if (!rest.startsWith("//")) return bad(`two slashes come after ${scheme}: as in ${scheme}://host:port`)
  const authority = rest.slice(2).replace(/\/$/, "")
  if (authority.includes("@")) return bad(`a ${scheme} address has no user and no password`)
  if (/[?#]/.test(authority)) return bad(`a ${scheme} address has no query and no fragment`)
  if (authority.includes("/")) return bad(`a ${scheme} address has no path`)
  const target = splitHost(authority)
  if (Option.isSome(target) && target.value.port > 0) return Either.right(target.value)
  const [, port] = /^(?:\[[^\]]*\]|[^:]*):(.*)$/.exec(authority) ?? []
  if (port === undefined || port === "") return bad(`the port is missing: ${scheme}://host:port`)
  if (!/^\d+$/.test(port) || Number(port) === 0 || Number(port) > 65_535) {
    return bad(
      authority.split(":").length > 2
        ? `an address of IPv6 is in brackets: ${scheme}://[::1]:port`
        : "the port is no number from 1 to 65535"
    )
  }
  return bad(`the host is missing: ${scheme}://host:port`)
}

const unix = (rest: string): Parsed<Address> => {
  if (rest.startsWith("//") && !rest.startsWith("///")) return bad("a unix address has a path and no host: unix:/path")
  // With slashes it is a URL, which can have no space; without, a path as it is.
  const path = rest.startsWith("///") ? decoded(rest.slice(2)) : rest
  if (path === "" || path === "/") return bad("the path is missing: unix:/path")
  return path.includes("\0") ? bad("a path has no NUL") : Either.right(Address.Unix({ path }))
}

const webSocket = (scheme: "ws" | "wss", text: string): Parsed<Address> => {
  if (!/^wss?:\/\/[^/?#]/i.test(text) || !URL.canParse(text)) {
    return bad(`a ${scheme} address is a URL with a host, such as ${scheme}://example.com/feed`)
  }
  const url = new URL(text)
  if (url.hash !== "") return bad("the URL has a fragment, which a WebSocket has not")
  const credentials =
    url.username === "" && url.password === "" ? undefined : `${decoded(url.username)}:${decoded(url.password)}`
  url.username = ""
  url.password = ""
  return Either.right(Address.WebSocket({ url: url.href, isSecure: scheme === "wss", credentials }))
}

const exec = (rest: string): Parsed<Address> =>
  Option.match(shellWords(rest), {
    onNone: () => bad("the command of an exec address has a quote that is not closed, or ends with a backslash"),
    onSome: ([command = "", ...args]) =>
      command === "" ? bad("the command is missing: exec:command args") : Either.right(Address.Exec({ command, args }))
  })

const bad = (message: string) => Either.left(new BadAddress({ message }))

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
