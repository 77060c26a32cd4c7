import type { ChannelModel } from "amqplib"

/** What the methods of the protocol are known by: the class, and the number in it. */
type Method = number

const connectionClose: Method = 0x000a_0032

/**
 * Has a connection that the server closes say what for, as a channel does: the error of the client tells only the code and the
 * text.
 */
export const tellMethod = ({ connection }: ChannelModel): ((error: unknown) => void) => {
  const told: { classId?: unknown; methodId?: unknown } = {}
  const control: unknown = Reflect.get(connection, "channels")
  const channel: unknown = Array.isArray(control) ? control[0]?.channel : undefined
  if (typeof channel === "object" && channel !== null && "accept" in channel) {
    const { accept } = channel
    Reflect.set(channel, "accept", (frame: unknown) => {
      if (isClose(frame)) Object.assign(told, { classId: frame.fields.classId, methodId: frame.fields.methodId })
      if (typeof accept === "function") accept(frame)
    })
  }
  return (error) => {
    if (error instanceof Error && told.classId !== undefined) Object.assign(error, told)
  }
}

const isClose = (
  frame: unknown
): frame is { readonly fields: { readonly classId: unknown; readonly methodId: unknown } } =>
  typeof frame === "object" && frame !== null && "id" in frame && frame.id === connectionClose && "fields" in frame

/** What is asked on a channel, and not answered. */
export class Asked {
  /** In order. The client sends the next when one is answered, so the first alone is with the server. */
  #pending = new Set<{ readonly method: Method }>()

  /** Notes what is asked on this channel from now on. */
  listen(channel: object): void {
    const ask: unknown = Reflect.get(channel, "_rpc")
    if (typeof ask !== "function") return
    const pending = new Set<{ readonly method: Method }>()
    this.#pending = pending
    Reflect.set(channel, "_rpc", (method: Method, fields: unknown, expected: unknown, reply: unknown): unknown => {
      const one = { method }
      pending.add(one)
      return ask.call(channel, method, fields, expected, (error: unknown, ...answer: ReadonlyArray<unknown>) => {
        // The loss of the connection is no answer.
        if (error === null) pending.delete(one)
        if (typeof reply === "function") reply(error, ...answer)
      })
    })
  }

  /** Forgets what was asked on a channel before. */
  clear(): void {
    this.#pending = new Set()
  }

  /** Whether an error of the server may be for this: it tells what for, or nothing of it. */
  maybe(error: unknown): boolean {
    if (!(error instanceof Error && "classId" in error && "methodId" in error)) return true
    const method = Number(error.classId) * 0x1_0000 + Number(error.methodId)
    const [first] = this.#pending
    return method === 0 || method === first?.method
  }
}
