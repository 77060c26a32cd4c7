/**
 * @since 0.1.0
 */
export * as RpcConnection from "./RpcConnection.js"

/**
 * @since 0.1.0
 */
export * as RpcConnectionError from "./RpcConnectionError.js"
