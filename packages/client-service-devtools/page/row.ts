/**
 * A service on the page.
 */
import type { Action } from "../src/internal/model.js"
import { lengthOf, type Span, type Tick } from "./axis.js"
import { type Bar, barsOf, shares } from "./bars.js"
import { type Colour, drawBars } from "./draw.js"
import { element, say, setAttribute } from "./element.js"
import type { Service } from "./history.js"
import { barText, lengthText, stateDetail, stateName, summary } from "./words.js"

/** Has a service do something, and tells what came of it. */
export type Act = (service: Service, action: Action) => Promise<string>

const facts = {
  connection: ["Connection", "How many connections it has had"],
  attempt: ["Attempt", "The number of the attempt since it was started"],
  failures: ["Failures in a row", "Attempts that failed, and connections lost early, since the last that was stable"],
  waiters: ["Waiting", "How many wait for a connection, or for the next one"],
  uses: ["In use by", "How many uses of the connection are under way"],
  gaps: ["Gaps", "How many times a stream has begun anew on another connection"]
} as const

type Fact = keyof typeof facts

const factNames = Object.keys(facts) as ReadonlyArray<Fact>

/** How many states the table of the last ones has. */
const most = 30

export class Row {
  readonly root: HTMLLIElement
  readonly canvas = element("canvas", { role: "img" })
  readonly #name = element("bdi")
  readonly #state = element("strong")
  readonly #detail = element("span")
  readonly #stateLine = element(
    "p",
    { class: "state" },
    element("span", { class: "mark", "aria-hidden": "true" }),
    this.#state,
    this.#detail
  )
  readonly #facts = new Map(factNames.map((name) => [name, element("dd")]))
  readonly #cause = element("dd")
  readonly #causeBox = element("div", { class: "cause" }, element("dt", {}, "Last failure"), this.#cause)
  readonly #past = element("details", { class: "past" }, element("summary", {}, "Past states"))
  readonly #rows = element("tbody")
  readonly #controls: Controls | undefined
  #service: Service
  #bars: ReadonlyArray<Bar> = []
  isInSight = true

  constructor(service: Service, act: Act | undefined) {
    this.#service = service
    const list = element("dl")
    for (const [name, value] of this.#facts) {
      const [title, help] = facts[name]
      list.append(element("div", { title: help }, element("dt", {}, title), value))
    }
    list.append(this.#causeBox)
    this.#controls = act && new Controls(() => this.#service, act)
    const heads = ["When", "What", "For", "Error"].map((head) => element("th", { scope: "col" }, head))
    this.#past.append(element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.#rows))
    this.#past.addEventListener("toggle", () => this.#tellPast())
    this.root = element(
      "li",
      { class: "service" },
      element("div", { class: "who" }, element("h2", {}, this.#name), this.#stateLine),
      element("div", { class: "time" }, this.canvas),
      element("div", { class: "facts" }, list, ...(this.#controls ? [this.#controls.root] : [])),
      this.#past
    )
  }

  get service(): Service {
    return this.#service
  }

  get bars(): ReadonlyArray<Bar> {
    return this.#bars
  }

  update(service: Service): void {
    if (service.transitions !== this.#service.transitions || this.#bars.length === 0) {
      this.#bars = barsOf(service.transitions)
    }
    this.#service = service
    const { attempt, failures, generation, state } = service.current
    const { gaps, uses, waiters } = service
    const values: Record<Fact, number> = { connection: generation, attempt, failures, waiters, uses, gaps }
    for (const [name, value] of this.#facts) {
      say(value, String(values[name]))
      value.parentElement?.classList.toggle("zero", values[name] === 0)
    }
    this.#causeBox.hidden = service.lastFailure === undefined
    say(this.#name, service.name)
    say(this.#state, stateName(service))
    setAttribute(this.#stateLine, "data-state", state)
    this.#controls?.update(service)
    this.#tellPast()
  }

  /** Tells what changes by itself as time goes by. */
  tick(now: number): void {
    say(this.#detail, stateDetail(this.#service, now))
    const { lastFailure } = this.#service
    if (lastFailure === undefined) return
    const [cause = element("strong"), when = element("span")] = this.#cause.children
    if (!this.#cause.hasChildNodes()) this.#cause.append(cause, " ", when)
    say(cause, lastFailure.cause)
    say(when, `${lengthText(now - lastFailure.at)} ago`)
  }

  draw(span: Span, now: number, ticks: ReadonlyArray<Tick>, colour: Colour): void {
    drawBars(this.canvas, this.#bars, span, now, ticks, colour)
  }

  /** For those who don't see the time line. */
  describe(span: Span, now: number): void {
    const failures = this.#bars.filter(({ from, kind }) => kind === "failure" && from >= span.from && from <= span.to)
    const told = summary(shares(this.#bars, span.from, Math.min(now, span.to)), failures.length, lengthOf(span))
    setAttribute(this.canvas, "aria-label", told)
  }

  #tellPast(): void {
    if (!this.#past.open) return
    const rows = this.#bars.slice(-most).reverse()
    this.#rows.replaceChildren(
      ...rows.map((bar) => {
        const [what = ""] = barText({ ...bar, to: bar.to ?? bar.from }, bar.from)
        const title = bar.kind === "delay" ? "Delay" : what
        const length = bar.to === undefined ? "until now" : lengthText(bar.to - bar.from)
        const cells = [new Date(bar.from).toLocaleTimeString(), title, length, bar.cause ?? ""]
        return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)))
      })
    )
  }
}

/** How long somebody is asked whether they are sure, and an answer is shown, in milliseconds. */
const [askingTime, showingTime] = [4000, 6000]

class Controls {
  readonly root = element("div", { class: "actions" })
  readonly #service: () => Service
  readonly #act: Act
  readonly #answer = element("output")
  readonly #check = element("button", { type: "button" }, "Check")
  readonly #reconnect = element("button", { type: "button" }, "Reconnect")
  readonly #power = element("button", { type: "button" }, "Stop")
  #isAsking = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(service: () => Service, act: Act) {
    this.#service = service
    this.#act = act
    this.root.append(this.#answer, this.#check, this.#reconnect, this.#power)
    this.#check.addEventListener("click", () => this.#do("check"))
    this.#reconnect.addEventListener("click", () => this.#do("reconnect"))
    this.#power.addEventListener("click", () => {
      if (!isRunning(this.#service())) this.#do("start")
      else if (this.#isAsking) this.#do("stop")
      else this.#ask(true)
    })
  }

  update(service: Service): void {
    const { state } = service.current
    this.#check.hidden = !service.canCheck
    this.#check.disabled = state !== "Connected"
    this.#reconnect.disabled = !["Connecting", "Connected", "Waiting", "Exhausted"].includes(state)
    const verb = isRunning(service) ? (this.#isAsking ? "Really stop?" : "Stop") : "Start"
    say(this.#power, verb)
    this.#power.classList.toggle("sure", this.#isAsking)
    const names = [
      [this.#check, "Check"],
      [this.#reconnect, "Reconnect"],
      [this.#power, verb]
    ] as const
    for (const [button, what] of names) setAttribute(button, "aria-label", `${what} ${service.name}`)
  }

  #ask(isAsking: boolean): void {
    this.#isAsking = isAsking
    this.update(this.#service())
    if (isAsking) setTimeout(() => this.#ask(false), askingTime)
  }

  async #do(action: Action): Promise<void> {
    this.#ask(false)
    say(this.#answer, "…")
    say(this.#answer, await this.#act(this.#service(), action))
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => say(this.#answer, ""), showingTime)
  }
}

const isRunning = ({ current: { state } }: Service): boolean =>
  ["Connecting", "Connected", "Waiting", "Restarting"].includes(state)
