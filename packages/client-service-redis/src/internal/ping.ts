import { ErrorReply, type RedisClientType } from "@redis/client"

/**
 * Has a server answer whether it is there. Any answer says that it is, also that it does not answer to this user, but one
 * that says that it can be used for nothing yet.
 */
export const ping = async (client: RedisClientType, notReady: RegExp): Promise<void> => {
  try {
    await client.ping()
  } catch (error) {
    if (!(error instanceof ErrorReply) || notReady.test(error.message)) throw error
  }
}

/** It loads its data, is out of touch with its primary, or runs a script. */
export const notReady = /^(LOADING|MASTERDOWN|BUSY) /

/** A script that it runs ends, or is ended by a command that this connection sends. */
export const notReadyAnyLonger = /^(LOADING|MASTERDOWN) /
