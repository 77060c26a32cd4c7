// `redis` is `@redis/client` with modules beside it.
import { createClient } from "@redis/client"

export const before = async (url: string, onNews: (news: string) => void) => {
  const redis = createClient({ url })
  // Without a listener, the first failure ends the program.
  redis.on("error", (error) => console.error(error.message))
  await redis.connect()

  // What subscribes has a connection of its own.
  const subscriber = redis.duplicate()
  subscriber.on("error", (error) => console.error(error.message))
  await subscriber.connect()
  await subscriber.subscribe("news", (message) => onNews(message))

  return {
    visit: () => redis.incr("visits"),
    close: async () => {
      subscriber.destroy()
      await redis.close()
    }
  }
}
