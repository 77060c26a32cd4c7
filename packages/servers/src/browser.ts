/**
 * A browser without a window, which does what it is told by the protocol of its developer tools.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable, Writable } from "node:stream"
import { Effect, type Scope } from "effect"
import { flags } from "./chromium.js"

export interface View {
  readonly width: number
  readonly height: number
  readonly scheme: "dark" | "light"
  readonly scale?: number
}

export interface Browser {
  /** Opens a page in a tab of its own. */
  readonly open: (url: string, view: View) => Effect.Effect<Tab>
}

export interface Tab {
  readonly look: (view: View) => Effect.Effect<void>
  /** What an expression of JavaScript gives in the page. */
  readonly evaluate: (expression: string) => Effect.Effect<unknown>
  /** Waits until an expression is true. */
  readonly until: (expression: string) => Effect.Effect<void>
  /** A PNG of what is in sight. */
  readonly screenshot: Effect.Effect<Buffer>
  readonly close: Effect.Effect<void>
  /** What the console of the page has been told of errors, and of what the page must not do. */
  readonly complaints: () => ReadonlyArray<string>
}

/** Starts a browser, which ends with the Scope. */
export const start = (executable: string): Effect.Effect<Browser, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Process(executable)),
      (browser) => Effect.promise(() => browser.end())
    ),
    (browser) => ({ open: (url, view) => Effect.promise(() => openTab(browser, url, view)) })
  )

type Message = Readonly<Record<string, unknown>>

class Process {
  readonly #profile = mkdtempSync(join(tmpdir(), "chromium-"))
  readonly #child
  readonly #pending = new Map<number, { resolve: (result: Message) => void; reject: (error: Error) => void }>()
  readonly #listeners = new Map<string, (method: string, params: Message) => void>()
  readonly #ended: Promise<void>
  #last = 0
  #said = ""

  constructor(executable: string) {
    // A group of its own, so that all of its processes can be ended.
    this.#child = spawn(executable, [...flags, ...shown, `--user-data-dir=${this.#profile}`], {
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"]
    })
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()))
    this.#child.on("error", (error) => this.#fail(error.message))
    this.#child.on("close", (code, signal) => this.#fail(`ended with ${code ?? signal}: ${this.#said}`))
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#said += chunk.toString()
    })
    let rest = ""
    const output = this.#child.stdio[4] as Readable
    output.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\0")
      rest = parts.pop() ?? ""
      for (const part of parts) this.#receive(JSON.parse(part))
    })
    // The test may be ended before its Scope is closed.
    process.once("exit", this.#kill)
  }

  ask(method: string, params: Message = {}, sessionId?: string): Promise<Message> {
    const id = ++this.#last
    const input = this.#child.stdio[3] as Writable
    input.write(`${JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) })}\0`)
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }))
  }

  listen(sessionId: string, listener: (method: string, params: Message) => void): void {
    this.#listeners.set(sessionId, listener)
  }

  async end(): Promise<void> {
    process.off("exit", this.#kill)
    this.#kill()
    await this.#ended
    this.#kill()
  }

  readonly #kill = () => {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL")
    } catch {
      // It has ended already.
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  #receive({ error, id, method, params, result, sessionId }: Message): void {
    if (typeof id === "number") {
      const pending = this.#pending.get(id)
      this.#pending.delete(id)
      if (error === undefined) pending?.resolve(result as Message)
      else pending?.reject(new Error(JSON.stringify(error)))
    } else this.#listeners.get(String(sessionId))?.(String(method), params as Message)
  }

  #fail(how: string): void {
    for (const { reject } of this.#pending.values()) reject(new Error(`Chromium ${how}`))
    this.#pending.clear()
  }
}

const openTab = async (browser: Process, url: string, view: View): Promise<Tab> => {
  const { targetId } = await browser.ask("Target.createTarget", { url: "about:blank" })
  const { sessionId } = await browser.ask("Target.attachToTarget", { targetId, flatten: true })
  const session = String(sessionId)
  const ask = (method: string, params: Message = {}) => browser.ask(method, params, session)
  const complaints: Array<string> = []
  browser.listen(session, (method, params) => {
    const text = JSON.stringify(params)
    if (method === "Runtime.exceptionThrown" || text.includes('"level":"error"')) complaints.push(text)
  })
  await Promise.all([ask("Page.enable"), ask("Log.enable"), ask("Runtime.enable")])
  const look = async ({ height, scale = 1, scheme, width }: View) => {
    await ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: width < 500 })
    await ask("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] })
  }
  const evaluate = async (expression: string): Promise<unknown> => {
    const answer = await ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })
    if (answer["exceptionDetails"] !== undefined) throw new Error(JSON.stringify(answer["exceptionDetails"]))
    return (answer["result"] as Message)["value"]
  }
  await look(view)
  await ask("Page.navigate", { url })
  return {
    look: (view) => Effect.promise(() => look(view)),
    evaluate: (expression) => Effect.promise(() => evaluate(expression)),
    until: (expression) =>
      Effect.promise(async () => {
        // In the page, at each of its frames.
        const isSo = `new Promise((resolve) => {
          const look = () => (${expression}) ? resolve(true) : requestAnimationFrame(look)
          look()
        })`
        // A document that is being replaced takes the expression with it.
        while ((await evaluate(isSo).catch(() => undefined)) !== true) {}
      }),
    screenshot: Effect.promise(async () => {
      const { data } = await ask("Page.captureScreenshot", { format: "png" })
      return Buffer.from(String(data), "base64")
    }),
    close: Effect.promise(() => browser.ask("Target.closeTarget", { targetId })),
    complaints: () => complaints
  }
}

/** Told what to do by a pipe, and looking the same everywhere. */
const shown = ["--remote-debugging-pipe", "--hide-scrollbars", "--force-color-profile=srgb"]
