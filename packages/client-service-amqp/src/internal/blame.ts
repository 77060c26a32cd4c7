import type { ChannelModel, ConfirmChannel } from "amqplib"

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

/** What was asked on a channel. */
export class Asked {
  readonly #methods = new Set<Method>()

  /** Notes what is asked on this channel from now on. */
  listen(channel: ConfirmChannel): void {
    const ask: unknown = Reflect.get(channel, "_rpc")
    if (typeof ask !== "function") return
    Reflect.set(channel, "_rpc", (method: Method, ...rest: ReadonlyArray<unknown>): unknown => {
      this.#methods.add(method)
      return ask.call(channel, method, ...rest)
    })
  }

  clear(): void {
    this.#methods.clear()
  }

  /** Whether an error of the server may be for this: it tells what for, or nothing of it. */
  maybe(error: unknown): boolean {
    if (!(error instanceof Error && "classId" in error && "methodId" in error)) return true
    const method = Number(error.classId) * 0x1_0000 + Number(error.methodId)
    return method === 0 || this.#methods.has(method)
  }
}
