import type { Theme } from "vitepress"
import DefaultTheme from "vitepress/theme-without-fonts"
import { defineAsyncComponent } from "vue"
// biome-ignore lint/correctness/useImportExtensions: it is no module of JavaScript
import "./style.css"
import { Layout } from "./Layout.js"
import { StateDiagram } from "./StateDiagram.js"

const theme: Theme = {
  extends: DefaultTheme,
  Layout,
  enhanceApp: ({ app }) => {
    app.component("StateDiagram", StateDiagram)
    // With the service, and with what it needs of Effect, which no other page loads.
    app.component(
      "ServicePlayground",
      defineAsyncComponent(() => import("./playground/Playground.js"))
    )
  }
}

export default theme
