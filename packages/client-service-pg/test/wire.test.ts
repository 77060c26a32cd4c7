import { EventEmitter } from "node:events"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Client, type DatabaseError } from "pg"
import { guardWire } from "../src/internal/wire.js"
import { start } from "./support/pg.js"
import { describeWithServer } from "./support/server.js"

const message = (kind: string, body: string): Buffer => {
  const header = Buffer.from(`${kind}\0\0\0\0`)
  header.writeUInt32BE(Buffer.byteLength(body) + 4, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

const rowOf = (text: string): Buffer => {
  const body = Buffer.alloc(6)
  body.writeInt16BE(1, 0)
  body.writeInt32BE(text.length, 2)
  return message("D", `${body.toString("latin1")}${text}`)
}

/** What a client reads of chunks, if rows of more than 20 bytes can't be read. */
const readOf = (chunks: ReadonlyArray<Buffer>): ReadonlyArray<unknown> => {
  const { connection } = new Client()
  const read: Array<unknown> = []
  guardWire(
    Object.assign(new Client(), { connection }),
    () => {},
    () => {},
    20
  )
  connection.on("errorMessage", ({ code, severity }: DatabaseError) => read.push(`${severity} ${code}`))
  connection.on("dataRow", ({ fields }: { readonly fields: unknown }) => read.push(fields))
  connection.on("commandComplete", ({ text }: { readonly text: unknown }) => read.push(text))
  connection.on("readyForQuery", () => read.push("ready"))
  connection.on("error", (error: unknown) => read.push(error))
  const stream = new EventEmitter()
  const attach: unknown = Reflect.get(connection, "attachListeners")
  if (typeof attach === "function") attach.call(connection, stream)
  for (const chunk of chunks) stream.emit("data", chunk)
  return read
}

describe("what a server sends", () => {
  const all = Buffer.concat([
    rowOf("small"),
    rowOf("much larger than can be read"),
    rowOf("small"),
    message("C", "SELECT 3\0"),
    message("Z", "I"),
    message("E", "SFEHLER\0VERROR\0C22012\0Mdurch null\0\0"),
    message("E", "SPANIK\0VPANIC\0CXX000\0Mvorbei\0\0"),
    message("Z", "I"),
    rowOf("next"),
    message("Z", "I")
  ])
  const expected = [["small"], "ERROR 54000", "ready", "ERROR 22012", "PANIC XX000", "ready", ["next"], "ready"]
  for (const size of [all.length, 1, 2, 3, 7, 30]) {
    it(`is read without a row that is too large, and with severities in English, by ${size} bytes`, () => {
      const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
        all.subarray(i * size, i * size + size)
      )
      expect(readOf(chunks)).toEqual(expected)
    })
  }

  it("is an error of the connection if it can't be read", () => {
    const unknown = message("R", "\0\0\0\u0063")
    expect(readOf([unknown, message("Z", "I")])).toEqual([expect.any(Error)])
  })
})

describeWithServer("a turn", (test) => {
  test("whose request or listener throws fails alone", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server)
      const boom = () => {
        throw new Error("boom")
      }
      const lent = (f: (client: Client) => Promise<unknown>) =>
        Effect.flip(pg.service.use((connection) => connection.withClient(f)))
      const ignore = () => {}
      const others = { handleDataRow: ignore, handleCommandComplete: ignore, handleReadyForQuery: ignore }
      const submitted = (methods: object) => (client: Client) =>
        new Promise((_, reject) => {
          client.query(Object.assign({ submit: boom, handleError: reject, ...others }, methods))
        })
      expect(yield* lent(submitted({}))).toMatchObject({ detail: "boom" })
      const submit = (connection: { readonly query: (text: string) => void }) => connection.query("SELECT 1")
      expect(yield* lent(submitted({ submit, handleRowDescription: boom }))).toMatchObject({ detail: "boom" })
      for (const [event, ...statements] of [
        ["notice", "DO $$ BEGIN RAISE NOTICE 'x'; END $$"],
        ["notification", "LISTEN own", "NOTIFY own", "SELECT 1"]
      ] as const) {
        const listens = async (client: Client) => {
          client.prependListener(event, boom)
          for (const statement of statements) await client.query(statement)
        }
        expect(yield* lent(listens)).toMatchObject({ detail: "boom" })
      }
      yield* pg.query("SELECT 1")
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    }))

  test("that pg waits for no longer (query_timeout) is ended on the server, and the connection goes on", (server) =>
    Effect.gen(function* () {
      const pg = yield* start(server, { connection: { query_timeout: 200 } })
      expect(yield* Effect.flip(pg.query("SELECT pg_sleep(600)"))).toMatchObject({ reason: "TimedOut" })
      const { rowCount } = yield* pg.query(
        "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
      )
      expect(rowCount).toBe(0)
      expect(yield* pg.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    }))
})
