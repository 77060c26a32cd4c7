/**
 * An HTTP server in front of a backend, which answers all that it has accepted when it is told to stop.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Layer } from "effect"
import { BackendLive, HttpLive, ServerLive } from "./support/httpApp.js"

// #region readme
// What is provided last is built first and released last: when the connection is closed, the server has answered all.
const MainLive = HttpLive.pipe(Layer.provide(ServerLive), Layer.provide(BackendLive))

NodeRuntime.runMain(Layer.launch(MainLive))
// #endregion
