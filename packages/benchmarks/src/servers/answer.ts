/** Answers the parent process, which measures. */
export const answer = (value: number): void => {
  process.send?.(value)
}

// A parent that is gone, however it went, needs no server.
process.on("disconnect", () => process.exit())
