/** What the peer sends at `FLOOD`: blocks of the same byte, another in each. */
export const blocks = 1024

export const blockSize = 64 * 1024

export const block = (index: number): Uint8Array => new Uint8Array(blockSize).fill(index % 251)

/** Gives what is wrong with the flood, from its beginning on, or the bytes that there are if nothing is. */
export const checkFlood = (): { readonly take: (bytes: Uint8Array) => void; readonly received: () => number } => {
  let received = 0
  return {
    take: (bytes) => {
      for (const byte of bytes) {
        if (byte !== Math.floor(received / blockSize) % 251) throw new Error(`byte ${received} of the flood is ${byte}`)
        received += 1
      }
    },
    received: () => received
  }
}
