import pg from "pg"

export const before = async (url: string, onJob: (job: string) => void) => {
  const pool = new pg.Pool({ connectionString: url })
  // Without a listener, an idle connection that is lost ends the program.
  pool.on("error", (error) => console.error(error.message))

  // What listens needs a connection of its own, and the pool has no part in it.
  const listener = new pg.Client({ connectionString: url })
  listener.on("error", (error) => console.error(error.message))
  listener.on("notification", ({ payload }) => onJob(payload ?? ""))
  await listener.connect()
  await listener.query("LISTEN jobs")

  return {
    count: async () => {
      const { rows } = await pool.query<{ count: number }>("SELECT count(*)::int AS count FROM jobs")
      return rows[0]?.count
    },
    close: async () => {
      await listener.end()
      await pool.end()
    }
  }
}
