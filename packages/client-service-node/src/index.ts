/**
 * @since 0.1.0
 */
export * as ChildProcessEndpoint from "./ChildProcessEndpoint.js"

/**
 * @since 0.1.0
 */
export * as ChildProcessError from "./ChildProcessError.js"

/**
 * @since 0.1.0
 */
export * as ConnectError from "./ConnectError.js"

/**
 * @since 0.1.0
 */
export * as FaultProxy from "./FaultProxy.js"

/**
 * @since 0.1.0
 */
export * as NodeEndpoint from "./NodeEndpoint.js"

/**
 * @since 0.1.0
 */
export * as NodeWakeups from "./NodeWakeups.js"

/**
 * @since 0.1.0
 */
export * as TlsFiles from "./TlsFiles.js"

/**
 * @since 0.1.0
 */
export * as TlsFilesError from "./TlsFilesError.js"
