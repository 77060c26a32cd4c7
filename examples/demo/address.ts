/**
 * Where to connect to, as a URL.
 */
import { Data, Either } from "effect"
import type { Endpoint, Transport } from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"

export type Address = Endpoint.Endpoint<Transport.Transport, ConnectError.ConnectError>

/** Never has the URL in its message, since there may be a password in it. */
export class BadAddress extends Data.TaggedError("BadAddress")<{ readonly message: string }> {}

export const parse = (text: string): Either.Either<Address, BadAddress> => {
  if (text.startsWith("-")) return bad(`there is no option ${text.split("=", 1)[0]} without a value`)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) return bad(`not a URL that can be connected to, expected ${forms}`)
  if (url.username !== "" || url.password !== "") return bad("a URL with a user or a password is refused")
  if (url.search !== "" || url.hash !== "") return bad("the URL has a query or a fragment, which a connection has not")

  if (url.protocol === "unix:") {
    if (url.host !== "" || url.pathname.length < 2) return bad("a unix URL has an absolute path: unix:///path")
    return Either.right(NodeEndpoint.unix({ path: decoded(url.pathname) }))
  }
  if (url.protocol !== "tcp:" && url.protocol !== "tls:") return bad(`expected ${forms}`)
  if (url.pathname !== "" && url.pathname !== "/") return bad(`a ${url.protocol.slice(0, -1)} URL has no path`)
  const port = Number(url.port)
  if (url.hostname === "" || port === 0) return bad(`a host and a port are needed: ${url.protocol}//host:port`)

  const target = { host: url.hostname.replace(/^\[|\]$/g, ""), port }
  return Either.right(url.protocol === "tcp:" ? NodeEndpoint.tcp(target) : NodeEndpoint.tls(target))
}

const forms = "tcp://host:port, tls://host:port or unix:///path"

const bad = (message: string) => Either.left(new BadAddress({ message }))

const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
