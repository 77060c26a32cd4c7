import type { Headers } from "@effect/platform/Headers"

/**
 * Whether a browser asks by a name that this program is known by. A page of somebody else's can have its own name lead here,
 * and be of the same origin then; but it can't have an address, nor `localhost`, for a name.
 */
export const isKnownHost = (headers: Headers, hosts: ReadonlyArray<string>): boolean => {
  const host = headers["host"]
  // No browser leaves it out.
  if (host === undefined) return true
  const name = host.replace(/:\d+$/, "").toLowerCase()
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    /^(?:\d{1,3}\.){3}\d{1,3}$/.test(name) ||
    /^\[[\da-f:.]+\]$/.test(name) ||
    hosts.some((known) => known.toLowerCase() === name)
  )
}

/** Whether a request comes from the page itself, which no other page can pretend. */
export const isFromPage = (headers: Headers): boolean => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined) return site === "same-origin"
  // Browsers tell that of secure pages alone, and the origin of every POST.
  const origin = headers["origin"]
  const host = headers["host"]
  if (origin === undefined || host === undefined || !URL.canParse(origin)) return false
  return new URL(origin).host === host.toLowerCase()
}
