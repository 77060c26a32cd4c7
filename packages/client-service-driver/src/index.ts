/**
 * @since 0.1.0
 */
export * as Address from "./Address.js"

/**
 * @since 0.1.0
 */
export * as OwnConnection from "./OwnConnection.js"

/**
 * @since 0.1.0
 */
export * as Validate from "./Validate.js"
