import { AbortError, ClientClosedError, type RedisClientType } from "@redis/client"
import type { Owner } from "./owner.js"

/** A client on a connection that is nobody else's for as long as something runs. */
export interface OwnClient {
  readonly client: RedisClientType
  /** What the client refuses. */
  readonly owner: Owner
  /** What the server calls the connection, if it tells. */
  readonly id: number | undefined
  readonly isOpen: () => boolean
  /** Whether it has kept something of whoever had it, and is for nobody else. */
  readonly isSpoiled: () => boolean
  readonly spoil: () => void
  /** When the server last gave a sign of life. */
  readonly lastHeard: () => number | undefined
  /** Tells of the loss of the connection, unless it is destroyed. */
  readonly onLost: (f: (error: unknown) => void) => void
  readonly destroy: () => void
}

/** What a client is made by. It may be told to end before it is open. */
export interface Opening {
  readonly client: Promise<OwnClient>
  readonly destroy: () => void
}

/** What the connection that callers share asks about others. */
export interface Others {
  /** Has the server answer what a connection waits for, and tells whether it waited. */
  readonly unblock: (id: number) => Promise<boolean>
  /** Has the server close a connection, of which it reads nothing any more. */
  readonly kill: (id: number) => void
}

/** What somebody has a client for: one command that blocks, several of which some do, or what keeps back no answer. */
export type Purpose = "one that blocks" | "some that block" | "none that blocks"

/** The connection that a command had for itself was lost, and none else. */
export class OwnClientLost extends Error {}

/**
 * Clients for what needs one for itself, such as commands that keep back their answers. They end with the connection that
 * they belong to.
 */
export class OwnClients {
  readonly #open: () => Opening
  readonly #others: Others
  readonly #all = new Set<Opening>()
  readonly #blocking = new Set<OwnClient>()
  #idle: Array<OwnClient> = []
  #busy = 0
  #isClosed = false

  constructor(open: () => Opening, others: Others) {
    this.#open = open
    this.#others = others
  }

  /** Runs what has one answer. When the signal aborts, nothing of it waits on the server any longer. */
  async run<T>(f: (own: OwnClient) => Promise<T>, signal: AbortSignal | undefined, purpose: Purpose): Promise<T> {
    const own = await this.#take(signal)
    this.#busy += 1
    let hasArrived = false
    let ended: Promise<void> | undefined
    const leave = () => {
      ended ??= this.#end(own, purpose, hasArrived)
    }
    if (purpose !== "none that blocks") this.#blocking.add(own)
    // In one write with what comes next, so that the server has read that, too, when it answers.
    const arrived = () => {
      hasArrived = true
    }
    if (purpose === "one that blocks") own.owner.sendCommand(["PING"]).then(arrived, arrived)
    try {
      if (signal?.aborted) throw new AbortError()
      signal?.addEventListener("abort", leave)
      return await f(own)
    } catch (error) {
      throw own.isOpen() || this.#isClosed || signal?.aborted ? error : new OwnClientLost("", { cause: error })
    } finally {
      signal?.removeEventListener("abort", leave)
      this.#blocking.delete(own)
      this.#busy -= 1
      // Whoever had it next would be ended in the place of this one.
      if (ended === undefined) this.#giveBack(own)
      else void ended.then(() => this.#giveBack(own))
    }
  }

  /** Opens one that is for whoever asks for it, until it is destroyed. */
  open(): Opening {
    if (this.#isClosed) throw new ClientClosedError()
    const opening = this.#open()
    this.#all.add(opening)
    const destroy = () => {
      opening.destroy()
      this.#all.delete(opening)
    }
    return { client: opening.client, destroy }
  }

  close(): void {
    this.#isClosed = true
    for (const { id } of this.#blocking) if (id !== undefined) this.#others.kill(id)
    for (const { destroy } of this.#all) destroy()
    this.#all.clear()
    this.#idle = []
  }

  async #take(signal: AbortSignal | undefined): Promise<OwnClient> {
    for (let own = this.#idle.pop(); own !== undefined; own = this.#idle.pop()) if (own.isOpen()) return own
    const { client, destroy } = this.open()
    signal?.addEventListener("abort", destroy)
    try {
      const own = await client
      return { ...own, destroy }
    } catch (error) {
      destroy()
      throw error
    } finally {
      signal?.removeEventListener("abort", destroy)
    }
  }

  // As many as are in use wait for the next, and one.
  #giveBack(own: OwnClient): void {
    if (!this.#isClosed && own.isOpen() && !own.isSpoiled() && this.#idle.length <= this.#busy) this.#idle.push(own)
    else own.destroy()
  }

  // In order with what the shared connection sends later: that finds nobody waiting, be it that the server has not read yet what
  // would wait.
  async #end({ destroy, id }: OwnClient, purpose: Purpose, hasArrived: boolean): Promise<void> {
    if (id !== undefined && purpose !== "none that blocks") {
      const isKept = purpose === "one that blocks" && hasArrived
      if (isKept && (await this.#others.unblock(id).catch(() => false))) return
      // It may be large, and be read only in part.
      this.#others.kill(id)
    }
    destroy()
  }
}
