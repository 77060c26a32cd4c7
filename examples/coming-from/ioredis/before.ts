import { Redis } from "ioredis"

export const before = async (url: string, onNews: (news: string) => void) => {
  const redis = new Redis(url)
  // Without a listener, each failure is printed as an unhandled one.
  redis.on("error", (error) => console.error(error.message))

  // What subscribes has a connection of its own.
  const subscriber = redis.duplicate()
  subscriber.on("error", (error) => console.error(error.message))
  subscriber.on("message", (_channel, message) => onNews(message))
  await subscriber.subscribe("news")

  return {
    visit: () => redis.incr("visits"),
    close: async () => {
      subscriber.disconnect()
      await redis.quit()
    }
  }
}
