import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel } from "effect"
import { ClientServices } from "effect-client-service"
import { start, type View } from "test-servers/browser"
import { install } from "test-servers/chromium"
import { makeService, Refused, serve } from "./support/served.js"

const chromium = await install()
if (!chromium.isInstalled) console.log(`The test in a browser is skipped: ${chromium.reason}`)

const phone: View = { width: 360, height: 740, scheme: "dark" }

const Live = Layer.merge(ClientServices.layer, Logger.minimumLogLevel(LogLevel.None))

describe.skipIf(!chromium.isInstalled)("the page in Chromium", () => {
  it.scopedLive(
    "shows what a service does, has it do what one presses, and fits a phone, dark and light",
    () =>
      Effect.gen(function* () {
        const name = `<script>window.broken = true</script> & a name_without_any_place_to_break_it_${"x".repeat(60)}`
        const { server, service } = yield* makeService(name, 3_600_000, true)
        const port = yield* serve({ title: "<b>Shop</b>", actions: true })
        const browser = yield* start(chromium.isInstalled ? chromium.paths.chromium : "")
        const tab = yield* browser.open(`http://127.0.0.1:${port}/services`, phone)
        const textOf = (selector: string) => `document.querySelector(${JSON.stringify(selector)})?.textContent`
        const shows = (selector: string, text: string) =>
          tab.until(`(${textOf(selector)} ?? "").includes(${JSON.stringify(text)})`)
        const press = (label: string) =>
          tab.evaluate(
            `[...document.querySelectorAll(".actions button")].find((b) => b.textContent === ${JSON.stringify(label)}).click()`
          )

        yield* shows(".state", "Not started")
        expect(yield* tab.evaluate(textOf("h2"))).toBe(name)
        expect(yield* tab.evaluate(textOf("h1"))).toBe("<b>Shop</b>")
        expect(yield* tab.evaluate("window.broken")).toBe(undefined)

        yield* press("Start")
        yield* shows(".state", "Connecting")
        yield* server.refuse(new Refused())
        yield* shows(".state", "Waitingnext attempt in 59 min")
        yield* shows(".cause", "Refused")
        yield* press("Reconnect")
        const connection = yield* server.accept("first")
        yield* shows(".state", "Connected")
        // Those who see nothing are told, too.
        yield* shows("#said", `${name}: connected`)
        yield* shows("#tally", "1 connected")
        yield* press("Check")
        yield* shows(".actions output", "The peer answers")
        yield* press("Past")
        yield* shows("tbody", "Attempt 1 failed")

        const widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        const colours = `[document.body, document.querySelector(".board")].map((e) => getComputedStyle(e).backgroundColor)`
        expect(yield* tab.evaluate(widths)).toEqual([360, 360])
        const dark = yield* tab.evaluate(colours)
        yield* tab.look({ ...phone, scheme: "light" })
        expect(yield* tab.evaluate(widths)).toEqual([360, 360])
        expect([dark, yield* tab.evaluate(colours)]).toEqual([
          ["rgb(13, 16, 21)", "rgb(21, 26, 33)"],
          ["rgb(244, 245, 247)", "rgb(255, 255, 255)"]
        ])
        // Something is drawn of it.
        const green = "[27, 127, 77]"
        yield* tab.until(`(() => {
          const canvas = document.querySelector(".service canvas")
          const { data } = canvas.getContext("2d").getImageData(0, canvas.height / 2 - 8, canvas.width, 1)
          return [...data.keys()].some((i) => i % 4 === 0 && ${green}.every((value, c) => data[i + c] === value))
        })()`)

        yield* press("Stop")
        yield* press("Really stop?")
        yield* connection.awaitClosed
        yield* shows(".state", "Stopped")
        expect(yield* service.running).toBe(false)
        expect(tab.complaints()).toEqual([])
      }).pipe(Effect.provide(Live)),
    120_000
  )
})
