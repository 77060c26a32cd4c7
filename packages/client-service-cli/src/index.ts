/**
 * @since 0.1.0
 */
export * as Keepalive from "./Keepalive.js"
