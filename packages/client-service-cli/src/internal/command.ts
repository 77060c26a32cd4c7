/**
 * The command line.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Address from "./address.js"
import { parseDuration } from "./durations.js"
import { type Header, parseHeader } from "./headers.js"

const address = Args.text({ name: "address" }).pipe(
  Args.withDescription(
    `where to connect to: ${Address.forms}. The command of an exec address is started for each connection, without a ` +
      "shell, and connected to by its standard input and output"
  ),
  Args.mapEffect((text) =>
    text.startsWith("-")
      ? Effect.fail(HelpDoc.p(unusable(text)))
      : Effect.mapError(Address.parse(text), ({ message }) => HelpDoc.p(message))
  ),
  Args.optional
)

/** An option that may be left out. */
const option = <A>(
  name: string,
  value: string,
  expected: string,
  parse: (text: string) => Option.Option<A>,
  description: string
) =>
  Options.text(name).pipe(
    Options.withPseudoName(value),
    Options.withDescription(description),
    Options.mapEffect((text) =>
      Effect.orElse(parse(text), () => usageError(`--${name} takes ${expected}, not ${shown(text)}`))
    ),
    Options.optional
  )

const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text)

const text = (name: string, value: string, description: string) =>
  option(
    name,
    value,
    "a text that is not empty",
    (text) => Option.liftPredicate(text, (text) => text !== ""),
    description
  )

const duration = (name: string, description: string) =>
  option(name, "duration", "a duration of more than 0, such as 500ms, 5s or 2m", positiveDuration, description)

const positiveDuration = (text: string) =>
  Option.filter(parseDuration(text), (duration) => Duration.isFinite(duration) && Duration.greaterThan(duration, 0))

const count = (name: string, description: string) =>
  option(
    name,
    "count",
    "an integer of at least 1",
    (text) => Option.filter(numberOf(text), (n) => Number.isInteger(n) && n >= 1),
    description
  )

const port = (name: string, description: string) =>
  option(name, "[host:]port", "a port, or a host and a port: 8080, 0.0.0.0:8080 or [::]:8080", hostAndPort, description)

const hostAndPort = (text: string) =>
  /^\d+$/.test(text) ? Address.splitHost(`127.0.0.1:${text}`) : Address.splitHost(text)

const headerOrFile = (text: string): Option.Option<Header | { readonly file: string }> =>
  text.startsWith("@") && text.length > 1 ? Option.some({ file: text.slice(1) }) : parseHeader(text)

const options = {
  listen: port(
    "listen",
    "instead of standard input and output: listens there, on 127.0.0.1 if there is no host, and gives each client a " +
      "connection of its own. A port of 0 is one of the system's choice"
  ),
  maxWait: duration(
    "max-wait",
    "with --listen: how long a client waits for its connection, before it is closed; default 30s"
  ),
  halfOpen: duration(
    "half-open",
    "with --listen: how long a client whose server has ended may send nothing, before it is closed; default 30s"
  ),
  exec: text(
    "exec",
    "command",
    "instead of standard input and output: runs a command by sh at each connection, with the connection as its standard " +
      "input and output. KEEPALIVE_SERVICE, KEEPALIVE_ADDRESS and KEEPALIVE_GENERATION tell it which. It is ended, and all " +
      "that it has started, when the connection is lost. If it ends by itself, with 0 all is done, and with anything else " +
      "there is another attempt"
  ),
  noInput: Options.boolean("no-input").pipe(
    Options.withAlias("n"),
    Options.withDescription("reads no standard input, and keeps the connection until it is told to end")
  ),
  binary: Options.boolean("binary").pipe(
    Options.withDescription(
      "with ws: and wss: sends and receives bytes as they are; otherwise each line is a message of text, except with --listen"
    )
  ),
  json: Options.boolean("json").pipe(
    Options.withDescription("tells on standard error what happens as JSON, an object a line, instead of as text")
  ),
  page: port(
    "page",
    "shows in the browser what happens, live, at this port, on 127.0.0.1 if there is no host; and answers health checks at " +
      "/health/live, /health/ready and /health/started. A port of 0 is one of the system's choice"
  ),
  pageActions: Options.boolean("page-actions").pipe(
    Options.withDescription(
      "with --page: the page has buttons to reconnect, stop and start, for whoever reaches the port"
    )
  ),
  name: text("name", "text", "what the connection is called in what is told; default: its address"),
  initialDelay: duration("initial-delay", "the longest delay after the first failure; default 500ms"),
  maxDelay: duration(
    "max-delay",
    "the longest delay between two attempts; default 30s. Each delay is drawn at random, up to a bound that doubles"
  ),
  giveUpAfter: count(
    "give-up-after",
    "gives up, and exits with 1, after this many failures in a row; with --listen, gives up on the client. An attempt that " +
      "fails is one, and so is a connection that is lost before --reset-after; default: never gives up"
  ),
  resetAfter: duration(
    "reset-after",
    "how long a connection must be up for the failures to be counted afresh; default 5s"
  ),
  connectTimeout: duration("connect-timeout", "how long an attempt may take; default 30s"),
  idleTimeout: duration(
    "idle-timeout",
    "with tcp:, tls: and unix: takes the connection for lost when nothing has come for so long; default: never"
  ),
  pingInterval: duration(
    "ping-interval",
    "with ws: and wss: sends a ping so often, and takes the connection for lost if there is no answer within 10s; default: never"
  ),
  maxAge: duration("max-age", "replaces the connection when it is so old; default: never"),
  ca: text("ca", "file", "with tls: and wss: the certificates to trust instead of the well-known ones, in PEM"),
  cert: text("cert", "file", "with tls: and wss: the certificate to show, in PEM"),
  key: text("key", "file", "with tls: and wss: the private key of --cert, in PEM"),
  servername: text(
    "servername",
    "name",
    "with tls: and wss: the name to ask for, and to check the certificate against; default: the host"
  ),
  insecure: Options.boolean("insecure").pipe(
    Options.withDescription(
      "with tls: and wss: takes any certificate, so that whoever is on the way can read and change what is sent"
    )
  ),
  header: Options.text("header").pipe(
    Options.withPseudoName("header"),
    Options.withDescription(
      "with ws: and wss: a header to send, or @file with one header a line, which is read at every attempt; may be repeated. " +
        "What is on the command line can be seen by other users of the machine, what is in a file cannot"
    ),
    Options.repeated,
    Options.mapEffect((texts) =>
      // What it is instead is not told: it may hold a secret.
      Effect.orElse(Option.all(texts.map(headerOrFile)), () =>
        usageError('--header takes a header, as in "name: value", or @file')
      )
    )
  ),
  tour: Options.boolean("tour").pipe(
    Options.withDescription(
      "without an address: shows in 20 seconds how a connection to a server that misbehaves is kept alive"
    )
  ),
  speed: option(
    "speed",
    "factor",
    "a number from 0.1 to 100",
    (text) => Option.filter(numberOf(text), (n) => n >= 0.1 && n <= 100),
    "with --tour: so many times faster; default 1"
  )
}

