import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { Duplex } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { newClient } from "../src/internal/newClient.js"

const password = "do not tell"

const message = (kind: string, body: Buffer): Buffer => {
  const header = Buffer.from(`${kind}\0\0\0\0`)
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

const login = (kind: number, body = ""): Buffer =>
  message("R", Buffer.concat([Buffer.from([0, 0, 0, kind]), Buffer.from(body)]))

const ok = login(0)
const cleartext = login(3)
const md5 = login(5, "salt")
const plus = login(10, "SCRAM-SHA-256-PLUS\0\0")
const plain = login(10, "SCRAM-SHA-256\0\0")
const ready = message("Z", Buffer.from("I"))

// As much of one as tells by what it is signed: `sha256WithRSAEncryption`.
const certificate = Buffer.from("300f3000300b06092a864886f70d01010b", "hex")

/** What a server says next, as it knows the password, by what it was told last. */
type Reply = (told: string) => Buffer

const all =
  (...messages: ReadonlyArray<Buffer>): Reply =>
  () =>
    Buffer.concat(messages)

const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest()

/** Those of a login by SCRAM, up to the proof of a server that has this certificate and password. */
const scram = (own: Buffer, known: string, then = all()): ReadonlyArray<Reply> => {
  let first = ""
  const salt = Buffer.from("salt")
  return [
    () => plus,
    (told) => {
      const bare = told.slice(told.indexOf("n=*"))
      first = `${bare},r=${bare.slice(bare.indexOf("r=") + 2)}more,s=${salt.toString("base64")},i=2`
      return login(11, first.slice(bare.length + 1))
    },
    (told) => {
      const bound = Buffer.concat([Buffer.from("p=tls-server-end-point,,"), createHash("sha256").update(own).digest()])
      const nonce = /r=([^,]+)/.exec(told)?.[1]
      const key = hmac(pbkdf2Sync(known, salt, 2, 32, "sha256"), "Server Key")
      const proof = hmac(key, `${first},c=${bound.toString("base64")},r=${nonce}`).toString("base64")
      return Buffer.concat([login(12, `v=${proof}`), then(told)])
    }
  ]
}

/** Logs in at a server that answers so over TLS, one after the other, and gives what became of it and all that was told. */
const loginAt = (replies: ReadonlyArray<Reply>) =>
  Effect.promise(async () => {
    const left = [...replies]
    const told: Array<string> = []
    const stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        told.push(chunk.toString("latin1"))
        const reply = left.shift()
        if (reply !== undefined) stream.push(reply(chunk.toString("latin1")))
        done()
      }
    })
    Object.assign(stream, {
      setNoDelay: () => {},
      getPeerCertificate: () => ({ raw: certificate }),
      // It is listened to by then.
      connect: () => setImmediate(() => stream.emit("connect"))
    })
    const client = newClient(
      {
        user: "me",
        password,
        ssl: false,
        enableChannelBinding: true,
        isBindingRequired: true,
        stream: () => stream
      },
      "127.0.0.1",
      () => {}
    )
    client.on("error", () => {})
    const outcome = await client.connect().then(
      () => "connected",
      (error: Error) => error.message
    )
    stream.destroy()
    return { outcome, told: told.join("") }
  })

describe("channel_binding=require", () => {
  it.live("takes a server that has proved to know the password, on this very connection", () =>
    Effect.gen(function* () {
      const logsIn = scram(certificate, password, all(ok, ready))
      expect((yield* loginAt(logsIn)).outcome).toBe("connected")
    })
  )

  for (const [what, replies, refusal] of [
    ["is asked for the password", [all(cleartext, ok, ready)], "asks for the password"],
    ["is asked for it after an offer", [all(plus, cleartext)], "asks for the password"],
    ["is asked for it once it has begun", [all(plus), all(cleartext, ok, ready)], "asks for the password"],
    ["is asked for its MD5 after an offer", [all(plus), all(md5)], "asks for the password"],
    ["is offered SCRAM alone", [all(plain)], "does not offer it"],
    ["is offered SCRAM alone after an offer", [all(plus), all(plain)], "does not offer it"],
    ["is let in", [all(ok, ready)], "has not proved"],
    ["is let in without a word", [all(ready)], "has not proved"],
    ["is let in after an offer", [all(plus), all(ok, ready)], "has not proved"],
    ["is let in after an offer without a word", [all(plus), all(ready)], "has not proved"],
    ["is given a proof of nothing", [all(plus), all(login(12, "v=AAAA"), ok, ready)], "SASL"],
    ["is given the proof of another password", scram(certificate, "another"), "signature"],
    ["is given the proof of another certificate", scram(Buffer.from("another"), password), "signature"]
  ] as const) {
    it.live(`tells no password, and is not connected, where it ${what}`, () =>
      Effect.gen(function* () {
        const { outcome, told } = yield* loginAt(replies)
        expect(outcome).toContain(refusal)
        expect(told).not.toMatch(new RegExp(`${password}|md5`))
      })
    )
  }
})
