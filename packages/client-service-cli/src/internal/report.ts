/**
 * What happens, told on the standard error: in lines for people, or in JSON for programs.
 */
import { StringDecoder } from "node:string_decoder"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { RetriesExhausted } from "effect-client-service/ConnectionError"
import { sinceNow } from "./sinceNow.js"
import type { Output } from "./terminal/output.js"
import { moment, type State, stateLine } from "./terminal/stateLine.js"
import * as Words from "./terminal/words.js"

/** What happens besides the states of services. */
export type Happening =
  | { readonly event: "started"; readonly service: string; readonly address: string }
  | { readonly event: "page"; readonly url: string }
  | { readonly event: "listening"; readonly service: string; readonly host: string; readonly port: number }
  | { readonly event: "accepted"; readonly service: string; readonly client: number; readonly from: string }
  | {
      readonly event: "closed"
      readonly service: string
      readonly client: number
      readonly error?: ErrorJson | undefined
    }
  | { readonly event: "exit"; readonly code: number; readonly error?: ErrorJson | undefined }

/** An error, without what may be a secret. */
export interface ErrorJson {
  readonly tag: string
  readonly message: string
  readonly reason?: string
  readonly code?: string
}

export interface Report {
  readonly happened: (happening: Happening) => Effect.Effect<void>
  /** A state of a service, which is that of a client of the local port or the only one. */
  readonly state: (state: State, service: string, client?: number) => Effect.Effect<void>
  /** For the standard error of one process. */
  readonly stderr: () => Stderr
}

/** Takes what a process writes to its standard error. */
export interface Stderr {
  readonly take: (chunk: Uint8Array) => void
  /** There will be no more. */
  readonly end: () => void
}

export const forPeople = (output: Output): Effect.Effect<Report> =>
  Effect.map(sinceNow, (elapsed) => {
    const { dim } = output.colours
    const line = (show: (millis: number) => string) =>
      Effect.flatMap(elapsed, (millis) => output.write(`${show(millis)}\n`))
    const numbered = (client: number) => `#${client} `
    return {
      happened: (happening) => {
        switch (happening.event) {
          case "started":
            return output.write(`${dim(`${happening.service}, until Ctrl-C`)}\n`)
          case "page":
            return output.write(`${dim(`shown at ${happening.url}`)}\n`)
          case "listening":
            return output.write(`${dim(`listening on ${hostAndPort(happening)}`)}\n`)
          case "accepted":
            return line(
              (millis) => `${moment(output.colours, millis)}${numbered(happening.client)}from ${happening.from}`
            )
          case "closed":
            return line(
              (millis) =>
                `${moment(output.colours, millis)}${numbered(happening.client)}closed${happening.error === undefined ? "" : `: ${happening.error.message}`}`
            )
          case "exit":
            return happening.error === undefined
              ? Effect.void
              : output.write(`${output.colours.red("keepalive")}: ${happening.error.message}\n`)
        }
      },
      state: (state, _service, client) =>
        line((millis) => stateLine(output.colours, state, millis, client === undefined ? "" : numbered(client))),
      stderr: () => ({ take: output.print, end: () => {} })
    }
  })

export const inJson = (output: Output): Report => {
  const object = (now: number, fields: object) =>
    `${JSON.stringify({ time: new Date(now).toISOString(), ...fields })}\n`
  const write = (fields: object) => Effect.flatMap(Clock.currentTimeMillis, (now) => output.write(object(now, fields)))
  return {
    happened: write,
    state: (state, service, client) =>
      write({
        event: state._tag.toLowerCase(),
        service,
        ...(client === undefined ? {} : { client }),
        ...fieldsOf(state)
      }),
    stderr: () => stderrInLines((fields) => output.print(object(Date.now(), { event: "stderr", ...fields })))
  }
}

// Of a process by itself: what two of them write at once is no line of either.
const stderrInLines = (tell: (line: { readonly text: string; readonly continues?: true }) => void): Stderr => {
  const decoder = new StringDecoder("utf8")
  let rest = ""
  const add = (text: string) => {
    const lines = (rest + text).split("\n")
    rest = lines.pop() ?? ""
    for (const text of lines) tell({ text: parts(text) })
    rest = parts(rest)
  }
  // What is kept of a line must have a bound.
  const parts = (line: string): string => {
    if (line.length <= longestLine) return line
    tell({ text: line.slice(0, longestLine), continues: true })
    return parts(line.slice(longestLine))
  }
  return {
    take: (chunk) => add(decoder.write(Buffer.from(chunk))),
    // The last line may lack its newline.
    end: () => {
      add(decoder.end())
      if (rest !== "") tell({ text: rest })
      rest = ""
    }
  }
}

export const errorJson = (error: Words.Told): ErrorJson => ({
  tag: error._tag,
  message: error instanceof RetriesExhausted ? `${error.service}: ${Words.ofProblem(error)}` : Words.ofProblem(error),
  ...textOf(error, "reason"),
  ...textOf(error, "code")
})

const longestLine = 64 * 1024

const fieldsOf = (state: State): object => {
  switch (state._tag) {
    case "Connecting":
      return { attempt: state.attempt, failures: state.failures }
    case "Connected":
      return { generation: state.generation }
    case "Waiting":
      return {
        failures: state.failures,
        // JSON has no infinity, and dates have an end, beyond which they throw.
        delayMillis: Math.min(Duration.toMillis(state.delay), Number.MAX_VALUE),
        retryAt: new Date(Math.min(state.retryAt, 8.64e15)).toISOString(),
        error: causeJson(state.cause)
      }
    case "Exhausted":
      return { failures: state.failures, error: causeJson(state.cause) }
    default:
      return {}
  }
}

const causeJson = (cause: Cause.Cause<Words.Told>): ErrorJson =>
  Either.match(Cause.failureOrCause(cause), {
    onLeft: errorJson,
    onRight: () => ({ tag: "Defect", message: Words.ofCause(cause) })
  })

const textOf = (error: object, key: "reason" | "code"): Partial<Record<"reason" | "code", string>> => {
  const value: unknown = Reflect.get(error, key)
  return typeof value === "string" ? { [key]: value } : {}
}

const hostAndPort = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
