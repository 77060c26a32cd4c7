import type { MarkdownRenderer } from "vitepress"
import { timeline } from "./timeline.js"

const highlighted = new Map<string, string>()

/**
 * Colours each piece of code once. The pages for the browser, those for the server, and the index for the search are made
 * one after the other, and to colour the code is most of the work.
 */
export const remember = (markdown: MarkdownRenderer): void => {
  const { highlight } = markdown.options
  if (typeof highlight !== "function") return
  markdown.options.highlight = (code, language, attributes) => {
    const key = `${language} ${attributes} ${code}`
    const known = highlighted.get(key)
    if (known !== undefined) return known
    const made = highlight(code, language, attributes)
    highlighted.set(key, made)
    return made
  }
}

/** Draws what the guide has as text: the time lines, and the diagram of the states. */
export const drawings = (markdown: MarkdownRenderer): void => {
  const { fence } = markdown.renderer.rules
  markdown.renderer.rules.fence = (tokens, index, options, env, self) => {
    const { content = "", info = "" } = tokens[index] ?? {}
    if (info === "timeline") return timeline(content)
    if (info === "mermaid") return "<StateDiagram />"
    return fence?.(tokens, index, options, env, self) ?? ""
  }
}
