/** What the process exits with, besides 128 and the number of a signal. */
export const exitCodes = {
  done: 0,
  gaveUp: 1,
  couldNotBegin: 2
} as const
