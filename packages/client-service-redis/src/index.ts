/**
 * @since 0.1.0
 */
export * as Redis from "./Redis.js"

/**
 * @since 0.1.0
 */
export * as RedisConnection from "./RedisConnection.js"

/**
 * @since 0.1.0
 */
export * as RedisEndpoint from "./RedisEndpoint.js"

/**
 * @since 0.1.0
 */
export * as RedisError from "./RedisError.js"
