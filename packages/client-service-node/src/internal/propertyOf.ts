/** A property of what may have it, such as an object of Node.js whose types do not tell of it. */
export const propertyOf = (value: unknown, property: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, property) : undefined
