/**
 * Draws time lines.
 */
import { lengthOf, type Span, type Tick, xOf } from "./axis.js"
import type { Bar } from "./bars.js"
import { lengthText } from "./words.js"

/** The colours of the page, as its style has them. */
export type Colour = (name: string) => string

/** A canvas of as many pixels as the screen has for it, cleared; and its size by the measure of the style. */
const fresh = (canvas: HTMLCanvasElement) => {
  const context = canvas.getContext("2d")
  const { clientHeight: height, clientWidth: width } = canvas
  const ratio = window.devicePixelRatio
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)]
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w
    canvas.height = h
  }
  if (context === null) return undefined
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, width, height)
  context.font = '11px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
  context.textBaseline = "middle"
  return { context, width, height }
}

/** What all that is drawn at a moment has in common. */
export interface Scene {
  readonly span: Span
  readonly now: number
  readonly ticks: ReadonlyArray<Tick>
  readonly colour: Colour
}

export const drawAxis = (canvas: HTMLCanvasElement, { colour, now, span, ticks }: Scene) => {
  const surface = fresh(canvas)
  if (surface === undefined) return
  const { context, height, width } = surface
  context.textAlign = "center"
  const nowX = xOf(span, width, now)
  for (const { at, label } of ticks) {
    const x = xOf(span, width, at)
    context.fillStyle = colour("control")
    context.fillRect(Math.round(x), height - 6, 1, 6)
    const half = context.measureText(label).width / 2
    const isFree = x - half >= 0 && x + half <= width && Math.abs(x - nowX) > half + 18
    context.fillStyle = colour("muted")
    if (isFree) context.fillText(label, x, height / 2 - 2)
  }
  if (nowX < 0 || nowX > width) return
  context.fillStyle = colour("now")
  context.fillRect(Math.round(nowX), height - 8, 1, 8)
  context.font = `600 ${context.font}`
  context.fillText("now", Math.min(nowX, width - 14), height / 2 - 2)
}

export const drawBars = (canvas: HTMLCanvasElement, bars: ReadonlyArray<Bar>, { colour, now, span, ticks }: Scene) => {
  const surface = fresh(canvas)
  if (surface === undefined) return
  const { context, height, width } = surface
  const middle = height / 2
  context.fillStyle = colour("grid")
  for (const { at } of ticks) context.fillRect(Math.round(xOf(span, width, at)), 0, 1, height)

  const box = (from: number, to: number, size: number, name: string, least = 1) => {
    const left = Math.max(from, -8)
    const w = Math.max(Math.min(to, width + 8) - left, least)
    context.fillStyle = colour(name)
    context.beginPath()
    context.roundRect(left, middle - size / 2, w, size, Math.min(3, w / 2))
    context.fill()
  }
  /** Text in a bar, if there is room for it. */
  const label = (text: string, from: number, to: number, y: number, name: string) => {
    const left = Math.max(from, 0)
    const right = Math.min(to, width)
    if (context.measureText(text).width + 12 > right - left) return
    context.fillStyle = colour(name)
    context.textAlign = "center"
    context.fillText(text, (left + right) / 2, y)
  }
  /** What is long first, so that what is short is not hidden by it. */
  const layers: ReadonlyArray<(bar: Bar, from: number, to: number) => void> = [
    ({ from, kind, to, transition, until }, x0, x1) => {
      switch (kind) {
        case "connection":
          box(x0, x1 - 0.5, 22, "connection", 1.5)
          return label(`#${transition.generation}`, x0, x1, middle + 0.5, "on-connection")
        case "delay": {
          box(x0, x1, 4, "delay")
          if (until === undefined) return label(lengthText((to ?? now) - from), x0, x1, middle - 12, "muted")
          const end = xOf(span, width, until)
          context.fillStyle = colour("delay")
          for (let x = Math.max(x1, 0) + 3; x < Math.min(end, width); x += 6) context.fillRect(x, middle - 1, 3, 2)
          if (end <= x1 || end > width) return
          context.fillRect(end - 1, middle - 7, 2, 14)
          return
        }
        case "stopping":
          return box(x0, x1, 14, "stopping", 2)
        case "stopped":
          context.fillStyle = colour("stopped")
          for (let x = Math.max(x0, x0 % 5) + 2; x < Math.min(x1, width); x += 5) context.fillRect(x, middle - 1, 2, 2)
          return
        case "exhausted": {
          context.save()
          context.beginPath()
          context.rect(Math.max(x0, 0), middle - 5, Math.max(Math.min(x1, width) - Math.max(x0, 0), 2), 10)
          context.clip()
          context.strokeStyle = colour("exhausted")
          context.lineWidth = 2
          context.beginPath()
          const origin = Math.max(x0, (x0 % 7) - 14)
          for (let x = origin - 12; x < Math.min(x1, width) + 12; x += 7) {
            context.moveTo(x, middle + 6)
            context.lineTo(x + 12, middle - 6)
          }
          context.stroke()
          context.restore()
          return label("gave up", x0, x1, middle - 12, "muted")
        }
      }
    },
    ({ kind }, x0, x1) => {
      if (kind === "attempt") box(x0, x1, 22, "attempt", 2.5)
    },
    ({ kind }, x0, x1) => {
      if (kind === "failure") box(x0, x1, 32, "failure", 3)
    }
  ]
  const inSight = bars.flatMap((bar) => {
    const from = xOf(span, width, bar.from)
    const to = xOf(span, width, bar.to ?? Math.max(now, bar.from))
    const last = bar.until === undefined ? to : Math.max(to, xOf(span, width, bar.until))
    return last < -4 || from > width + 4 ? [] : [{ bar, from, to }]
  })
  for (const layer of layers) for (const { bar, from, to } of inSight) layer(bar, from, to)

  const nowX = xOf(span, width, now)
  if (nowX < 0 || nowX > width || lengthOf(span) <= 0) return
  context.globalAlpha = 0.55
  context.fillStyle = colour("now")
  context.fillRect(Math.round(nowX), 0, 1, height)
  context.globalAlpha = 1
}
