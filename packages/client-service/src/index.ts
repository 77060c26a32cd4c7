/**
 * @since 0.1.0
 */
export * as ClientService from "./ClientService.js"

/**
 * @since 0.1.0
 */
export * as ClientServiceMap from "./ClientServiceMap.js"

/**
 * @since 0.1.0
 */
export * as ClientServices from "./ClientServices.js"

/**
 * @since 0.1.0
 */
export * as ConnectionError from "./ConnectionError.js"

/**
 * @since 0.1.0
 */
export * as ConnectionState from "./ConnectionState.js"

/**
 * @since 0.1.0
 */
export * as Endpoint from "./Endpoint.js"

/**
 * @since 0.1.0
 */
export * as EndpointRuleBroken from "./EndpointRuleBroken.js"

/**
 * @since 0.1.0
 */
export * as EndpointsFailed from "./EndpointsFailed.js"

/**
 * @since 0.1.0
 */
export * as Exchange from "./Exchange.js"

/**
 * @since 0.1.0
 */
export * as FrameError from "./FrameError.js"

/**
 * @since 0.1.0
 */
export * as Framing from "./Framing.js"

/**
 * @since 0.1.0
 */
export * as Incoming from "./Incoming.js"

/**
 * @since 0.1.0
 */
export * as InvalidOption from "./InvalidOption.js"

/**
 * @since 0.1.0
 */
export * as Race from "./Race.js"

/**
 * @since 0.1.0
 */
export * as RetryPolicy from "./RetryPolicy.js"

/**
 * @since 0.1.0
 */
export * as Telemetry from "./Telemetry.js"

/**
 * @since 0.1.0
 */
export * as TestEndpoint from "./TestEndpoint.js"

/**
 * @since 0.1.0
 */
export * as TestTransport from "./TestTransport.js"

/**
 * @since 0.1.0
 */
export * as Transport from "./Transport.js"

/**
 * @since 0.1.0
 */
export * as Wakeups from "./Wakeups.js"

/**
 * @since 0.1.0
 */
export * as WebSocketError from "./WebSocketError.js"
