import { connect } from "amqplib"

export const before = async (url: string, onJob: (job: string) => void) => {
  const connection = await connect(url)
  // Without a listener, the loss of the connection ends the program.
  connection.on("error", (error) => console.error(error.message))
  const channel = await connection.createConfirmChannel()
  channel.on("error", (error) => console.error(error.message))
  await channel.assertQueue("orders")
  await channel.prefetch(1)
  await channel.consume("orders", (job) => {
    if (job === null) return
    onJob(`${job.content}`)
    channel.ack(job)
  })
  return {
    send: async (job: string) => {
      channel.sendToQueue("orders", Buffer.from(job), { persistent: true })
      await channel.waitForConfirms()
    },
    close: () => connection.close()
  }
}
