/**
 * The buttons of a service.
 */
import type { Action } from "../src/internal/model.js"
import { element, say, setAttribute } from "./element.js"
import type { Service } from "./history.js"

/** Has a service do something, and tells what came of it. */
export type Act = (service: Service, action: Action) => Promise<string>

/** How long somebody is asked whether they are sure, and an answer is shown, in milliseconds. */
const [askingTime, showingTime] = [4000, 6000]

export class Controls {
  readonly elements: ReadonlyArray<HTMLElement>
  readonly #act: Act
  readonly #answer = element("output")
  readonly #check = element("button", { type: "button" }, "Check")
  readonly #reconnect = element("button", { type: "button" }, "Reconnect")
  readonly #power = element("button", { type: "button" }, "Stop")
  #service: Service
  #isAsking = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(service: Service, act: Act) {
    this.#service = service
    this.#act = act
    this.elements = [this.#answer, this.#check, this.#reconnect, this.#power]
    this.#check.addEventListener("click", () => this.#do("check"))
    this.#reconnect.addEventListener("click", () => this.#do("reconnect"))
    this.#power.addEventListener("click", () => {
      if (!isRunning(this.#service)) this.#do("start")
      else if (this.#isAsking) this.#do("stop")
      else this.#ask(true)
    })
  }

  update(service: Service): void {
    this.#service = service
    const { state } = service.current
    this.#check.hidden = !service.canCheck
    this.#check.disabled = state !== "Connected"
    this.#reconnect.disabled = !["Connecting", "Connected", "Waiting", "Exhausted"].includes(state)
    const verb = isRunning(service) ? (this.#isAsking ? "Really stop?" : "Stop") : "Start"
    say(this.#power, verb)
    this.#power.classList.toggle("sure", this.#isAsking)
    for (const button of [this.#check, this.#reconnect, this.#power]) {
      setAttribute(button, "aria-label", `${button.textContent} ${service.name}`)
    }
  }

  // It takes two presses to stop a service.
  #ask(isAsking: boolean): void {
    clearTimeout(this.#timer)
    this.#isAsking = isAsking
    this.update(this.#service)
    if (isAsking) this.#timer = setTimeout(() => this.#ask(false), askingTime)
  }

  async #do(action: Action): Promise<void> {
    this.#ask(false)
    say(this.#answer, "…")
    say(this.#answer, await this.#act(this.#service, action))
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => say(this.#answer, ""), showingTime)
  }
}

const isRunning = ({ current: { state } }: Service): boolean =>
  ["Connecting", "Connected", "Waiting", "Restarting"].includes(state)
