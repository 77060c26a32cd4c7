import type { FunctionalComponent } from "vue"

interface Props {
  /** The state to light up, and the one before it. */
  readonly current?: string | undefined
  readonly before?: string | undefined
}

/** The states of a service, and what leads from one to the other. */
export const StateDiagram: FunctionalComponent<Props> = ({ before, current }) => {
  const label =
    current === undefined
      ? `The states of a service: ${edges.map(({ from, to, why }) => `${from} to ${to}: ${why}`).join("; ")}`
      : `The service is ${current}`
  return (
    <div class="cs-states">
      <svg viewBox="0 0 680 372" role="img" aria-label={label}>
        {edges.map(({ bend, from, labelAt, to, why }) => {
          const isTaken = current === to && before === from
          const { label, line, tip } = curve(from, to, bend ?? 18, labelAt ?? 0.5)
          return (
            <g class={["cs-edge", isTaken && "is-taken"]} key={`${from}-${to}`}>
              <path class="cs-edge-line" d={line} />
              <path class="cs-edge-tip" d={tip} />
              <text x={label.x} y={label.y}>
                {why}
              </text>
            </g>
          )
        })}
        {Object.entries(nodes).map(([name, { x, y }]) => (
          <g class={["cs-state", `is-${name}`, current === name && "is-current"]} key={name}>
            <rect x={x - half.x} y={y - half.y} width={2 * half.x} height={2 * half.y} rx="9" />
            <text x={x} y={y + 5}>
              {name}
            </text>
          </g>
        ))}
      </svg>
    </div>
  )
}

StateDiagram.props = ["current", "before"]

interface Point {
  readonly x: number
  readonly y: number
}

const half: Point = { x: 60, y: 18 }

const nodes: Readonly<Record<string, Point>> = {
  Init: { x: 72, y: 34 },
  Waiting: { x: 420, y: 34 },
  Connecting: { x: 256, y: 128 },
  Connected: { x: 584, y: 128 },
  Exhausted: { x: 584, y: 232 },
  Stopped: { x: 72, y: 332 },
  Disconnecting: { x: 256, y: 332 },
  Restarting: { x: 470, y: 332 }
}

interface Edge {
  readonly from: string
  readonly to: string
  readonly why: string
  /** How far the line bends to its left. */
  readonly bend?: number
  /** Where on the line its words are. */
  readonly labelAt?: number
}

const edges: ReadonlyArray<Edge> = [
  { from: "Init", to: "Connecting", why: "start", bend: -8 },
  { from: "Init", to: "Stopped", why: "stop", bend: 0 },
  { from: "Connecting", to: "Connected", why: "attempt succeeds", bend: -10, labelAt: 0.42 },
  { from: "Connecting", to: "Waiting", why: "fails", bend: -16, labelAt: 0.45 },
  { from: "Connecting", to: "Exhausted", why: "policy done", bend: 0, labelAt: 0.64 },
  { from: "Connecting", to: "Disconnecting", why: "stop", bend: 12, labelAt: 0.72 },
  { from: "Connected", to: "Waiting", why: "lost", bend: 12 },
  { from: "Connected", to: "Exhausted", why: "lost, policy done", bend: -10 },
  { from: "Connected", to: "Connecting", why: "reconnect", bend: -10, labelAt: 0.42 },
  { from: "Connected", to: "Disconnecting", why: "stop", bend: -16, labelAt: 0.6 },
  { from: "Waiting", to: "Connecting", why: "delay over", bend: -14, labelAt: 0.4 },
  { from: "Waiting", to: "Stopped", why: "stop", bend: 92, labelAt: 0.7 },
  { from: "Disconnecting", to: "Stopped", why: "closed", bend: 0 },
  { from: "Disconnecting", to: "Restarting", why: "start", bend: -9 },
  { from: "Restarting", to: "Connecting", why: "closed", bend: -8, labelAt: 0.16 },
  { from: "Restarting", to: "Disconnecting", why: "stop", bend: -9 },
  { from: "Exhausted", to: "Connecting", why: "start, reconnect", bend: -24, labelAt: 0.32 },
  { from: "Exhausted", to: "Stopped", why: "stop", bend: 5, labelAt: 0.44 },
  { from: "Stopped", to: "Connecting", why: "start", bend: -14, labelAt: 0.4 }
]

const curve = (from: string, to: string, bend: number, labelAt: number) => {
  const start = nodes[from] ?? { x: 0, y: 0 }
  const end = nodes[to] ?? { x: 0, y: 0 }
  const length = Math.hypot(end.x - start.x, end.y - start.y)
  const control = {
    x: (start.x + end.x) / 2 - ((end.y - start.y) / length) * bend * 2,
    y: (start.y + end.y) / 2 + ((end.x - start.x) / length) * bend * 2
  }
  const at = (t: number): Point => ({
    x: (1 - t) ** 2 * start.x + 2 * t * (1 - t) * control.x + t ** 2 * end.x,
    y: (1 - t) ** 2 * start.y + 2 * t * (1 - t) * control.y + t ** 2 * end.y
  })
  const isIn = ({ x, y }: Point, node: Point): boolean =>
    Math.abs(x - node.x) < half.x + 4 && Math.abs(y - node.y) < half.y + 4
  const steps = Array.from({ length: 101 }, (_, index) => index / 100)
  const outside = steps.filter((t) => !isIn(at(t), start) && !isIn(at(t), end))
  const first = outside[0] ?? 0
  const last = outside[outside.length - 1] ?? 1
  const points = steps.filter((t) => t >= first && t <= last).map(at)
  const tip = at(last)
  const back = at(last - 0.04)
  const turn = Math.atan2(tip.y - back.y, tip.x - back.x)
  const wing = (by: number): string =>
    `${round(tip.x - 8 * Math.cos(turn + by))} ${round(tip.y - 8 * Math.sin(turn + by))}`
  return {
    line: `M${points.map(({ x, y }) => `${round(x)} ${round(y)}`).join("L")}`,
    tip: `M${wing(0.45)}L${round(tip.x)} ${round(tip.y)}L${wing(-0.45)}`,
    label: at(first + (last - first) * labelAt)
  }
}

const round = (number: number): number => Math.round(number * 10) / 10
