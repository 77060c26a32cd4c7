/**
 * Why a WebSocket could not be opened, or was lost.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * All that the WebSocket of `Endpoint.webSocket` fails with by itself.
 *
 * @since 0.1.0
 * @category models
 */
export type WebSocketError = WebSocketOpenError | WebSocketClosed

/**
 * A WebSocket could not be opened.
 *
 * - `InvalidUrl`: what the Effect of the URL gave is no URL of a WebSocket.
 * - `Failed`: there was no connection, or the server did not agree to a WebSocket. `detail` tells what the platform said
 *   of it, as far as that can't lead to the URL, such as `ECONNREFUSED` or `Unexpected server response: 401`. Browsers
 *   say nothing.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebSocketOpenError extends Data.TaggedError("WebSocketOpenError")<{
  /** The name of the endpoint. */
  readonly endpoint: string
  readonly reason: "InvalidUrl" | "Failed"
  /** What the platform said. */
  readonly detail?: string | undefined
}> {
  override get message(): string {
    return `${this.endpoint}: ${meanings[this.reason]}${suffix(this.detail)}`
  }
}

/**
 * An open WebSocket was closed by the peer, or broke off.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebSocketClosed extends Data.TaggedError("WebSocketClosed")<{
  /** The name of the endpoint. */
  readonly endpoint: string
  /**
   * The code that the peer closed with, such as 1000, 1001 or one of its own from 4000 to 4999. It is 1005 if the peer gave
   * none, and 1006 if it never said that it closes.
   */
  readonly code: number
  /** The reason that the peer gave; empty if it gave none. */
  readonly reason: string
  /** What the platform said of a WebSocket that broke off. */
  readonly detail?: string | undefined
}> {
  override get message(): string {
    const reason = this.reason === "" ? undefined : JSON.stringify(this.reason.slice(0, maxLength))
    return `${this.endpoint}: the WebSocket was closed with code ${this.code}${suffix(reason)}${suffix(this.detail)}`
  }
}

const meanings: Record<WebSocketOpenError["reason"], string> = {
  InvalidUrl: "the URL is not one of ws: or wss: without a fragment",
  Failed: "the WebSocket could not be opened"
}

// The most that the protocol allows to a reason, in bytes.
const maxLength = 123

const suffix = (text: string | undefined): string => (text === undefined ? "" : `: ${text}`)
