import { defineComponent, onMounted, onUnmounted, ref } from "vue"
import {
  type Command,
  type Does,
  type PolicyName,
  policyNames,
  print,
  type Word
} from "../../../../client-service/test/playground/notation.js"
import type { Moment, Player } from "../../../../client-service/test/playground/play.js"
import { StateDiagram } from "../StateDiagram.js"
import { makeHistory } from "./history.js"
import { Ladder } from "./Ladder.js"
import { spoken } from "./spoken.js"
import { TimeAxis } from "./TimeAxis.js"

/** A real service, over an endpoint in memory and a clock that the reader turns. */
export default defineComponent({
  name: "ServicePlayground",
  setup: () => {
    const { begin, open, perform, undo, view } = makeHistory()
    const isCopied = ref(false)
    const replay = (): void => open(globalThis.location.hash)
    onMounted(() => {
      replay()
      globalThis.addEventListener("hashchange", replay)
    })
    onUnmounted(() => globalThis.removeEventListener("hashchange", replay))

    const button = (label: string, word: Word | undefined, title: string) => (
      <button type="button" title={title} disabled={word === undefined} onClick={() => word && perform(word)}>
        {label}
      </button>
    )
    const command = (command: Command, title: string) => button(capital(command), { _tag: "command", command }, title)
    const peer = (label: string, does: Does, title: string) => button(label, { _tag: "peer", does }, title)
    const pass = (label: string, millis: number) =>
      button(label, { _tag: "pass", millis }, `Turn the clock by ${label}`)
    const copy = async (): Promise<void> => {
      await navigator.clipboard.writeText(globalThis.location.href)
      isCopied.value = true
      setTimeout(() => {
        isCopied.value = false
      }, 2000)
    }

    return () => {
      const { error, ladder, player, script, seed } = view.value
      const { last, moments, nextIn, now } = player
      const before = moments[moments.length - 2]
      return (
        <div class="cs-playground">
          <p class="cs-now" aria-live="polite">
            <b class={`cs-tag is-${last.state}`}>{last.state}</b> {statusOf(player)}
          </p>
          <div class="cs-controls">
            <fieldset>
              <legend>The service</legend>
              {command("start", "Begin to connect")}
              {command("stop", "Close the connection, and connect no more")}
              {command("reconnect", "Connect now, whatever the service is doing")}
            </fieldset>
            <fieldset>
              <legend>The attempt, or the next one</legend>
              {peer("Accept", "accept", "Let it succeed")}
              {peer("Refuse", "refuse", "Let it fail")}
              {peer("Hang", "hang", "Say nothing; it ends after 30 seconds")}
              {peer("Accept and drop", "accept-and-drop", "Let it succeed, and lose the connection at once")}
            </fieldset>
            <fieldset>
              <legend>The server, from now on</legend>
              {peer("Up", "up", "Accept every attempt")}
              {peer("Down", "down", "Refuse every attempt; a connection that is there stays")}
              {button(
                "Drop",
                last.state === "Connected" ? { _tag: "peer", does: "drop" } : undefined,
                "Lose the connection"
              )}
            </fieldset>
            <fieldset>
              <legend>The clock</legend>
              {pass("1 s", 1000)}
              {pass("10 s", 10_000)}
              {pass("1 min", 60_000)}
              {pass("8 hours", 8 * 3_600_000)}
              {button(
                "To what is next",
                nextIn < Infinity ? { _tag: "pass", millis: nextIn } : undefined,
                "Turn the clock to the next delay or timeout that is over"
              )}
            </fieldset>
          </div>
          <div class="cs-pictures">
            <StateDiagram current={last.state} before={before?.state} />
            <Ladder ladder={ladder} moments={moments} policy={script.policy} />
          </div>
          <TimeAxis moments={moments} now={now} />
          <div class="cs-history">
            <label>
              Retry policy{" "}
              <select
                value={script.policy}
                onChange={(event) => begin(String(seed), policyOf((event.target as HTMLSelectElement).value))}
              >
                {policyNames.map((name) => (
                  <option value={name} key={name}>
                    {policyLabels[name]}
                  </option>
                ))}
              </select>
            </label>
            <label>
              Seed{" "}
              <input
                type="number"
                min="0"
                step="1"
                value={seed}
                onChange={(event) => begin((event.target as HTMLInputElement).value, script.policy)}
              />
            </label>
            <button type="button" disabled={script.words.length === 0} onClick={undo}>
              Undo
            </button>
            <button type="button" onClick={() => begin(String(seed), script.policy)}>
              Begin again
            </button>
            <button type="button" onClick={() => void copy()}>
              {isCopied.value ? "Copied" : "Copy the link"}
            </button>
          </div>
          {error === undefined ? undefined : (
            <p class="cs-error" role="alert">
              {error}
            </p>
          )}
          <p class="cs-command">
            The same in the repository: <code>{`npm run test:deep -- --seed ${seed} --script "${print(script)}"`}</code>
          </p>
        </div>
      )
    }
  }
})

const policyLabels: Readonly<Record<PolicyName, string>> = {
  fullJitter: "fullJitter(), the default",
  proportional: "proportional()",
  backoff: "backoff(), Twisted's",
  decorrelatedJitter: "decorrelatedJitter()",
  fixed: 'Schedule.spaced("5 seconds")',
  fiveTimes: "fullJitter(), five times"
}

const policyOf = (value: string): PolicyName => policyNames.find((name) => name === value) ?? policyNames[0]

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

const statusOf = (player: Player): string => {
  const { last, now, unanswered } = player
  const answers =
    unanswered === 0 ? "" : ` ${unanswered === 1 ? "One answer waits" : `${unanswered} answers wait`} for an attempt.`
  return `after ${spoken(now)}: ${doing(last, now)}.${answers}`
}

const doing = ({ at, attempt, delay = 0, failures, generation, state }: Moment, now: number): string => {
  switch (state) {
    case "Init":
      return "not started"
    case "Connecting":
      return `attempt ${attempt} is under way for ${spoken(now - at)}`
    case "Connected":
      return `connection number ${generation} is up for ${spoken(now - at)}`
    case "Waiting":
      return `failures in a row: ${failures}; the next attempt begins in ${spoken(at + delay - now)}`
    case "Exhausted":
      return `gave up after ${failures} failures`
    case "Stopped":
      return "nothing is under way"
    default:
      return "it closes"
  }
}
