import { Duration } from "effect"
import { InvalidOption } from "effect-client-service"
import { Validate } from "effect-client-service-driver"

const messageOf = (validate: () => unknown): string => {
  try {
    return `took ${String(validate())}`
  } catch (error) {
    return error instanceof InvalidOption.InvalidOption ? error.message : `threw ${String(error)}`
  }
}

const refusal = messageOf(() => Validate.integer("Bus.connect", "port", 70_000, 1, 65_535))
if (refusal !== "Bus.connect: port must be an integer from 1 to 65535, got 70000") throw new Error(refusal)
const interval: Duration.Duration = Validate.positiveDuration("Bus.connect", "interval", "2 seconds")
if (Duration.toMillis(interval) !== 2_000) throw new Error(String(interval))
