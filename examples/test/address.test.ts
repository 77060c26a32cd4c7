import { describe, expect, it } from "@effect/vitest"
import { Either } from "effect"
import * as Address from "../demo/address.js"

describe("an address", () => {
  it.each([
    ["tcp://localhost:80", "tcp://localhost:80"],
    ["tcp://127.0.0.1:6379/", "tcp://127.0.0.1:6379"],
    ["tcp://[::1]:6379", "tcp://[::1]:6379"],
    ["tls://example.com:443", "tls://example.com:443"],
    ["unix:///run/a%20socket", "unix:///run/a socket"]
  ])("%s is %s", (text, name) => {
    expect(Either.map(Address.parse(text), (endpoint) => endpoint.name)).toEqual(Either.right(name))
  })

  it.each([
    ["http://127.0.0.1:1", "expected tcp://host:port, tls://host:port or unix:///path"],
    ["127.0.0.1:1", "not a URL that can be connected to, expected tcp://host:port, tls://host:port or unix:///path"],
    [
      "tcp://127.0.0.1:65536",
      "not a URL that can be connected to, expected tcp://host:port, tls://host:port or unix:///path"
    ],
    ["tcp://127.0.0.1", "a host and a port are needed: tcp://host:port"],
    ["tcp://127.0.0.1:0", "a host and a port are needed: tcp://host:port"],
    ["tcp://127.0.0.1:1/path", "a tcp URL has no path"],
    ["tls://127.0.0.1:1?a=b", "the URL has a query or a fragment, which a connection has not"],
    ["tcp://user@127.0.0.1:1", "a URL with a user or a password is refused"],
    ["unix://relative/path", "a unix URL has an absolute path: unix:///path"]
  ])("%s is refused: %s", (text, message) => {
    expect(Either.flip(Address.parse(text))).toEqual(Either.right(new Address.BadAddress({ message })))
  })
})