const flags = { address, ...options }

export type Flags = Command.Command.ParseConfig<typeof flags>

/** What it does is the caller's. */
export const command = Command.make("keepalive", flags).pipe(
  Command.withDescription(
    HelpDoc.blocks([
      HelpDoc.p("Keeps one connection alive: connects, notices when it is lost, waits, and connects again."),
      HelpDoc.p(
        "It is a netcat that reconnects: standard input goes to the connection, what that receives to standard output, and " +
          "what happens to it to standard error. While there is no connection, it reads no input. Lines that were on " +
          "their way when a connection was lost are sent again on the next. At the end of the input it says so to the " +
          "peer, and exits when the peer has closed the connection."
      ),
      HelpDoc.p(
        "Exit codes: 0 when all is done: the input, the command of --exec, or whoever read its output. 1 when it gives up, or " +
          "its output cannot be written. 2 when it cannot begin: an argument is wrong, or a file or a port that it names cannot be had. 129, 130 or 143 " +
          "after SIGHUP, Ctrl-C (SIGINT) or SIGTERM, at which it closes the connection first; the second one ends it at once."
      ),
      HelpDoc.p(
        "The version is told by --version, and completions for bash, zsh, fish or sh are printed by --completions bash, and so on."
      )
    ])
  )
)

/**
 * What is wrong with an argument that begins as an option does and that the parser has not taken. Of its value nothing is told,
 * nor of what only looks like an option: either may be a secret, such as a part of a header without its quotes.
 */
export const unusable = (argument: string): string => {
  const [option = ""] = argument.split(/[=\s]/, 1)
  if (isOption(option)) return `${option} is given twice, or lacks a value that it takes`
  return looksLikeOption(option)
    ? `there is no option ${option}`
    : "there is no such option, or an argument with spaces lacks its quotes"
}

export const isOption = (option: string): boolean => names.has(option)

export const looksLikeOption = (text: string): boolean => /^(--[a-z][a-z-]*|-[a-z])$/.test(text)

const names = new Set([
  ...Object.values(options).flatMap((option) => Option.toArray(Options.getIdentifier<unknown>(option))),
  // The alias, and what the parser has by itself, which it tells nobody.
  "-n",
  "--completions",
  "--log-level"
])

export const usageError = (message: string): Effect.Effect<never, ValidationError.ValidationError> =>
  Effect.fail(ValidationError.invalidValue(HelpDoc.p(message)))

const numberOf = (text: string): Option.Option<number> =>
  /^\d+(\.\d+)?$/.test(text) ? Option.some(Number(text)) : Option.none()
