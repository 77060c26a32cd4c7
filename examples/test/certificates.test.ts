import { TLSSocket } from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { secret } from "../../packages/client-service-node/test/support/certificateFolder.js"
import { makeAuthority } from "../../packages/client-service-node/test/support/certificates.js"
import { listen } from "../../packages/client-service-node/test/support/server.js"
import { run } from "./program.js"

describe("certificates", () => {
  it.scopedLive("connects anew when the certificate is renewed", () =>
    Effect.gen(function* () {
      const { ca, issue } = yield* makeAuthority()
      const { folder, mount } = yield* secret
      const mounted = (name: string) =>
        Effect.map(issue(name), ({ cert, key }) => mount({ "ca.crt": ca, "tls.crt": cert, "tls.key": key }))
      yield* mounted("the old one")
      const { port } = yield* listen(
        (socket) => {
          if (socket instanceof TLSSocket) socket.write(`hello, ${socket.getPeerCertificate().subject.CN}\n`)
        },
        { tls: { ...(yield* issue("127.0.0.1")), ca, requestCert: true, rejectUnauthorized: true } }
      )
      const program = yield* run("certificates.ts", [], {
        BROKER_HOST: "127.0.0.1",
        BROKER_PORT: String(port),
        TLS_FOLDER: folder
      })
      yield* program.stdout.until("hello, the old one\n")
      yield* mounted("the new one")
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.text()).toMatch(/\nhello, the new one\n/)
      expect(program.stderr.text()).toBe("")
    })
  )
})
