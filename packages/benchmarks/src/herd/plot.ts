import { backWithin, peakShare, type Recovery } from "./simulation.js"

export interface Curve {
  readonly name: string
  readonly recovery: Recovery
  readonly isOurs: boolean
}

export interface Labels {
  readonly title: string
  readonly subtitle: string
}

// Pixels.
const columns = 2
const panel = { width: 400, height: 130 }
const margin = { left: 64, top: 156, right: 32, bottom: 62 }
const gap = { x: 72, y: 74 }

// A share above it is cut off and written beside it: those without jitter would make all others flat.
const highest = 0.06
const limit = 0.02
const bucket = 100

const colours = {
  ours: "#0b62d6",
  others: "#7a8794",
  limit: "#c8321f",
  median: "#1b2733",
  text: "#1b2733",
  grid: "#e3e8ed"
}

/** A picture of when the clients come back, as SVG: a panel for each policy, all to the same scale. */
export const plot = (curves: ReadonlyArray<Curve>, { subtitle, title }: Labels): string => {
  const rows = Math.ceil(curves.length / columns)
  const width = margin.left + columns * panel.width + (columns - 1) * gap.x + margin.right
  const height = margin.top + rows * panel.height + (rows - 1) * gap.y + margin.bottom
  const seconds = 10 * Math.ceil(Math.max(...curves.map(({ recovery }) => backWithin(recovery, 1))) / 10_000)
  const panels = curves.map((curve, index) => {
    const x = margin.left + (index % columns) * (panel.width + gap.x)
    const y = margin.top + Math.floor(index / columns) * (panel.height + gap.y)
    return `<g transform="translate(${x} ${y})">\n${panelOf(curve, seconds)}\n</g>`
  })
  const axisTitle = (x: number) => text("seconds since the server's return", x, height - 16, "middle", 'class="axis"')
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    style,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(title, 20, 34, "start", 'class="title"'),
    text(subtitle, 20, 56, "start"),
    legend(20, 80),
    `<g transform="translate(18 ${(margin.top + height - margin.bottom) / 2}) rotate(-90)">`,
    text("share of the clients admitted in 100 ms", 0, 0, "middle", 'class="axis"'),
    "</g>",
    ...panels,
    ...Array.from({ length: columns }, (_, column) =>
      axisTitle(margin.left + column * (panel.width + gap.x) + panel.width / 2)
    ),
    "</svg>"
  ].join("\n")}\n`
}

const style = `<style>
text { font: 12px "DejaVu Sans", Verdana, Arial, sans-serif; fill: ${colours.text} }
.title { font-size: 18px; font-weight: bold }
.name { font-size: 13px; font-weight: bold }
.axis, .tick { fill: #56626e }
.tick { font-size: 11px }
.off { font-size: 11px; font-weight: bold }
</style>`

const legend = (x: number, y: number): string =>
  [
    `<rect x="${x}" y="${y}" width="11" height="11" fill="${colours.ours}"/>`,
    `<rect x="${x + 13}" y="${y}" width="11" height="11" fill="${colours.others}"/>`,
    text("clients admitted, in steps of 100 ms", x + 31, y + 10, "start"),
    `<path d="M${x + 312} ${y + 6}h24" stroke="${colours.limit}" stroke-dasharray="5 3"/>`,
    text("2 %", x + 343, y + 10, "start"),
    marker(x + 404, y + 1),
    text("half of the clients are back", x + 412, y + 10, "start"),
    text("↑", x + 619, y + 10, "middle", 'class="off"'),
    text("more than fits in the panel", x + 629, y + 10, "start")
  ].join("\n")

const panelOf = ({ isOurs, name, recovery }: Curve, seconds: number): string => {
  const xOf = (millis: number) => round((millis / 1000 / seconds) * panel.width)
  const yOf = (share: number) => round(panel.height * (1 - Math.min(share, highest) / highest))
  const peak = peakShare(recovery, bucket)
  const shares = sharesOf(recovery)
  const highestAt = shares.map((share) => share > highest).lastIndexOf(true)
  const median = xOf(backWithin(recovery, 0.5))
  const colour = isOurs ? colours.ours : colours.others
  const facts = [
    `at most ${percent(peak)} in 100 ms`,
    `half back ${secondsOf(backWithin(recovery, 0.5))}`,
    `all back ${secondsOf(backWithin(recovery, 1))}`
  ].join(" · ")
  return [
    text(name, 0, -26, "start", 'class="name"'),
    text(facts, 0, -9, "start"),
    ...[0, 0.02, 0.04, 0.06].map(
      (share) =>
        `<path d="M0 ${yOf(share)}h${panel.width}" stroke="${colours.grid}"/>${text(`${round(share * 100)} %`, -8, yOf(share) + 4, "end", 'class="tick"')}`
    ),
    ...Array.from({ length: seconds / 10 + 1 }, (_, ten) =>
      text(String(ten * 10), xOf(ten * 10_000), panel.height + 18, "middle", 'class="tick"')
    ),
    `<path d="${skyline(shares, xOf, yOf)}" fill="${colour}" stroke="${colour}" stroke-width="0.5"/>`,
    `<path d="M0 ${panel.height}h${panel.width}" stroke="${colours.text}"/>`,
    `<path d="M0 ${yOf(limit)}h${panel.width}" stroke="${colours.limit}" stroke-dasharray="5 3"/>`,
    marker(median, panel.height + 1),
    ...(highestAt < 0
      ? []
      : [text(`↑ ${percent(peak)}`, xOf((highestAt + 1) * bucket) + 8, 12, "start", 'class="off"')])
  ].join("\n")
}

const marker = (x: number, y: number): string => `<path d="M${x} ${y}l5 8h-10z" fill="${colours.median}"/>`

// The outline of the steps, from the first to the last that has a client.
const skyline = (
  shares: ReadonlyArray<number>,
  xOf: (millis: number) => number,
  yOf: (share: number) => number
): string => {
  const steps = shares.map((share, index) => `V${yOf(share)}H${xOf((index + 1) * bucket)}`)
  return `M0 ${panel.height}${steps.join("")}V${panel.height}Z`
}

const sharesOf = ({ admissions }: Recovery): ReadonlyArray<number> => {
  const shares: Array<number> = []
  for (const admission of admissions) {
    const index = Math.floor(admission / bucket)
    while (shares.length <= index) shares.push(0)
    shares[index] = (shares[index] ?? 0) + 1 / admissions.length
  }
  return shares
}

const text = (content: string, x: number, y: number, anchor: "start" | "middle" | "end", attributes = ""): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}"${attributes === "" ? "" : ` ${attributes}`}>${escaped(content)}</text>`

const escaped = (content: string): string =>
  content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const round = (value: number): number => Math.round(value * 100) / 100

export const percent = (share: number): string =>
  `${(share * 100).toLocaleString("en", { maximumSignificantDigits: 3 })} %`

export const secondsOf = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
