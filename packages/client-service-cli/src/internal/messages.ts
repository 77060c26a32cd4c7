/**
 * The messages of a WebSocket as lines, for people and programs that know lines.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Transport, TransportError, WebSocketTransport } from "effect-client-service/Transport"
import { longest } from "./wholeLines.js"

/** Each line that is written is one message of text, and each message comes as one line. */
export const asLines = (webSocket: WebSocketTransport): Transport => {
  let rest: Uint8Array = Buffer.alloc(0)

  const take = (chunk: Uint8Array): ReadonlyArray<string> => {
    const all = Buffer.concat([rest, chunk])
    const lines: Array<string> = []
    let begin = 0
    for (let end = all.indexOf("\n"); end >= 0; end = all.indexOf("\n", begin)) {
      lines.push(all.toString("utf8", begin, end > begin && all[end - 1] === carriageReturn ? end - 1 : end))
      begin = end + 1
    }
    rest = Buffer.from(all.subarray(begin))
    return rest.length > longest ? [...lines, takeRest()] : lines
  }
  const takeRest = (): string => {
    const text = Buffer.from(rest).toString("utf8")
    rest = Buffer.alloc(0)
    return text
  }

  return {
    remote: webSocket.remote,
    incoming: Stream.map(webSocket.incoming, (message) => Buffer.concat([message, newline])),
    write: (chunk) =>
      Effect.suspend(() =>
        Effect.forEach(take(typeof chunk === "string" ? Buffer.from(chunk) : chunk), webSocket.write, { discard: true })
      ),
    // A last line may lack its newline.
    end: Effect.suspend(
      (): Effect.Effect<void, TransportError> => (rest.length === 0 ? Effect.void : webSocket.write(takeRest()))
    ).pipe(Effect.zipRight(webSocket.end))
  }
}

const carriageReturn = 13
const newline = Buffer.from("\n")
