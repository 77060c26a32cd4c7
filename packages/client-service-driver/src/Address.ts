/**
 * Validators of addresses, which take them as the wire does.
 *
 * @since 0.1.0
 */
import { refuse, text } from "./Validate.js"

/**
 * Returns the name of a host, or its IP address, as it is looked up, asked for and checked: in ASCII (IDNA) and lower case,
 * without white space around it, the brackets of a URL and a dot at the end. Refuses what is neither, such as a name with a
 * port, an empty label, or a NUL, behind which a system would not look.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const host = (where: string, option: string, value: string): string =>
  (typeof value === "string" ? normalised(value.trim()) : undefined) ??
  refuse(where, option, value, "the name of a host or an IP address")

/**
 * Returns `value` if it can be the path of a Unix socket. What comes after a NUL, other than the first one of an abstract
 * socket, would be left out, and on some systems so would what is beyond 107 bytes, so that it would be another path.
 *
 * @since 0.1.0
 * @category validation
 * @throws InvalidOption
 */
export const path = (where: string, option: string, value: string): string =>
  text(where, option, value).includes("\0", 1) || isTooLong(value)
    ? refuse(where, option, value, "the path of a Unix socket, without a NUL and of at most 107 bytes")
    : value

// A named pipe of Windows may be longer.
const isTooLong = (value: string): boolean => !value.startsWith("\\\\") && new TextEncoder().encode(value).length > 107

const normalised = (value: string): string | undefined => {
  const [, bracketed] = /^\[(.*)\]$/.exec(value) ?? []
  // In a URL, the sign before a zone is escaped (RFC 6874).
  const address = bracketed?.replace("%25", "%") ?? value
  if (address.includes(":")) return ipv6(address)
  // What a URL takes for more than a host, decodes, or leaves out.
  if (bracketed !== undefined || /[\s\p{Cc}/\\?#@%]/u.test(value)) return undefined
  const name = hostOfUrl(value)?.replace(/\.$/, "")
  return name !== undefined && name.length <= 253 && /^[\w-]{1,63}(\.[\w-]{1,63})*$/.test(name) ? name : undefined
}

// A URL has no zone.
const ipv6 = (value: string): string | undefined => {
  const [, address, zone = ""] = /^([^%]*)(%[\w.~-]+)?$/.exec(value) ?? []
  const inBrackets = address === undefined ? undefined : hostOfUrl(`[${address}]`)
  return inBrackets === undefined ? undefined : `${inBrackets.slice(1, -1)}${zone}`
}

const hostOfUrl = (host: string): string | undefined => {
  try {
    return new URL(`ws://${host}`).hostname
  } catch {
    return undefined
  }
}
