/** Lays a table out in columns. A line of one cell goes across all of them. */
export const columns = (head: ReadonlyArray<string>, lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line.length === 1 ? 0 : (line[column]?.length ?? 0))))
  )
  const rule = widths.map((width) => "-".repeat(width))
  return [head, rule, ...lines]
    .map((line) => line.map((cell, column) => cell.padEnd(line.length === 1 ? 0 : (widths[column] ?? 0))).join("  "))
    .map((line) => line.trimEnd())
    .join("\n")
}

/** Lays a table out in Markdown. */
export const markdown = (head: ReadonlyArray<string>, lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...lines.map((line) => line[column]?.length ?? 0))
  )
  return [head, widths.map((width) => "-".repeat(width)), ...lines]
    .map((line) => `| ${widths.map((width, column) => (line[column] ?? "").padEnd(width)).join(" | ")} |`)
    .join("\n")
}
