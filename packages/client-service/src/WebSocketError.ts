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
 * Why a WebSocket could not be opened.
 *
 * - `InvalidUrl`: what the Effect of the URL gave is no URL of a WebSocket.
 * - `InvalidOption`: what the Effect of another option gave can't be sent.
 * - `Unsupported`: the platform has no WebSocket.
 * - `Connection`: the server could not be connected to, or broke the connection off before it answered.
 * - `Status`: the server did not agree, but answered with a `status` of HTTP.
 * - `Subprotocol`: the server chose none of the subprotocols that were offered, or one that was not.
 * - `Handshake`: the server agreed, but not as a server of WebSockets does.
 * - `Failed`: the platform does not say. Browsers never do.
 *
 * @since 0.1.0
 * @category models
 */
export type WebSocketOpenReason =
  | "InvalidUrl"
  | "InvalidOption"
  | "Unsupported"
  | "Connection"
  | "Status"
  | "Subprotocol"
  | "Handshake"
  | "Failed"

/**
 * A WebSocket could not be opened. `detail` tells what the platform said of it, as far as that can't lead to the URL, such
 * as `ECONNREFUSED`.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebSocketOpenError extends Data.TaggedError("WebSocketOpenError")<{
  /** The name of the endpoint. */
  readonly endpoint: string
  readonly reason: WebSocketOpenReason
  /** What the platform said. */
  readonly detail?: string | undefined
  /** The status of the server's answer, such as 401, if the reason is `Status`. */
  readonly status?: number | undefined
  /** The headers of that answer that a retry policy may need, such as `retry-after`, where they can be had. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Why there was no connection, where that can be had. */
  readonly cause?: unknown
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

const meanings: Record<WebSocketOpenReason, string> = {
  InvalidUrl: "the URL is not one of ws: or wss: with the name of a host, and without a fragment",
  InvalidOption: "an option can't be sent",
  Unsupported: "this platform has no WebSocket",
  Connection: "there is no connection to the server",
  Status: "the server does not agree to a WebSocket",
  Subprotocol: "the server does not agree to a subprotocol",
  Handshake: "the server does not answer as one of WebSockets",
  Failed: "the WebSocket could not be opened"
}

// The most that the protocol allows to a reason, in bytes.
const maxLength = 123

const suffix = (text: string | undefined): string => (text === undefined ? "" : `: ${text}`)
