import { describe, expect, it } from "@effect/vitest"
import { Address } from "effect-client-service-driver"

const refusal = (option: string) => expect.objectContaining({ _tag: "InvalidOption", where: "f", option })

// What a program without types may pass.
const untyped = (value: unknown): never => value as never

describe("the host of a name or an address", () => {
  it.each([
    ["db.example.com", "db.example.com"],
    ["DB.Example.COM", "db.example.com"],
    ["db.example.com.", "db.example.com"],
    ["localhost.", "localhost"],
    [" \tdb.example.com\u00a0\n", "db.example.com"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["BÜCHER.example", "xn--bcher-kva.example"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["日本。例え", "xn--wgv71a.xn--r8jz45g"],
    ["my_db-1", "my_db-1"],
    ["127.0.0.1", "127.0.0.1"],
    ["127.0.0.1.", "127.0.0.1"],
    ["127.1", "127.0.0.1"],
    ["0x7f000001", "127.0.0.1"],
    ["::1", "::1"],
    ["[::1]", "::1"],
    ["2001:DB8:0:0::1", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["[fe80::1%eth0]", "fe80::1%eth0"],
    ["[fe80::1%252]", "fe80::1%2"],
    [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`]
  ])("%j becomes %s", (value, host) => {
    expect(Address.host("f", "host", value)).toBe(host)
    expect(Address.host("f", "host", host)).toBe(host)
  })

  it.each([
    "",
    " ",
    ".",
    "..",
    "a..b",
    ".a",
    "a..",
    "localhost\0.evil.example",
    "\0",
    "two words",
    "a\tb",
    "a\nb",
    "a\u00a0b",
    "db.example.com:5432",
    "127.0.0.1:5432",
    "[::1]:5432",
    "[db.example.com]",
    "[127.0.0.1]",
    "[::1",
    "::1]",
    ":::",
    "::1%",
    "[::1%25]",
    "::1%eth0/x",
    "::1%a%b",
    "256.0.0.1",
    "1.2.3.4.5",
    "user@db.example.com",
    "https://db.example.com",
    "db.example.com/path",
    "db.example.com\\path",
    "db.example.com?x",
    "db.example.com#x",
    "db%2eexample.com",
    "xn--a",
    "*.example.com",
    "a".repeat(64),
    `${"a.".repeat(126)}aa`
  ])("%j is refused", (value) => {
    expect(() => Address.host("f", "host", value)).toThrow(refusal("host"))
  })

  it.each([undefined, null, 1, {}])("%j is refused", (value) => {
    expect(() => Address.host("f", "host", untyped(value))).toThrow(refusal("host"))
  })
})

describe("the path of a Unix socket", () => {
  it.each(["/run/x", "relative", "\0abstract", "x".repeat(107), `\\\\.\\pipe\\${"x".repeat(200)}`])(
    "takes %j",
    (path) => {
      expect(Address.path("f", "path", path)).toBe(path)
    }
  )

  it.each(["", " ", "/run/x\0y", "\0abstract\0", "/run/x\0", "x".repeat(108), "ü".repeat(54)])("refuses %j", (path) => {
    expect(() => Address.path("f", "path", path)).toThrow(refusal("path"))
  })
})
