// What `npm start` runs: the command of effect-client-service-cli, which shows a tour unless it is told where to connect to.
import { Keepalive } from "effect-client-service-cli"

const args = process.argv.slice(2)

Keepalive.run(args.length === 0 ? ["--tour"] : args)
