/** Whether a version is in a range of the forms that packages of Effect use: `^1.2.3`, `>=1.2.3 <2`, `1.2.3`, `*`, and `||`. */
export const satisfies = (version: string, range: string): boolean =>
  range.split("||").some((part) =>
    part
      .trim()
      .split(/\s+/)
      .every((comparator) => isWithin(version, comparator))
  )

export const compareVersions = (one: string, other: string): number => {
  const [a, b] = [numbers(one), numbers(other)]
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}

const isWithin = (version: string, comparator: string): boolean => {
  if (comparator === "*" || comparator === "") return true
  const [, operator = "", bound = ""] = /^([\^<>=~]*)(\d[\w.+-]*)$/.exec(comparator) ?? []
  const order = compareVersions(version, bound)
  switch (operator) {
    case "":
    case "=":
      return order === 0
    case ">=":
      return order >= 0
    case ">":
      return order > 0
    case "<":
      return order < 0
    case "<=":
      return order <= 0
    case "^":
      return order >= 0 && compareVersions(version, next(bound)) < 0
    default:
      throw new Error(`A range that is not understood: ${comparator}`)
  }
}

/** The first version that is not compatible with this one. */
const next = (version: string): string => {
  const [major, minor, patch] = numbers(version)
  if (major > 0) return `${major + 1}.0.0`
  return minor > 0 ? `0.${minor + 1}.0` : `0.0.${patch + 1}`
}

const numbers = (version: string): readonly [number, number, number] => {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.+-]/, 3).map(Number)
  return [major, minor, patch]
}
