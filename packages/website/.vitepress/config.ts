import { defineConfig } from "vitepress"
import { drawings, remember } from "../src/markdown.js"
import { readNavigation } from "../src/stage.js"

const { nav, reference, sidebar } = readNavigation()

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#0d8f78" stroke-width="3.4" stroke-linecap="round"><path d="M5 16a11 11 0 0 1 19-7.600M27 16a11 11 0 0 1-19 7.600"/><path d="M24.500 3v6h-6M7.500 29v-6h6" stroke-linejoin="round"/><circle cx="16" cy="16" r="2.600" fill="#0d8f78"/></svg>`

export default defineConfig({
  lang: "en",
  title: "ClientService",
  titleTemplate: ":title · ClientService for Effect",
  description: "Keeps one outgoing connection alive for as long as its Scope lives",
  base: process.env["WEBSITE_BASE"] ?? "/",
  srcDir: "build/pages",
  outDir: "build/site",
  cacheDir: "build/cache",
  head: [
    ["link", { rel: "icon", href: `data:image/svg+xml,${encodeURIComponent(icon)}` }],
    ["meta", { name: "theme-color", content: "#0d8f78" }]
  ],
  vite: {
    esbuild: { jsx: "automatic", jsxImportSource: "vue" },
    build: { reportCompressedSize: false }
  },
  markdown: {
    config: (markdown) => {
      remember(markdown)
      drawings(markdown)
    }
  },
  themeConfig: {
    siteTitle: "ClientService",
    nav,
    sidebar: { "/reference/": reference, "/": sidebar },
    outline: { level: [2, 3] },
    search: { provider: "local" },
    footer: { message: "MIT licensed" }
  }
})
