/**
 * When a process on Node.js has reason to doubt that a peer is still there, for `ClientService.checkOn`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Wakeups from "effect-client-service/Wakeups"

/**
 * The process goes on, after it was stopped as by `kill -STOP` or Ctrl+Z: the signal SIGCONT, which systems other than Windows
 * have.
 *
 * @since 0.1.0
 * @category streams
 */
export const continued: Stream.Stream<Wakeups.Wakeup> = /* @__PURE__ */ Stream.asyncPush<Wakeups.Wakeup>(
  (emit) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const listener = () => {
          emit.single("Continued")
        }
        process.on("SIGCONT", listener)
        return listener
      }),
      (listener) => Effect.sync(() => process.off("SIGCONT", listener))
    ),
  { bufferSize: 1, strategy: "sliding" }
)

/**
 * SIGCONT, and the jumps of the clock, as after the sleep of a laptop or the freezing of a function.
 *
 * @since 0.1.0
 * @category streams
 */
export const any: Stream.Stream<Wakeups.Wakeup> = /* @__PURE__ */ Stream.suspend(() =>
  Stream.merge(continued, Wakeups.clockJumps())
)
