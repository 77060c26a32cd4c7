/**
 * A service on the page.
 */
import { lengthOf, type Span } from "./axis.js"
import { type Bar, barsOf, shares } from "./bars.js"
import { type Act, Controls } from "./controls.js"
import { drawBars, type Scene } from "./draw.js"
import { element, say, setAttribute } from "./element.js"
import type { Service } from "./history.js"
import { barText, lengthText, stateDetail, stateName, summary, timeText } from "./words.js"

const facts = {
  connection: ["Connection", "How many connections it has had"],
  attempt: ["Attempt", "The number of the attempt since it was started"],
  failures: ["Failures", "How many attempts have failed, and connections were lost early, in a row"],
  waiters: ["Waiters", "How many wait for a connection, or for the next one"],
  uses: ["Uses", "How many uses of the connection are under way"],
  gaps: ["Gaps", "How many times a stream has begun anew on another connection"]
} as const

type Fact = keyof typeof facts

const factNames = Object.keys(facts) as ReadonlyArray<Fact>

/** Those that are told only if there are any. */
const rare: ReadonlySet<Fact> = new Set(["failures", "gaps"])

/** How many states the table of the past has. */
const most = 30

export class Row {
  readonly root = element("li", { class: "service" })
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
  readonly #cause = element("strong")
  readonly #causeTime = element("span")
  readonly #causeBox = element(
    "div",
    { class: "cause" },
    element("dt", {}, "Last failure"),
    element("dd", {}, this.#cause, " ", this.#causeTime)
  )
  readonly #past = element("div", { class: "past" })
  readonly #pastButton = element("button", { type: "button", "aria-expanded": "false" }, "Past")
  readonly #pastRows = element("tbody")
  readonly #controls: Controls | undefined
  #service: Service
  #bars: ReadonlyArray<Bar> = []
  isInSight = true

  constructor(service: Service, act: Act | undefined) {
    this.#service = service
    this.#controls = act && new Controls(service, act)
    const list = element("dl")
    for (const [name, value] of this.#facts) {
      const [title, help] = facts[name]
      list.append(element("div", { title: help }, element("dt", {}, title), value))
    }
    list.append(this.#causeBox)
    const heads = ["When", "What", "For", "Error"].map((head) => element("th", { scope: "col" }, head))
    this.#past.append(element("table", {}, element("thead", {}, element("tr", {}, ...heads)), this.#pastRows))
    this.#past.hidden = true
    this.#pastButton.addEventListener("click", () => {
      this.#past.hidden = !this.#past.hidden
      setAttribute(this.#pastButton, "aria-expanded", String(!this.#past.hidden))
      this.#tellPast()
    })
    this.root.append(
      element("div", { class: "who" }, element("h2", {}, this.#name), this.#stateLine),
      element("div", { class: "time" }, this.canvas),
      list,
      element("div", { class: "actions" }, ...(this.#controls?.elements ?? []), this.#pastButton),
      this.#past
    )
  }

  get bars(): ReadonlyArray<Bar> {
    return this.#bars
  }

  update(service: Service): void {
    const isOther = service.transitions !== this.#service.transitions || this.#bars.length === 0
    if (isOther) this.#bars = barsOf(service.transitions)
    this.#service = service
    const { gaps, name, uses, waiters } = service
    const { attempt, failures, generation, state } = service.current
    say(this.#name, name)
    say(this.#state, stateName(service))
    setAttribute(this.#stateLine, "data-state", state)
    const values: Record<Fact, number> = { connection: generation, attempt, failures, waiters, uses, gaps }
    for (const [fact, value] of this.#facts) {
      say(value, String(values[fact]))
      if (rare.has(fact)) value.parentElement?.toggleAttribute("hidden", values[fact] === 0)
      value.classList.toggle("zero", values[fact] === 0)
    }
    this.#causeBox.hidden = service.lastFailure === undefined
    if (service.lastFailure !== undefined) say(this.#cause, service.lastFailure.cause)
    setAttribute(this.#pastButton, "aria-label", `Past of ${name}`)
    this.#controls?.update(service)
    if (isOther) this.#tellPast()
  }

  /** Tells what changes by itself as time goes by. */
  tick(now: number): void {
    say(this.#detail, stateDetail(this.#service, now))
    const { lastFailure } = this.#service
    if (lastFailure !== undefined) say(this.#causeTime, `${lengthText(now - lastFailure.at)} ago`)
  }

  draw(scene: Scene): void {
    drawBars(this.canvas, this.#bars, scene)
  }

  /** Tells those who don't see the time line what is on it. */
  describe(span: Span, now: number): void {
    const failures = this.#bars.filter(({ from, kind }) => kind === "failure" && from >= span.from && from <= span.to)
    const told = summary(shares(this.#bars, span.from, Math.min(now, span.to)), failures.length, lengthOf(span))
    setAttribute(this.canvas, "aria-label", told)
  }

  #tellPast(): void {
    if (this.#past.hidden) return
    const rows = this.#bars.slice(-most).reverse()
    this.#pastRows.replaceChildren(
      ...rows.map(({ cause = "", ...bar }) => {
        const [what = ""] = barText({ ...bar, to: bar.to ?? bar.from }, bar.from)
        const length = bar.to === undefined ? "until now" : lengthText(bar.to - bar.from)
        const cells = [timeText(bar.from), bar.kind === "delay" ? "Delay" : what, length, cause]
        return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)))
      })
    )
  }
}
