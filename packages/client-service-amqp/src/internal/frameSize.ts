import type { Options } from "amqplib"

/** How many bytes the frame takes that has the properties of a message, as the client encodes them. */
export const sizeOfProperties = ({ BCC, CC, deliveryMode, headers, ...properties }: Options.Publish): number => {
  const { expiration, persistent, priority, timestamp } = properties
  let size = beforeProperties + sizeOfTable(headers) + sizeOfCopies("CC", CC) + sizeOfCopies("BCC", BCC)
  for (const name of texts) {
    const text = properties[name]
    if (typeof text === "string") size += 1 + Buffer.byteLength(text)
  }
  if (expiration !== undefined) size += 1 + String(expiration).length
  if (persistent !== undefined || deliveryMode !== undefined) size += 1
  if (priority !== undefined) size += 1
  if (timestamp !== undefined) size += 8
  return size
}

/** The frame itself, and the class, the weight, the size of the content and the flags in it. */
const beforeProperties = 8 + 14

const texts = [
  ...(["contentType", "contentEncoding", "correlationId", "replyTo"] as const),
  ...(["messageId", "type", "userId", "appId"] as const)
] as const

const sizeOfCopies = (name: string, copies: unknown): number =>
  copies === undefined
    ? 0
    : 1 + name.length + sizeOfValue((Array.isArray(copies) ? copies : [copies]).map(String), new Set())

/** How many bytes a table takes, without those of its own size. Throws for what no server can read, and what has no end. */
export const sizeOfTable = (table: unknown): number => sizeOfFields(table, new Set([table]))

const sizeOfFields = (table: unknown, ancestors: Set<unknown>): number => {
  let size = 4
  if (typeof table !== "object" || table === null) return size
  // As the client does, with what is inherited.
  for (const key in table) {
    const value: unknown = Reflect.get(table, key)
    if (value !== undefined) size += 1 + Buffer.byteLength(key) + sizeOfValue(value, ancestors)
  }
  return size
}

const sizeOfValue = (value: unknown, ancestors: Set<unknown>): number => {
  // The client takes this for a value of the type that it names.
  if (typeof value === "object" && value !== null && "!" in value)
    return sizeOfType(String(value["!"]), "value" in value ? value.value : undefined, ancestors)
  return sizeOfType(typeof value, value, ancestors)
}

const sizeOfType = (type: string, value: unknown, ancestors: Set<unknown>): number => {
  // A server takes such a number for an error of its own, and closes the connection for it.
  if (typeof value === "number" && !Number.isFinite(type === "float" ? Math.fround(value) : value))
    throw new RangeError(`The number ${value} can't be encoded as ${type}`)
  if (type === "string") return 5 + Buffer.byteLength(String(value))
  if (type === "number") return 1 + sizeOfNumber(Number(value))
  const size = sizes.get(type)
  if (size !== undefined) return 1 + size
  if (value === null) return 1
  if (Buffer.isBuffer(value)) return 5 + value.length
  if (ancestors.has(value)) throw new RangeError("A table that has itself in it can't be encoded")
  ancestors.add(value)
  const sum = Array.isArray(value)
    ? value.reduce<number>((size, item) => size + sizeOfValue(item, ancestors), 5)
    : 1 + sizeOfFields(value, ancestors)
  ancestors.delete(value)
  return sum
}

const sizeOfNumber = (value: number): number => {
  const isFraction = Math.abs(value) < 2 ** 50 && !Number.isInteger(value)
  if (isFraction || value >= 2 ** 31 || value < -(2 ** 31)) return 8
  if (value >= -(2 ** 7) && value < 2 ** 7) return 1
  return value >= -(2 ** 15) && value < 2 ** 15 ? 2 : 4
}

const sizes: ReadonlyMap<string, number> = new Map([
  ...["boolean", "byte", "int8", "unsignedbyte", "uint8"].map((name) => [name, 1] as const),
  ...["short", "int16", "unsignedshort", "uint16"].map((name) => [name, 2] as const),
  ...["int", "int32", "unsignedint", "uint32", "float"].map((name) => [name, 4] as const),
  ...["double", "float64", "long", "int64", "timestamp"].map((name) => [name, 8] as const),
  ["decimal", 5]
])
