/** A property of what may have it, or nothing. */
export const propertyOf = (value: unknown, property: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, property) : undefined
