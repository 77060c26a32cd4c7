/**
 * @since 0.1.0
 */
export * as Address from "./Address.js"

/**
 * @since 0.1.0
 */
export * as Credential from "./Credential.js"

/**
 * @since 0.1.0
 */
export * as Delays from "./Delays.js"

/**
 * @since 0.1.0
 */
export * as DriverError from "./DriverError.js"

/**
 * @since 0.1.0
 */
export * as DriverLayer from "./DriverLayer.js"

/**
 * @since 0.1.0
 */
export * as Gaps from "./Gaps.js"

/**
 * @since 0.1.0
 */
export * as OwnConnection from "./OwnConnection.js"

/**
 * @since 0.1.0
 */
export * as Places from "./Places.js"

/**
 * @since 0.1.0
 */
export * as Refusal from "./Refusal.js"

/**
 * @since 0.1.0
 */
export * as ServerUrl from "./ServerUrl.js"

/**
 * @since 0.1.0
 */
export * as Validate from "./Validate.js"
