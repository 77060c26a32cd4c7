import { isFatal, type Reason, type RedisError } from "../RedisError.js"

/** Whether a stream that has failed by it would do so again: a server that can't do it now is asked again. */
export const isLasting = (error: RedisError): boolean => isFatal(error) || lasting.includes(error.reason)

const lasting: ReadonlyArray<Reason> = ["Command", "Session", "Invalid", "Other"]
