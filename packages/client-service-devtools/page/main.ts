/**
 * The page.
 */
import { lengthOf, ticks, timeOf } from "./axis.js"
import { barAt } from "./bars.js"
import { ProgramClock } from "./clock.js"
import type { Act } from "./controls.js"
import { drawAxis } from "./draw.js"
import { byId, element, say, setAttribute } from "./element.js"
import { type Known, learn, nothing, type Service } from "./history.js"
import { Link, type LinkState } from "./link.js"
import { Row } from "./row.js"
import { View } from "./view.js"
import { announcement, barText, tally, timeText } from "./words.js"

const base = location.pathname.replace(/\/+$/, "")
const list = byId("services", HTMLUListElement)
const note = byId("note", HTMLParagraphElement)
const linkLine = byId("link", HTMLParagraphElement)
const chips = byId("tally", HTMLFieldSetElement)
const axis = byId("axis", HTMLCanvasElement)
const tip = byId("tip", HTMLDivElement)
const said = byId("said", HTMLDivElement)
const search = byId("search", HTMLInputElement)
const followButton = byId("follow", HTMLButtonElement)

const clock = new ProgramClock()
const view = new View(60_000)
const rows = new Map<string, Row>()
let known: Known = nothing
let actions = false
let title = document.title
/** The state that is shown alone, if any. */
let wanted: string | undefined
/** What the program looks for, since it has more than it shows. */
let asked = ""
let isDirty = true

const link = new Link(base, {
  timed: (now) => clock.tell(now),
  changed: (state) => {
    setAttribute(linkLine, "data-link", state)
    const text = linkLine.lastElementChild
    if (text !== null) say(text, linkTexts[state])
  },
  updated: (update) => {
    clock.tell(update.now)
    if (update.begin !== undefined) {
      ;({ actions, title } = update.begin)
      say(byId("title", HTMLHeadingElement), title)
    }
    const learned = learn(known, update)
    known = learned.known
    announce(learned.changed)
    arrange()
  }
})

const linkTexts: Record<LinkState, string> = {
  connecting: "Connecting",
  live: "Live",
  lost: "No connection to the program, trying again"
}

const act: Act = async ({ id, name }, action) => {
  try {
    const answer = await fetch(`${base}/${encodeURIComponent(id)}/${action}`, { method: "POST" })
    if (!answer.ok) return `Refused: ${answer.status === 404 ? "it is gone" : await answer.text()}`
    const isThere = await answer.json()
    const told = action === "check" ? (isThere === true ? "The peer answers" : "No answer") : "Done"
    say(said, `${name}: ${told}`)
    return told
  } catch {
    return "The program did not answer"
  }
}

/** Puts a row for each service, in their order. */
const arrange = (): void => {
  isDirty = true
  const ids = new Set(known.services.map(({ id }) => id))
  for (const [id, row] of rows) {
    if (ids.has(id)) continue
    sight.unobserve(row.canvas)
    row.root.remove()
    rows.delete(id)
  }
  let previous: Element | null = null
  for (const service of known.services) {
    const row = rows.get(service.id) ?? addRow(service)
    row.update(service)
    row.root.hidden = !isWanted(service)
    const next: Element | null = previous === null ? list.firstElementChild : previous.nextElementSibling
    if (next !== row.root) list.insertBefore(row.root, next)
    previous = row.root
  }
  tellTally()
  const shown = known.services.filter(isWanted).length
  note.hidden = shown > 0 && known.found <= known.services.length
  say(note, noteText(shown))
}

const addRow = (service: Service): Row => {
  const row = new Row(service, actions ? act : undefined)
  rows.set(service.id, row)
  row.update(service)
  row.describe(view.span(clock.now), clock.now)
  sight.observe(row.canvas)
  return row
}

const noteText = (shown: number): string => {
  if (known.total === 0) return "No service is listed yet."
  if (shown === 0) return "None is like that."
  return `${known.services.length} of ${known.found} services are shown. Find the others by their names.`
}

