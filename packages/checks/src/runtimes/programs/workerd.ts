import { Socket } from "@effect/platform"
import { Effect } from "effect"
import { coreAlone } from "./coreAlone.js"
import { worldOf } from "./world.js"

// `workerd test` calls this, and gives it what the configuration binds.
export default {
  test: (_controller: unknown, { CONTROL }: { readonly CONTROL: string }): Promise<void> =>
    Effect.runPromise(
      worldOf(CONTROL).pipe(Effect.flatMap(coreAlone), Effect.provide(Socket.layerWebSocketConstructorGlobal))
    )
}
