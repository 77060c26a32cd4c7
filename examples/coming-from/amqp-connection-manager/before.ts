import { connect } from "amqp-connection-manager"
import type { ConfirmChannel } from "amqplib"

export const before = async (url: string, onJob: (job: string) => void) => {
  const connection = connect([url], { reconnectTimeInSeconds: 1 })
  const channel = connection.createChannel({
    setup: async (channel: ConfirmChannel) => {
      await channel.assertQueue("orders")
      await channel.prefetch(1)
      await channel.consume("orders", (job) => {
        if (job === null) return
        onJob(`${job.content}`)
        channel.ack(job)
      })
    }
  })
  channel.on("error", (error) => console.error(error.message))
  await channel.waitForConnect()
  return {
    // Kept in memory until it is confirmed, and sent again on the next connection.
    send: (job: string) => channel.sendToQueue("orders", Buffer.from(job), { persistent: true }),
    close: () => connection.close()
  }
}
