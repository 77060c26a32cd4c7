/**
 * @since 0.1.0
 */
export * as Devtools from "./Devtools.js"
