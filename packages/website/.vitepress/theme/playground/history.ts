import { type Ref, shallowRef } from "vue"
import {
  append,
  type PolicyName,
  parse,
  policyNames,
  print,
  type Script,
  seedOf,
  type Word
} from "../../../../client-service/test/playground/notation.js"
import { bounds, Player } from "../../../../client-service/test/playground/play.js"

/** All that the playground shows. */
export interface View {
  readonly seed: number
  readonly script: Script
  readonly player: Player
  /** Between what the policy draws its delays. */
  readonly ladder: ReturnType<typeof bounds>
  readonly error: string | undefined
}

export interface History {
  readonly view: Readonly<Ref<View>>
  readonly perform: (word: Word) => void
  readonly undo: () => void
  /** By a seed as it is written. */
  readonly begin: (seed: string, policy: PolicyName) => void
  /** Plays what a link carries. */
  readonly open: (hash: string) => void
}

const rungs = 10

/** A history that is made word by word, or read from a link, and that the link of the page follows. */
export const makeHistory = (): History => {
  const view = shallowRef(viewOf(1, { policy: policyNames[0], words: [] }))
  const show = (next: View): void => {
    view.value = next
    globalThis.history.replaceState(globalThis.history.state, "", hashOf(next.seed, next.script))
  }
  const orTell = (play: () => void): void => {
    try {
      play()
    } catch (error) {
      view.value = { ...view.value, error: error instanceof Error ? error.message : String(error) }
    }
  }
  return {
    view,
    perform: (word) =>
      orTell(() => {
        const { player, script, ...rest } = view.value
        const longer = append(script, word)
        player.perform(word)
        show({ ...rest, player, script: longer, error: undefined })
      }),
    undo: () => {
      const { script, seed } = view.value
      show(viewOf(seed, { ...script, words: script.words.slice(0, -1) }))
    },
    begin: (seed, policy) => show(viewOf(seedOf(seed), { policy, words: [] })),
    open: (hash) => {
      const values = new URLSearchParams(hash.replace(/^#/, ""))
      const text = values.get("script")
      if (text === null) return
      orTell(() => {
        view.value = viewOf(seedOf(values.get("seed") ?? ""), parse(text))
      })
    }
  }
}

export const hashOf = (seed: number, script: Script): string =>
  `#${new URLSearchParams({ seed: String(seed), script: print(script) })}`

const viewOf = (seed: number, script: Script): View => {
  const player = new Player(seed, script.policy)
  for (const word of script.words) player.perform(word)
  return { seed, script, player, ladder: bounds(script.policy, rungs), error: undefined }
}
