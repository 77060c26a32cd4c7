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
  const { emit } = channel
  Object.assign(channel, {
    // No rest of arguments, since it is called for every message.
    emit(event: string, first: unknown, second: unknown): boolean {
      if (event === "close") observer.closed()
      else if (event === "error") {
        observer.failed(first)
        if (channel.listenerCount(event) === 0) return false
      }
      try {
        return emit.call(channel, event, first, second)
      } catch (error) {
        observer.threw(error)
        return true
      }
    }
  })
}
