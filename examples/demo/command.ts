/**
 * The command line.
 */
import { Args, Command, HelpDoc, Options, ValidationError } from "@effect/cli"
import { Duration, Effect, Option } from "effect"
import * as Address from "./address.js"

export const url = Args.text({ name: "url" }).pipe(
  Args.withDescription("tcp://host:port, tls://host:port or unix:///path; without it, the demo runs"),
  Args.mapEffect((text) => Effect.mapError(Address.parse(text), ({ message }) => HelpDoc.p(message))),
  Args.optional
)

const option = <A>(name: string, value: string, expected: string, parse: (text: string) => Option.Option<A>) =>
  Options.text(name).pipe(
    Options.withPseudoName(value),
    Options.mapEffect((text) => Effect.orElse(parse(text), () => usageError(`--${name} takes ${expected}`)))
  )

const retryMax = option("retry-max", "duration", "a duration, such as 500ms, 5s or 2m", (text) =>
  durationOf(text)
).pipe(
  Options.withDescription("with a URL: the longest delay between two attempts, such as 500ms, 5s or 2m; default 30s"),
  Options.optional
)

const failAfter = option("fail-after", "count", "an integer of at least 1", (text) =>
  Option.filter(numberOf(text), (n) => Number.isInteger(n) && n >= 1)
).pipe(
  Options.withDescription(
    "with a URL: gives up, and exits with 1, after this many failures in a row. An attempt that fails is one, and so is " +
      "a connection that is lost within 5 seconds; default: never gives up"
  ),
  Options.optional
)

const speed = option("speed", "factor", "a number from 0.1 to 100", (text) =>
  Option.filter(numberOf(text), (n) => n >= 0.1 && n <= 100)
).pipe(Options.withDescription("without a URL: runs the demo so many times faster; default 1"), Options.optional)

/** What it does with a URL, and without one, is the caller's. */
export const command = Command.make("demo", { url, retryMax, failAfter, speed }).pipe(
  Command.withDescription(
    HelpDoc.blocks([
      HelpDoc.p(
        "Without a URL, shows for about 20 seconds how a ClientService keeps a connection to a server that misbehaves."
      ),
      HelpDoc.p(
        "With a URL, is a netcat that reconnects: standard input goes to the connection, what it receives to standard " +
          "output, and what happens to the connection to standard error. While there is no connection, it reads no input. " +
          "Lines that were on their way when a connection was lost are sent again on the next. At the end of the " +
          "input it says so to the peer, and exits when the peer has closed the connection."
      ),
      HelpDoc.p(
        "Ctrl-C (SIGINT) closes the connection and exits with 130, SIGTERM with 143; the second one exits at once. It " +
          "exits with 0 when all is done or nobody reads its output, with 1 when it gives up, and with 2 when it does not " +
          "understand its arguments."
      )
    ])
  )
)

export const usageError = (message: string): Effect.Effect<never, ValidationError.ValidationError> =>
  Effect.fail(ValidationError.invalidValue(HelpDoc.p(message)))

const numberOf = (text: string): Option.Option<number> =>
  /^\d+(\.\d+)?$/.test(text) ? Option.some(Number(text)) : Option.none()

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

const durationOf = (text: string): Option.Option<Duration.Duration> => {
  const [, amount = "", unit = ""] = /^([\d.]+)\s*(ms|s|m|h)$/.exec(text) ?? []
  return Option.flatMap(numberOf(amount), (n) =>
    Option.map(Option.fromNullable(units[unit]), (millis) => Duration.millis(n * millis))
  )
}
