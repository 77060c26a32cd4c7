import type { FunctionalComponent } from "vue"
import type { Moment } from "../../../../client-service/test/playground/play.js"
import { spoken } from "./spoken.js"

interface Props {
  readonly ladder: ReadonlyArray<{ readonly least: number; readonly most: number }>
  readonly moments: ReadonlyArray<Moment>
  readonly policy: string
}

/** Between what the policy draws the delay after each number of failures, and what it has drawn. */
export const Ladder: FunctionalComponent<Props> = ({ ladder, moments }) => {
  const drawn = moments.flatMap(({ delay, failures }) => (delay === undefined ? [] : [{ delay, failures }]))
  const most = Math.max(1000, ...ladder.map((rung) => rung.most), ...drawn.map(({ delay }) => delay))
  const y = (millis: number): number => Math.round((bottom - (millis / most) * (bottom - top)) * 10) / 10
  const x = (failures: number): number => left + (Math.min(failures, rungs) - 0.5) * step
  const latest = drawn.slice(-200)
  return (
    <figure class="cs-ladder">
      <figcaption>The policy's delays</figcaption>
      <svg
        viewBox="0 0 340 240"
        role="img"
        aria-label={`The delay after each number of failures: ${ladder.map(({ least, most }, index) => `${index + 1}: ${spoken(least)} to ${spoken(most)}`).join(", ")}`}
      >
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <line class="cs-axis-line" x1={left} x2="336" y1={y(part * most)} y2={y(part * most)} />
            <text class="cs-axis-tick" x={left - 6} y={y(part * most) + 4} text-anchor="end">
              {spoken(part * most)}
            </text>
          </g>
        ))}
        {ladder.map(({ least, most }, index) => (
          <rect
            class="cs-rung"
            x={x(index + 1) - step / 2 + 3}
            y={y(most) - 1}
            width={step - 6}
            height={Math.max(3, y(least) - y(most) + 2)}
            rx="2"
            key={index}
          />
        ))}
        {latest.map(({ delay, failures }, index) => (
          <circle
            class={["cs-drawn", index === latest.length - 1 && "is-last"]}
            cx={x(failures)}
            cy={y(delay)}
            r={index === latest.length - 1 ? 5 : 3}
            key={index}
          />
        ))}
        {Array.from({ length: rungs }, (_, index) => (
          <text class="cs-axis-tick" x={x(index + 1)} y="222" text-anchor="middle" key={index}>
            {index + 1 === rungs ? `${rungs}+` : index + 1}
          </text>
        ))}
        <text class="cs-axis-tick" x={left + (rungs * step) / 2} y="237" text-anchor="middle">
          failures in a row
        </text>
      </svg>
    </figure>
  )
}

Ladder.props = ["ladder", "moments", "policy"]

const rungs = 10
const left = 52
const step = 28.4
const top = 14
const bottom = 206
