import type { Theme } from "vitepress"
import DefaultTheme from "vitepress/theme-without-fonts"
import "./style.js"
import { Layout } from "./Layout.js"
import { StateDiagram } from "./StateDiagram.js"

const theme: Theme = {
  extends: DefaultTheme,
  Layout,
  enhanceApp: ({ app }) => {
    app.component("StateDiagram", StateDiagram)
  }
}

export default theme
