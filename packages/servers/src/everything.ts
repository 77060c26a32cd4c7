/**
 * All programs that tests run, in one go: one after the other, they would take longer, and the time of the tests.
 */
import * as chromium from "./chromium.js"
import * as debian from "./debian.js"
import * as mosquitto from "./mosquitto.js"
import * as nats from "./nats.js"
import * as pgbouncer from "./pgbouncer.js"
import * as postgres from "./postgres.js"
import * as prometheus from "./prometheus.js"
import * as rabbitmq from "./rabbitmq.js"
import * as redis from "./redis.js"

const all = [
  chromium.wanted,
  mosquitto.wanted,
  nats.wanted,
  pgbouncer.wanted,
  postgres.wanted,
  prometheus.wanted,
  rabbitmq.wanted,
  redis.wanted
]

export const install = (): Promise<debian.Installed<string>> =>
  debian.install({
    packages: all.flatMap(({ packages }) => packages),
    executables: all.flatMap(({ executables }): ReadonlyArray<string> => executables),
    directories: all.flatMap(({ directories = [] }) => directories)
  })
