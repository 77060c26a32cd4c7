/**
 * @since 0.1.0
 */
export * as Amqp from "./Amqp.js"

/**
 * @since 0.1.0
 */
export * as AmqpConnection from "./AmqpConnection.js"

/**
 * @since 0.1.0
 */
export * as AmqpEndpoint from "./AmqpEndpoint.js"

/**
 * @since 0.1.0
 */
export * as AmqpError from "./AmqpError.js"

/**
 * @since 0.1.0
 */
export * as AmqpMessage from "./AmqpMessage.js"