const isWanted = ({ current, name }: Service): boolean =>
  (wanted === undefined || current.state === wanted) && name.toLowerCase().includes(search.value.trim().toLowerCase())

/** How many are in each state; and whether all is well, where only the tab is in sight. */
const tellTally = (): void => {
  const counts = tally(known.services)
  const chipsBefore = new Map([...chips.children].map((chip) => [chip.getAttribute("data-state"), chip]))
  chips.replaceChildren(
    ...counts.map(({ count, name, state }) => {
      const chip = chipsBefore.get(state) ?? makeChip(state)
      setAttribute(chip, "aria-pressed", String(wanted === state))
      const text = chip.lastElementChild
      if (text !== null) say(text, `${count} ${name.toLowerCase()}`)
      return chip
    })
  )
  const troubled = known.services.filter(
    ({ current: { state } }) => state === "Waiting" || state === "Exhausted" || state === "Connecting"
  ).length
  document.title = troubled === 0 ? title : `(${troubled}) ${title}`
  const colour = colours(troubled === 0 ? "connection" : "failure").replace("#", "%23")
  const icon = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='6' fill='${colour}'/></svg>`
  const head = document.querySelector("link[rel=icon]")
  if (head !== null) setAttribute(head, "href", `data:image/svg+xml,${icon}`)
}

const makeChip = (state: string): HTMLButtonElement => {
  const mark = element("span", { class: "mark", "aria-hidden": "true" })
  const chip = element("button", { type: "button", class: "chip", "data-state": state }, mark, element("span"))
  chip.addEventListener("click", () => {
    wanted = wanted === state ? undefined : state
    arrange()
  })
  return chip
}

// Many changes are told of together, since nobody can listen to all.
let toSay: Map<string, Service> | undefined
const announce = (changed: ReadonlyArray<Service>): void => {
  if (changed.length === 0) return
  if (toSay === undefined) {
    setTimeout(() => {
      const services = [...(toSay ?? new Map<string, Service>()).values()]
      toSay = undefined
      const more = services.length > 3 ? `, and ${services.length - 3} more have changed` : ""
      say(said, services.slice(0, 3).map(announcement).join(", ") + more)
    }, 1000)
  }
  toSay ??= new Map()
  for (const service of changed) toSay.set(service.id, service)
}

// Canvases that nobody sees are not drawn.
const sight = new IntersectionObserver((entries) => {
  isDirty = true
  for (const { isIntersecting, target } of entries) {
    for (const row of rows.values()) if (row.canvas === target) row.isInSight = isIntersecting
  }
})

let style = getComputedStyle(document.documentElement)
const colours = (name: string): string => style.getPropertyValue(`--${name}`)
const dark = matchMedia("(prefers-color-scheme: dark)")
dark.addEventListener("change", () => {
  style = getComputedStyle(document.documentElement)
  isDirty = true
})
const calm = matchMedia("(prefers-reduced-motion: reduce)")
new ResizeObserver(() => {
  isDirty = true
}).observe(list)

let drawn = 0
let told = 0
/** Draws when there is something new, or time has gone by so far that one sees it. */
const frame = (): void => {
  requestAnimationFrame(frame)
  if (known.services.length === 0 && !isDirty) return
  const now = clock.now
  const span = view.span(now)
  const width = Math.max(axis.clientWidth, 1)
  const pace = calm.matches ? 1000 : Math.max(lengthOf(span) / width / 2, 40)
  if (!isDirty && now - drawn < pace && now - told < 100) return
  if (isDirty || now - told >= (calm.matches ? 1000 : 100)) {
    told = now
    for (const row of rows.values()) if (row.isInSight) row.tick(now)
  }
  if (!isDirty && now - drawn < pace) return
  isDirty = false
  drawn = now
  const marks = ticks(span, width, -new Date(now).getTimezoneOffset() * 60_000)
  const scene = { span, now, ticks: marks, colour: colours }
  drawAxis(axis, scene)
  for (const row of rows.values()) if (row.isInSight && !row.root.hidden) row.draw(scene)
  setAttribute(followButton, "aria-pressed", String(view.isFollowing))
}

// Not at each frame: a screen reader reads what it is at.
setInterval(() => {
  const now = clock.now
  for (const row of rows.values()) row.describe(view.span(now), now)
}, 2000)

const moved = (): void => {
  isDirty = true
}

for (const input of document.querySelectorAll<HTMLInputElement>("input[name=length]")) {
  input.addEventListener("change", () => {
    view.follow(Number(input.value))
    moved()
  })
}
const pan = (share: number): void => {
  view.pan(share * view.length, clock.now)
  moved()
}
byId("earlier", HTMLButtonElement).addEventListener("click", () => pan(-0.5))
byId("later", HTMLButtonElement).addEventListener("click", () => pan(0.5))
followButton.addEventListener("click", () => {
  view.follow()
  moved()
})

let searching: ReturnType<typeof setTimeout> | undefined
search.addEventListener("input", () => {
  arrange()
  clearTimeout(searching)
  searching = setTimeout(() => {
    const name = search.value.trim()
    const isPart = known.services.length < known.found || asked !== ""
    if (!isPart || name === asked) return
    asked = name
    link.open(name)
  }, 250)
})

const rowAt = ({ target }: Event): Row | undefined => {
  for (const row of rows.values()) if (row.canvas === target) return row
  return undefined
}

let drag: { readonly canvas: HTMLCanvasElement; x: number; isMoved: boolean } | undefined
list.addEventListener("pointerdown", (event) => {
  const row = rowAt(event)
  if (row === undefined || event.button !== 0) return
  drag = { canvas: row.canvas, x: event.clientX, isMoved: false }
  row.canvas.setPointerCapture(event.pointerId)
  point(row, event)
})
list.addEventListener("pointermove", (event) => {
  const row = rowAt(event)
  if (row === undefined) {
    tip.hidden = true
    return
  }
  if (drag !== undefined && (drag.isMoved || Math.abs(event.clientX - drag.x) > 3)) {
    drag.canvas.classList.add("dragged")
    const width = Math.max(drag.canvas.clientWidth, 1)
    view.pan(((drag.x - event.clientX) / width) * view.length, clock.now)
    drag = { ...drag, x: event.clientX, isMoved: true }
    tip.hidden = true
    moved()
  } else point(row, event)
})
for (const name of ["pointerup", "pointercancel"] as const) {
  list.addEventListener(name, () => {
    drag?.canvas.classList.remove("dragged")
    drag = undefined
  })
}
list.addEventListener("pointerleave", () => {
  tip.hidden = true
})
document.addEventListener("scroll", () => {
  tip.hidden = true
})
list.addEventListener(
  "wheel",
  (event) => {
    const row = rowAt(event)
    if (row === undefined) return
    const now = clock.now
    if (event.ctrlKey || event.metaKey) {
      const at = timeOf(view.span(now), row.canvas.clientWidth, event.offsetX)
      view.zoom(Math.exp(event.deltaY / 300), at, now)
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      view.pan((event.deltaX / row.canvas.clientWidth) * view.length, now)
    } else return
    event.preventDefault()
    moved()
  },
  { passive: false }
)

/** Tells of the bar that somebody points at. */
const point = (row: Row, { clientX, clientY }: PointerEvent): void => {
  const now = clock.now
  const { left, width } = row.canvas.getBoundingClientRect()
  const span = view.span(now)
  const bar = barAt(row.bars, timeOf(span, width, clientX - left), (6 / width) * lengthOf(span), now)
  tip.hidden = bar === undefined
  if (bar === undefined) return
  const [head = "", ...rest] = barText(bar, now)
  const when = timeText(bar.from)
  tip.replaceChildren(element("strong", {}, head), [...rest, `at ${when}`].join(" · "))
  const box = tip.getBoundingClientRect()
  tip.style.left = `${Math.min(Math.max(clientX - box.width / 2, 8), innerWidth - box.width - 8)}px`
  tip.style.top = `${clientY - box.height - 14 < 8 ? clientY + 20 : clientY - box.height - 14}px`
}

link.open("")
frame()
