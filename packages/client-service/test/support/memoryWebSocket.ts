import { Socket } from "@effect/platform"
import { Effect, Queue } from "effect"

/** A WebSocket in memory, that the test opens, feeds and closes. */
export class MemoryWebSocket extends EventTarget {
  binaryType = "blob"
  readyState = 0
  bufferedAmount = 0
  protocol = ""
  readonly sent: Array<unknown> = []
  /** The codes that `close` was called with. */
  readonly closes: Array<number | undefined> = []
  isTerminated = false

  constructor(
    readonly url: string,
    readonly protocols: string | Array<string> | undefined
  ) {
    super()
  }

  send(data: unknown) {
    this.sent.push(data)
  }

  close(code?: number) {
    this.closes.push(code)
    if (this.readyState < 2) this.readyState = 2
  }

  terminate() {
    this.isTerminated = true
  }

  /** The server agrees. */
  open() {
    this.readyState = 1
    this.dispatchEvent(new Event("open"))
  }

  /** The peer sends. */
  receive(...messages: ReadonlyArray<string | Uint8Array>) {
    for (const message of messages) {
      const data = typeof message === "string" ? message : Uint8Array.from(message).buffer
      this.dispatchEvent(Object.assign(new Event("message"), { data }))
    }
  }

  /** Something went wrong, of which `ws` tells and a browser does not. */
  fail(told: { readonly message?: string; readonly error?: unknown } = {}) {
    this.dispatchEvent(Object.assign(new Event("error"), { ...told, webSocket: this }))
  }

  /** The WebSocket is closed, as the peer wanted it or since it broke off. */
  closed(code: number, reason = "") {
    this.readyState = 3
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }))
  }
}

/** A platform whose WebSockets are in memory. They are there to take in the order in which they were made. */
export const makePlatform = Effect.map(Queue.unbounded<MemoryWebSocket>(), (made) => ({
  made: Queue.take(made),
  provide: Effect.provideService(Socket.WebSocketConstructor, (url, protocols) => {
    const webSocket = new MemoryWebSocket(url, protocols)
    Queue.unsafeOffer(made, webSocket)
    return webSocket as unknown as globalThis.WebSocket
  })
}))
