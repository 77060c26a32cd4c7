import { describe, expect, it } from "@effect/vitest"
import { Either, Option } from "effect"
import { Address, BadAddress, forms, parse } from "../src/internal/address.js"
import { parseDuration } from "../src/internal/durations.js"
import { parseHeader, parseHeaders } from "../src/internal/headers.js"
import { shellWords } from "../src/internal/shellWords.js"

describe("an address", () => {
  it.each([
    ["tcp://localhost:80", Address.Tcp({ host: "localhost", port: 80 })],
    ["tcp://127.0.0.1:6379/", Address.Tcp({ host: "127.0.0.1", port: 6379 })],
    ["tcp://[::1]:6379", Address.Tcp({ host: "::1", port: 6379 })],
    ["tcp://[fe80::1%25eth0]:6379", Address.Tcp({ host: "fe80::1%eth0", port: 6379 })],
    // Of which no endpoint is made.
    ["tcp://[::1%25]:1", Address.Tcp({ host: "::1%", port: 1 })],
    ["tls://example.com:443", Address.Tls({ host: "example.com", port: 443 })],
    ["unix:/run/a socket", Address.Unix({ path: "/run/a socket" })],
    ["unix:///run/a%20socket", Address.Unix({ path: "/run/a socket" })],
    ["unix:here/socket", Address.Unix({ path: "here/socket" })],
    [
      "ws://example.com:8080/feed?token=x",
      Address.WebSocket({ url: "ws://example.com:8080/feed?token=x", isSecure: false, credentials: undefined })
    ],
    [
      "wss://al%20ice:se%3Acret@example.com/",
      Address.WebSocket({ url: "wss://example.com/", isSecure: true, credentials: "al ice:se:cret" })
    ],
    ["TCP://localhost:80", Address.Tcp({ host: "localhost", port: 80 })],
    ["WS://example.com/", Address.WebSocket({ url: "ws://example.com/", isSecure: false, credentials: undefined })],
    ["exec:node 'a b.js' --x", Address.Exec({ command: "node", args: ["a b.js", "--x"] })]
  ])("%s is understood", (text, address) => {
    expect(parse(text)).toEqual(Either.right(address))
  })

  it.each([
    ["", `the address is empty, expected ${forms}`],
    ["http://127.0.0.1:1", `there is no way to connect to http: addresses, expected ${forms}`],
    ["127.0.0.1:1", "the address does not say how to connect: is it tcp://127.0.0.1:1?"],
    ["localhost:80", "the address does not say how to connect: is it tcp://localhost:80?"],
    ["localhost", `the address does not begin with how to connect, expected ${forms}`],
    ["tcp:127.0.0.1:1", "two slashes come after tcp: as in tcp://host:port"],
    ["tcp://127.0.0.1:65536", "the port is no number from 1 to 65535"],
    ["tcp://127.0.0.1:http", "the port is no number from 1 to 65535"],
    ["tcp://127.0.0.1", "the port is missing: tcp://host:port"],
    ["tcp://127.0.0.1:", "the port is missing: tcp://host:port"],
    ["tcp://127.0.0.1:0", "the port is no number from 1 to 65535"],
    ["tcp://:80", "the host is missing: tcp://host:port"],
    ["tcp://::1:80", "an address of IPv6 is in brackets: tcp://[::1]:port"],
    ["tcp://127.0.0.1:1/path", "a tcp address has no path"],
    ["tls://127.0.0.1:1?a=b", "a tls address has no query and no fragment"],
    ["tcp://user:secret@127.0.0.1:1", "a tcp address has no user and no password"],
    ["unix://relative/path", "a unix address has a path and no host: unix:/path"],
    ["unix:", "the path is missing: unix:/path"],
    ["ws:example.com", "a ws address is a URL with a host, such as ws://example.com/feed"],
    ["wss://exa mple", "a wss address is a URL with a host, such as wss://example.com/feed"],
    ["ws://example.com/#part", "the URL has a fragment, which a WebSocket has not"],
    ["exec:", "the command is missing: exec:command args"],
    ["exec:sh -c 'secret", "the command of an exec address has a quote that is not closed, or ends with a backslash"]
  ])("%s is refused: %s", (text, message) => {
    expect(Either.flip(parse(text))).toEqual(Either.right(new BadAddress({ message })))
  })
})

describe("the words of a command", () => {
  it.each([
    ["a  b\tc", ["a", "b", "c"]],
    [" a ", ["a"]],
    ["", []],
    ["''", [""]],
    [`sh -c 'echo "$HOME" \\n'`, ["sh", "-c", 'echo "$HOME" \\n']],
    [`"a \\"b\\" \\n" c\\ d`, ['a "b" \\n', "c d"]],
    ["a'b'\"c\"d", ["abcd"]]
  ])("%s", (text, words) => {
    expect(shellWords(text)).toEqual(Option.some(words))
  })

  it.each(["'a", '"a', "a\\", '"a\\"'])("%s is incomplete", (text) => {
    expect(shellWords(text)).toEqual(Option.none())
  })
})

describe("a header", () => {
  it.each([
    ["Authorization: Bearer x", ["authorization", "Bearer x"]],
    ["a:b: c ", ["a", "b: c"]],
    ["x-empty:", ["x-empty", ""]]
  ] as const)("%s", (text, header) => {
    expect(parseHeader(text)).toEqual(Option.some(header))
  })

  it("is nothing without a name, or with what HTTP does not have", () => {
    for (const text of ["secret", ": secret", "a b: secret", "a: b\r\nc: d"]) {
      expect(parseHeader(text)).toEqual(Option.none())
    }
  })

  it("is a line of a file, which may have empty lines and comments", () => {
    expect(parseHeaders("# mine\n\na: b\r\nc: d\n")).toEqual(
      Option.some([
        ["a", "b"],
        ["c", "d"]
      ])
    )
    for (const text of ["a: b\nsecret\n", "", "# mine\n"]) expect(parseHeaders(text)).toEqual(Option.none())
  })
})

describe("a duration", () => {
  it.each([
    ["500ms", 500],
    ["1.5 s", 1500],
    ["2m", 120_000],
    ["1h", 3_600_000]
  ])("%s", (text, millis) => {
    expect(Option.map(parseDuration(text), (duration) => duration.value)).toEqual(
      Option.some({ _tag: "Millis", millis })
    )
  })

  it.each(["5", "soon", "-1s", "1.s", "1d"])("%s is none", (text) => {
    expect(parseDuration(text)).toEqual(Option.none())
  })
})
