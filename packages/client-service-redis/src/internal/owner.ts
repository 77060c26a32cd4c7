import type { RedisClientType } from "@redis/client"

/** The methods of a client that several callers share which are for its owner alone. */
export type Owner = Pick<
  RedisClientType,
  | "sendCommand"
  | "_executePipeline"
  | "subscribe"
  | "unsubscribe"
  | "pSubscribe"
  | "pUnsubscribe"
  | "sSubscribe"
  | "sUnsubscribe"
>
