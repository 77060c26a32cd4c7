/**
 * URLs that say where a server is and who asks.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import { type Secret, textOf } from "./Credential.js"
import { refuse } from "./Validate.js"

/**
 * What a URL says, decoded. What it does not say is undefined.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerUrl<Part extends string> {
  readonly scheme: string
  readonly host: string
  readonly port: number | undefined
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  /** Without the slash before it. One within it is encoded. */
  readonly path: string | undefined
  readonly query: { readonly [Name in Part]?: string }
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<Part extends string> {
  /** What the URL may begin with, such as `redis` and `rediss`. */
  readonly schemes: ReadonlyArray<string>
  /** The parts that its query may have, by all the names that the clients of an ecosystem have for them. */
  readonly query: ReadonlyArray<Part>
  /** What the URL has to look like, for the error that refuses another. */
  readonly expected: string
}

/**
 * Reads a URL such as `scheme://[username[:password]@]host[:port][/path][?query]`. Refuses one without a host, of another
 * scheme, with a path of several parts, and with a part of the query that is not known, by the name of that part: to leave
 * it out would be to do something else than what is asked. The error tells nothing else of the URL, since that may be next
 * to the password.
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption
 */
export const parse = <Part extends string>(
  where: string,
  option: string,
  url: Secret,
  options: Options<Part>
): ServerUrl<Part> => {
  const given = textOf(url).trim()
  // A URL leaves them out, within a password and a port too.
  const read = /[\t\r\n]/.test(given) ? undefined : attempt(() => decoded(new URL(given)))
  if (read === undefined || !options.schemes.includes(read.scheme) || read.host === "") {
    return refuse(where, option, "<redacted>", options.expected)
  }
  // What follows a question mark in a password looks like a query.
  const mayTell = !read.search.includes("@")
  const query: { [Name in Part]?: string } = {}
  for (const [name, value] of read.query) {
    const part = options.query.find((part) => part === name)
    if (part === undefined) {
      const known = options.query.length === 0 ? "a query" : `query parts but ${options.query.join(", ")}`
      return refuse(where, option, mayTell ? `?${name}=` : "<redacted>", `without ${known}`)
    }
    if (query[part] !== undefined) return refuse(where, option, `?${name}=`, "with each query part once")
    query[part] = value
  }
  const { search: _, ...said } = read
  return { ...said, query }
}

const decoded = ({ hash, hostname, password, pathname, port, protocol, search, searchParams, username }: URL) => {
  if (hash !== "" || pathname.includes("/", 1)) return undefined
  const query: Array<readonly [string, string]> = []
  searchParams.forEach((value, name) => void query.push([name, value]))
  return {
    scheme: protocol.slice(0, -1),
    host: decodeURIComponent(hostname),
    port: port === "" ? undefined : Number(port),
    username: username === "" ? undefined : decodeURIComponent(username),
    password: password === "" ? undefined : Redacted.make(decodeURIComponent(password)),
    path: pathname.length > 1 ? decodeURIComponent(pathname.slice(1)) : undefined,
    search,
    query
  }
}

const attempt = <A>(read: () => A | undefined): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}
