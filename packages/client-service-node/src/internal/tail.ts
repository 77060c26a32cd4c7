/** The last bytes of many. */
export class Tail {
  private kept: Buffer = Buffer.alloc(0)

  constructor(private readonly length: number) {}

  add(chunk: Buffer): void {
    // Not `subarray`, which would keep all of a chunk for its last bytes.
    this.kept =
      chunk.length >= this.length
        ? Buffer.from(chunk.subarray(chunk.length - this.length))
        : Buffer.concat([this.kept.subarray(Math.max(0, this.kept.length + chunk.length - this.length)), chunk])
  }

  /** Without what is left of a character that was cut. */
  get text(): string {
    const begin = this.kept.length < this.length ? 0 : this.kept.findIndex((byte) => (byte & 0xc0) !== 0x80)
    return new TextDecoder().decode(this.kept.subarray(Math.max(0, begin)))
  }
}
