/** Makes an error without a stack, for one that comes about in some event listener: it tells nothing there, and costs much. */
export const withoutStack = <A extends Error>(make: () => A): A => {
  const errors: Omit<ErrorConstructor, "stackTraceLimit"> & { stackTraceLimit?: number } = Error
  const limit = errors.stackTraceLimit
  errors.stackTraceLimit = 0
  try {
    return make()
  } finally {
    if (limit === undefined) delete errors.stackTraceLimit
    else errors.stackTraceLimit = limit
  }
}
