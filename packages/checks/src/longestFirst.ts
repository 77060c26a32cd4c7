import { statSync } from "node:fs"

interface Specification {
  readonly moduleId: string
}

/**
 * Has Vitest begin with the files of tests that take longest, so that none of them is left alone at the end. Vitest knows how
 * long they take where it has run them before, and otherwise takes the larger for the longer, which these are not.
 */
export class LongestFirst {
  shard(files: Array<Specification>): Array<Specification> {
    return files
  }

  sort(files: Array<Specification>): Array<Specification> {
    return files
      .map((file) => ({ file, weight: weightOf(file) }))
      .sort((one, other) => other.weight - one.weight)
      .map(({ file }) => file)
  }
}

/** Small files that take long, the longest first. */
const long = [
  "client-service-redis/test/sentinel.test.ts",
  "client-service-amqp/test/Amqp.test.ts",
  "client-service-amqp/test/refusals.test.ts",
  "client-service-amqp/test/calls.test.ts",
  "client-service-rpc/test/process.test.ts",
  "client-service/test/betweenSteps.test.ts",
  "client-service-pg/test/PgService.test.ts",
  "client-service/test/schedules/schedules.test.ts",
  "client-service-redis/test/sharing.test.ts",
  "client-service-pg/test/session.test.ts",
  "client-service-amqp/test/consumers.test.ts",
  "client-service-node/test/kinds/childProcess.test.ts",
  "client-service-pg/test/turns.test.ts",
  "client-service-amqp/test/sharing.test.ts",
  "examples/test/servers.test.ts",
  "examples/test/programs.test.ts",
  "client-service/test/properties/invariants.test.ts",
  "client-service/test/failures/leaks.test.ts"
]

const weightOf = ({ moduleId }: Specification): number => {
  const index = long.findIndex((name) => moduleId.endsWith(name))
  return index < 0 ? statSync(moduleId).size : Number.MAX_SAFE_INTEGER - index
}
