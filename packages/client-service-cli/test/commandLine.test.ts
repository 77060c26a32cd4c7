import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runToEnd } from "./support/keepalive.js"
import { listening } from "./support/server.js"

describe("the command line", () => {
  const there = "tcp://127.0.0.1:1"
  const socket = "ws://127.0.0.1:1"
  const refused: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
    [[], "an address is needed, such as tcp://host:port; --help tells more"],
    [["tcp://user:secret@127.0.0.1:1"], "a tcp address has no user and no password"],
    [
      ["tcp://exa_mple..com:1"],
      'NodeEndpoint.tcp: host must be the name of a host or an IP address, got "exa_mple..com"'
    ],
    [[there, "secret"], "there is more than one address, or an argument with spaces lacks its quotes"],
    [
      [socket, "--header", "authorization:", "Bearer", "secret"],
      "there is more than one address, or an argument with spaces lacks its quotes"
    ],
    [[socket, "--header", "secret"], '--header takes a header, as in "name: value", or @file'],
    [[socket, "--header", "a: secret 漢"], '--header takes a header, as in "name: value", or @file'],
    [[socket, "--header", "@/no/such"], "the file of --header, /no/such, cannot be read (ENOENT)"],
    [["--password=secret", there], "there is no option --password"],
    [[there, "--password=secret"], "there is no option --password"],
    [[there, "-p"], "there is no option -p"],
    [["-psecret"], "there is no such option, or an argument with spaces lacks its quotes"],
    [["-psecret", there], "there is no such option, or an argument with spaces lacks its quotes"],
    [
      [socket, "--header", "authorization:", "-3secret"],
      "there is no such option, or an argument with spaces lacks its quotes"
    ],
    [
      ["--header", "authorization:", "-secret", socket],
      "there is no such option, or an argument with spaces lacks its quotes"
    ],
    [["--header", "authorization:", "-secret"], "there is no such option, or an argument with spaces lacks its quotes"],
    [["--js0", there], "there is no such option, or an argument with spaces lacks its quotes"],
    [["--jsn", there], "The flag '--jsn' is not recognized. Did you mean '--json'?"],
    [["--max-age", "1h", "--max-age", "2h", there], "--max-age is given twice, or lacks a value that it takes"],
    [["--name", "a", "--name", "b", there], "--name is given twice, or lacks a value that it takes"],
    [[there, "--name"], "--name is given twice, or lacks a value that it takes"],
    [["-n", "-n", there], "-n is given twice, or lacks a value that it takes"],
    [["--completions", "tcsh"], "--completions is given twice, or lacks a value that it takes"],
    [[socket, "--header", "a: secret", "--header"], "--header is given twice, or lacks a value that it takes"],
    [
      [there, "--max-delay", "soon"],
      '--max-delay takes a duration of more than 0, such as 500ms, 5s or 2m, not "soon"'
    ],
    [[there, "--max-delay", "0s"], '--max-delay takes a duration of more than 0, such as 500ms, 5s or 2m, not "0s"'],
    [
      [there, "--max-delay", `${"9".repeat(400)}h`],
      `--max-delay takes a duration of more than 0, such as 500ms, 5s or 2m, not "${"9".repeat(60)}..."`
    ],
    [[there, "--give-up-after", "0"], '--give-up-after takes an integer of at least 1, not "0"'],
    [
      [there, "--listen", "here"],
      '--listen takes a port, or a host and a port: 8080, 0.0.0.0:8080 or [::]:8080, not "here"'
    ],
    [[there, "--listen", "0", "--exec", "cat"], "--exec and --listen exclude each other"],
    [[there, "--listen", "0", "-n"], "--no-input and --listen exclude each other"],
    [[there, "--exec", "cat", "--no-input"], "--no-input and --exec exclude each other"],
    [[there, "--max-wait", "1s"], "--max-wait is for --listen"],
    [[there, "--page-actions"], "--page-actions is for --page"],
    [[there, "--ca", "/no/such"], "--ca is for tls: and wss: addresses"],
    [[there, "--insecure"], "--insecure is for tls: and wss: addresses"],
    [[there, "--header", "a: secret"], "--header is for ws: and wss: addresses"],
    [[there, "--binary"], "--binary is for ws: and wss: addresses"],
    [[there, "--ping-interval", "1s"], "--ping-interval is for ws: and wss: addresses"],
    [
      [socket, "--idle-timeout", "1s"],
      "--idle-timeout is for tcp:, tls: and unix: addresses; --ping-interval is for this one"
    ],
    [["exec:cat", "--idle-timeout", "1s"], "--idle-timeout is for tcp:, tls: and unix: addresses"],
    [["tls://127.0.0.1:1", "--ca", "/no/such"], "the file of --ca, /no/such, cannot be read (ENOENT)"],
    [["tls://127.0.0.1:1", "--cert", "/no/such"], "--cert and --key need each other"],
    [["--tour", there], "--tour takes no address"],
    [["--tour", "--json"], "--tour takes no option but --speed"],
    [["--tour", "--listen", "0"], "--tour takes no option but --speed"],
    [["--tour", "--header", "a: b"], "--tour takes no option but --speed"],
    [[there, "--speed", "2"], "--speed is for --tour"],
    [["--tour", "--speed", "1000"], '--speed takes a number from 0.1 to 100, not "1000"']
  ]
  it.live.each(refused)("refuses %j with exit code 2 and: %s", ([args, says]) =>
    Effect.gen(function* () {
      expect(yield* runToEnd(args)).toEqual({ code: 2, stdout: "", stderr: `keepalive: ${says}\n` })
    })
  )

  it.scopedLive("refuses a port that it cannot listen on, as text and in JSON", () =>
    Effect.gen(function* () {
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, () => {})
      const message = `cannot listen on 127.0.0.1, port ${port} (EADDRINUSE)`
      const { code, stderr } = yield* runToEnd([there, "--listen", String(port)])
      expect(code).toBe(2)
      expect(stderr).toBe(`${there}, until Ctrl-C\nkeepalive: ${message}\n`)
      const inJson = yield* runToEnd([there, "--listen", String(port), "--json"])
      expect(JSON.parse(inJson.stderr.split("\n").at(-2) ?? "")).toMatchObject({
        event: "exit",
        code: 2,
        error: { tag: "ListenError", message, code: "EADDRINUSE" }
      })
    })
  )

  it.live("tells in its help of every option that the README has, and of nothing else", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* runToEnd(["--help"])
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80)
      const options = [...stdout.slice(stdout.indexOf("OPTIONS")).matchAll(/^\(?(?:-\w, )?(--[\w-]+)/gm)].map(
        ([, name]) => name
      )
      const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
      const documented = [...readme.matchAll(/^\| `(?:-\w`, `)?(--[\w-]+)/gm)].map(([, name]) => name)
      expect(documented.sort()).toEqual([...options, "--completions", "--help", "--version"].sort())
      expect(stdout).toContain("Exit codes: 0 when all is done")
      expect(stdout).not.toMatch(/[^\n]\n[A-Z]+\n/)
    })
  )

  it.live("tells its version", () =>
    Effect.gen(function* () {
      const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
      expect(yield* runToEnd(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" })
    })
  )

  it.live("prints completions, which the shell takes", () =>
    Effect.gen(function* () {
      for (const shell of ["bash", "zsh", "fish"]) {
        const { code, stdout } = yield* runToEnd(["--completions", shell])
        expect({ shell, code }).toEqual({ shell, code: 0 })
        expect(stdout).toContain("give-up-after")
        if (shell !== "bash") continue
        const complete = `${stdout}\nCOMP_WORDS=(keepalive --give); COMP_CWORD=1; _keepalive_bash_completions keepalive --give keepalive; echo "$COMPREPLY"`
        const { stderr, stdout: completed } = spawnSync("bash", ["-c", complete], { encoding: "utf8" })
        expect({ completed, stderr }).toEqual({ completed: "--give-up-after\n", stderr: "" })
      }
    })
  )
})
