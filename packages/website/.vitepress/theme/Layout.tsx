import DefaultTheme from "vitepress/theme-without-fonts"
import { type FunctionalComponent, h } from "vue"
import { timeline } from "../../src/timeline.js"

/** A circle that is closed again wherever it is broken. */
const Logo: FunctionalComponent = () => (
  <svg class="cs-logo" viewBox="0 0 32 32" aria-hidden="true">
    <path d="M5 16a11 11 0 0 1 19-7.6M27 16a11 11 0 0 1-19 7.6" />
    <path d="M24.500 3v6h-6M7.500 29v-6h6" />
    <circle cx="16" cy="16" r="2.6" />
  </svg>
)

export const Layout: FunctionalComponent = () =>
  h(DefaultTheme.Layout, undefined, {
    "nav-bar-title-before": () => <Logo />,
    "home-hero-image": () => <div class="cs-hero" innerHTML={life} />
  })

/** What the service is for, as the guide draws it. */
const life = timeline(
  `
owner         [========================================>
attempt          [===x     [====]          [===]
delay                .......              ..
connection                     [=========x     [========>
use                               [==]  [x      [====]
`.trim()
)
