import { computed, defineComponent, type PropType, ref } from "vue"
import type { Moment } from "../../../../client-service/test/playground/play.js"
import { spoken } from "./spoken.js"

/** What the service was doing at each time: attempts, delays and connections as bars on one axis. */
export const TimeAxis = defineComponent({
  name: "TimeAxis",
  props: {
    moments: { type: Array as PropType<ReadonlyArray<Moment>>, required: true },
    now: { type: Number, required: true }
  },
  setup: (props) => {
    const chosen = ref(Infinity)
    const range = computed(() => {
      const length = Math.min(Math.max(props.now, 1000), chosen.value)
      return { from: Math.max(0, props.now - length), length }
    })
    return () => {
      const { from, length } = range.value
      const x = (at: number): number => Math.round(((at - from) / length) * width * 10) / 10
      const bars = barsOf(props.moments, props.now, from, length / width)
      return (
        <figure class="cs-axis">
          <figcaption>
            Time line{" "}
            <label>
              of the last{" "}
              <select
                value={String(chosen.value)}
                onChange={(event) => {
                  chosen.value = Number((event.target as HTMLSelectElement).value)
                }}
              >
                {ranges.map(([label, millis]) => (
                  <option value={String(millis)} key={label}>
                    {label}
                  </option>
                ))}
              </select>
            </label>
          </figcaption>
          <svg viewBox={`0 0 ${width} 118`} role="img" aria-label={describe(props.moments)}>
            {rows.map(({ kind, y }) => (
              <text x="0" y={y - 4} class="cs-axis-name" key={kind}>
                {kind}
              </text>
            ))}
            {bars.map(({ begins, ends, isFailed, kind, times }, index) => (
              <g key={index}>
                <rect
                  class={`cs-bar is-${kind}`}
                  x={x(begins)}
                  y={rowOf(kind)}
                  width={Math.max(1.2, x(ends) - x(begins))}
                  height="16"
                  rx="2"
                >
                  <title>{`${kind}, ${times === 1 ? spoken(ends - begins) : `${times} times`}, at ${spoken(begins)}`}</title>
                </rect>
                {isFailed && times === 1 ? (
                  <path class="cs-tl-cross" d={`M${x(ends) - 3} ${rowOf(kind) + 4}l6 8m0-8l-6 8`} />
                ) : undefined}
              </g>
            ))}
            <line class="cs-axis-line" x1="0" x2={width} y1="100" y2="100" />
            {[0, 0.25, 0.5, 0.75, 1].map((part) => (
              <text
                class="cs-axis-tick"
                x={part * width}
                y="114"
                text-anchor={part === 0 ? "start" : part === 1 ? "end" : "middle"}
                key={part}
              >
                {spoken(from + part * length)}
              </text>
            ))}
          </svg>
        </figure>
      )
    }
  }
})

const width = 720

const ranges: ReadonlyArray<readonly [string, number]> = [
  ["all", Infinity],
  ["10 seconds", 10_000],
  ["minute", 60_000],
  ["10 minutes", 600_000],
  ["hour", 3_600_000]
]

type Kind = "attempts" | "delays" | "connections"

const rows: ReadonlyArray<{ readonly kind: Kind; readonly y: number }> = [
  { kind: "attempts", y: 14 },
  { kind: "delays", y: 46 },
  { kind: "connections", y: 78 }
]

const rowOf = (kind: Kind): number => rows.find((row) => row.kind === kind)?.y ?? 0

interface Bar {
  readonly kind: Kind
  readonly begins: number
  readonly ends: number
  readonly isFailed: boolean
  /** How many lie so close together that they are one bar. */
  readonly times: number
}

const kinds: Readonly<Record<string, Kind>> = {
  Connecting: "attempts",
  Waiting: "delays",
  Connected: "connections"
}

/** The bars from an instant on. Those that are nearer to each other than a pixel become one. */
const barsOf = (moments: ReadonlyArray<Moment>, now: number, from: number, pixel: number): ReadonlyArray<Bar> => {
  const bars: Array<Bar> = []
  const lastOf = new Map<Kind, number>()
  moments.forEach(({ at, state }, index) => {
    const kind = kinds[state]
    const next = moments[index + 1]
    const ends = next?.at ?? now
    if (kind === undefined || ends < from) return
    const begins = Math.max(at, from)
    const isFailed = next !== undefined && (next.state === "Waiting" || next.state === "Exhausted")
    const place = lastOf.get(kind)
    const last = place === undefined ? undefined : bars[place]
    if (place !== undefined && last !== undefined && begins - last.ends < pixel) {
      bars[place] = { ...last, ends, times: last.times + 1 }
      return
    }
    lastOf.set(kind, bars.length)
    bars.push({ kind, begins, ends, isFailed: isFailed && kind !== "delays", times: 1 })
  })
  return bars
}

const describe = (moments: ReadonlyArray<Moment>): string => {
  const count = (state: string): number => moments.filter((moment) => moment.state === state).length
  return `Time line: ${count("Connecting")} attempts, ${count("Waiting")} delays, ${count("Connected")} connections`
}
