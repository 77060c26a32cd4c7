import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import WebSocket from "ws"

/** A page in a browser without a window. */
export interface ChromiumPage {
  /** Goes to an address, and waits until it is loaded. */
  readonly open: (url: string) => Promise<void>
  /** Evaluates an expression until it is neither false, nor null, nor undefined, and gives that. */
  readonly until: <A>(expression: string) => Promise<A>
}

/** Runs something with a page, and ends the browser after it. */
export const withChromium = async <A>(executable: string, use: (page: ChromiumPage) => Promise<A>): Promise<A> => {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"))
  // A group of its own, so that all of its processes can be ended.
  const browser = spawn(executable, [...flags, `--user-data-dir=${profile}`, "about:blank"], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe"]
  })
  const end = (): void => {
    try {
      if (browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL")
    } catch {
      // It has ended already.
    }
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
  process.once("exit", end)
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let said = ""
      browser.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString()
        const address = /DevTools listening on (ws:\S+)/.exec(said)?.[1]
        if (address !== undefined) resolve(address)
      })
      browser.on("error", reject)
      browser.on("close", (code) => reject(new Error(`Chromium ended with ${code}: ${said}`)))
    })
    return await use(await connect(address))
  } finally {
    process.off("exit", end)
    end()
  }
}

const flags = [
  "--headless",
  "--remote-debugging-port=0",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

const connect = async (address: string): Promise<ChromiumPage> => {
  const socket = new WebSocket(address)
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
  const answers = new Map<number, (answer: Answer) => void>()
  socket.on("message", (data) => {
    const answer: Answer & { readonly id?: number } = JSON.parse(String(data))
    if (answer.id !== undefined) answers.get(answer.id)?.(answer)
  })
  let calls = 0
  const call = (method: string, params: object, sessionId?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const id = ++calls
      answers.set(id, (answer) => {
        answers.delete(id)
        if (answer.error === undefined) resolve(answer)
        else reject(new Error(`${method}: ${answer.error.message}`))
      })
      socket.send(JSON.stringify({ id, method, params, sessionId }))
    })
  const { result: target } = await call("Target.createTarget", { url: "about:blank" })
  const { result: session } = await call("Target.attachToTarget", { targetId: target?.targetId, flatten: true })
  const evaluate = async (expression: string): Promise<unknown> => {
    const params = { expression, returnByValue: true, awaitPromise: true }
    const { result } = await call("Runtime.evaluate", params, session?.sessionId)
    if (result?.exceptionDetails !== undefined) throw new Error(JSON.stringify(result.exceptionDetails))
    return result?.result?.value
  }
  const until = async <A>(expression: string): Promise<A> => {
    const deadline = performance.now() + patience
    for (;;) {
      const value = await evaluate(expression).catch(() => undefined)
      if (value !== undefined && value !== null && value !== false) return value as A
      if (performance.now() > deadline) throw new Error(`for ${patience / 1000} s it was not so: ${expression}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return {
    open: async (url) => {
      // Another hash alone would load nothing.
      await call("Page.navigate", { url: "about:blank" }, session?.sessionId)
      await call("Page.navigate", { url }, session?.sessionId)
      await until("document.readyState === 'complete'")
    },
    until
  }
}

const patience = 30_000

interface Answer {
  readonly error?: { readonly message: string }
  readonly result?: {
    readonly targetId?: string
    readonly sessionId?: string
    readonly exceptionDetails?: unknown
    readonly result?: { readonly value?: unknown }
  }
}
