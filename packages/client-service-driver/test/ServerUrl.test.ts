import { Redacted } from "effect"
import { InvalidOption } from "effect-client-service"
import { ServerUrl } from "effect-client-service-driver"
import { describe, expect, it } from "vitest"

const read = (url: string | Redacted.Redacted<string>) =>
  ServerUrl.parse("BusEndpoint.make", "url", url, {
    schemes: ["bus", "buses"],
    query: ["lane", "speed"],
    expected: "bus://[user[:password]@]host[:port][/line]"
  })

describe("the URL of a server", () => {
  it("says where it is, who asks, and for what", () => {
    const { password, ...rest } = read("buses://me:%40secret@b%C3%BCs.example:99/line%2F1?lane=left&speed=a%20b")
    expect(rest).toEqual({
      scheme: "buses",
      host: "büs.example",
      port: 99,
      username: "me",
      path: "line/1",
      query: { lane: "left", speed: "a b" }
    })
    expect(password === undefined ? undefined : Redacted.value(password)).toBe("@secret")
  })

  it("leaves open what it does not say", () => {
    const bare = { scheme: "bus", host: "[::1]", query: {} }
    for (const url of ["bus://[::1]", "bus://[::1]/", Redacted.make("bus://[::1]")]) {
      expect(read(url)).toEqual({ ...bare, port: undefined, username: undefined, password: undefined, path: undefined })
    }
  })

  it.each([
    ["http://me:secret@host", "<redacted>"],
    ["bus://me:secret@", "<redacted>"],
    ["bus://me:sec\nret@host", "<redacted>"],
    ["bus://me:secret@ho\r\nst", "<redacted>"],
    ["bus://me:secret@host:1\n2", "<redacted>"],
    ["bus://me:secret@host/li\tne", "<redacted>"],
    ["bus:me:secret", "<redacted>"],
    ["me:secret@host", "<redacted>"],
    ["bus://me:secret@host:99999", "<redacted>"],
    ["bus://me:%ff@host/secret", "<redacted>"],
    ["bus://me:1?secret@host", "<redacted>"],
    ["bus://me:1?secret=1@host", "<redacted>"],
    ["bus://me:secret@host#there", "<redacted>"],
    ["bus://me:secret@host/line/1", "<redacted>"],
    ["bus://me:secret@host?drive=secret", "?drive="],
    ["bus://me:secret@host?Lane=secret", "?Lane="],
    ["bus://me:secret@host?lane=1&lane=secret", "?lane="]
  ])("%s is refused, and nothing of it is told but the name of a part", (url, told) => {
    const refusal = () => read(url)
    expect(refusal).toThrow(InvalidOption.InvalidOption)
    expect(refusal).toThrow(`BusEndpoint.make: url must be `)
    expect(refusal).toThrow(told)
    try {
      refusal()
    } catch (error) {
      expect(String(error)).not.toContain("secret")
    }
  })
})
