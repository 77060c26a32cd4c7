import type { ConfirmChannel } from "amqplib"

/** Who is told of what happens to a channel. */
export interface Observer {
  /** The server refuses something, and closes it. */
  readonly failed: (cause: unknown) => void
  readonly closed: () => void
  /** A listener has thrown. */
  readonly threw: (error: unknown) => void
}

/**
 * Tells of what a channel emits, whatever listeners it has: those are its caller's, who may take away all, without which an error
 * ends the process, or throw, for which the client closes the connection of everybody.
 */
export const observe = (channel: ConfirmChannel, observer: Observer): void => {
  const emit = (event: string, ...args: ReadonlyArray<unknown>): boolean => {
    if (event === "error") observer.failed(args[0])
    if (event === "close") observer.closed()
    const listeners = channel.rawListeners(event)
    for (const listener of listeners) {
      try {
        Reflect.apply(listener, channel, args)
      } catch (error) {
        observer.threw(error)
      }
    }
    return listeners.length > 0
  }
  Object.assign(channel, { emit })
}
