import type { RedisClientType } from "@redis/client"
import { baseOf } from "./sharedClient.js"

/** Who is told of what happens to a client. */
export interface Observer {
  /** Its connection is lost. */
  readonly lost: (error: unknown) => void
  /** It is closed, also by whoever has it. */
  readonly closed: () => void
  /** A listener of a caller's has thrown. */
  readonly threw: (error: unknown) => void
}

/**
 * Tells of what a client emits by itself, whatever listeners it has: those are its callers', who may have taken away all, or throw,
 * which would keep the others from hearing of it and end the process.
 */
export const observe = (client: RedisClientType, observer: Observer): void => {
  const base = baseOf(client)
  const { emit } = client
  Object.assign(base, {
    emit(this: RedisClientType, event: string, ...args: ReadonlyArray<unknown>): boolean {
      if (this !== base) return emit.call(this, event, ...args)
      if (event === "error") observer.lost(args[0])
      if (event === "end") observer.closed()
      for (const listener of client.rawListeners(event)) {
        try {
          Reflect.apply(listener, client, args)
        } catch (error) {
          observer.threw(error)
        }
      }
      return true
    }
  })
}
