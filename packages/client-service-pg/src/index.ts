/**
 * @since 0.1.0
 */
export * as PgConnection from "./PgConnection.js"

/**
 * @since 0.1.0
 */
export * as PgEndpoint from "./PgEndpoint.js"

/**
 * @since 0.1.0
 */
export * as PgError from "./PgError.js"

/**
 * @since 0.1.0
 */
export * as PgEvent from "./PgEvent.js"

/**
 * @since 0.1.0
 */
export * as PgService from "./PgService.js"
