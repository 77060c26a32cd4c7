/**
 * Bytes that are no whole frame yet. A frame that comes in many chunks is copied a constant number of times, and one that
 * comes whole in a chunk not at all. What was given is never written to again.
 */
export class Pending {
  #array: Uint8Array = empty
  #start = 0
  #end = 0
  /** Whether the array is this one's, with room behind the end. */
  #isOwn = false

  get length(): number {
    return this.#end - this.#start
  }

  get bytes(): Uint8Array {
    return this.#array.subarray(this.#start, this.#end)
  }

  append(chunk: Uint8Array): void {
    const { length } = this
    if (length === 0) {
      this.#array = chunk
      this.#start = 0
      this.#end = chunk.length
      this.#isOwn = false
      return
    }
    if (!this.#isOwn || this.#array.length - this.#end < chunk.length) {
      const grown = new Uint8Array(2 * (length + chunk.length))
      grown.set(this.bytes)
      this.#array = grown
      this.#start = 0
      this.#end = length
      this.#isOwn = true
    }
    this.#array.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** Takes so many bytes from the beginning away. */
  drop(length: number): void {
    this.#start += length
    if (this.#start === this.#end) this.#array = empty
  }
}

const empty = /* @__PURE__ */ new Uint8Array(0)
