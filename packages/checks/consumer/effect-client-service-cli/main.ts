import { Keepalive } from "effect-client-service-cli"

// It ends the process, with 0 only if all goes well.
Keepalive.run(["--give-up-after", "1", "--exec", "true", "exec:cat"])
