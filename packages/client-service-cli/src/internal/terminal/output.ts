/**
 * Standard output or standard error, as a place to write to until its reader goes away.
 */
import type { Writable } from "node:stream"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { codeOfNode } from "../listenError.js"
import { OutputError } from "../outputError.js"
import { type Colours, coloursFor } from "./colours.js"

export interface Output {
  /** Completes when the bytes are handed over, so a slow reader slows the writer down. */
  readonly write: (chunk: string | Uint8Array) => Effect.Effect<void>
  /** Writes without a wait, for callbacks. */
  readonly print: (chunk: string | Uint8Array) => void
  /**
   * Completes when nobody reads any more, as when `head` has seen enough; and fails when it cannot be written, as when a disk
   * is full. What is written later is dropped.
   */
  readonly closed: Effect.Effect<void, OutputError>
  readonly colours: Colours
  /** How many characters fit on a line, or nothing if this is no terminal. */
  readonly columns: () => number | undefined
}

/** A stream of the process, which may be a terminal. */
export type Stream = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** An output of the process, which is to end at some time though nobody reads it. */
export interface ProcessOutput extends Output {
  /** From now on, a reader who holds up a write for more than a second has gone. */
  readonly hurry: () => void
}

/** In milliseconds. */
const patience = 1000

export const make = (stream: Stream): Effect.Effect<ProcessOutput> =>
  Effect.map(Deferred.make<void, OutputError>(), (closed) => {
    let isOpen = true
    let isHurried = false
    /** What waits for the reader. */
    const held = new Set<() => void>()
    const giveUpLater = (done: () => void): void => {
      setTimeout(() => {
        if (!held.has(done)) return
        isOpen = false
        for (const done of held) done()
      }, patience)
    }
    // Stays for good: an error that comes late must not end the process either.
    stream.on("error", (error) => {
      isOpen = false
      const code = codeOfNode(error)
      // A terminal that has gone has an error of its own.
      const isGone = stream.isTTY === true || code === "EPIPE" || code === "ECONNRESET"
      Deferred.unsafeDone(closed, isGone ? Effect.void : Effect.fail(new OutputError({ code })))
    })
    return {
      write: (chunk) =>
        Effect.async<void>((resume) => {
          const done = () => {
            held.delete(done)
            resume(Effect.void)
          }
          if (!isOpen) return done()
          held.add(done)
          stream.write(chunk, done)
          if (isHurried) giveUpLater(done)
        }),
      print: (chunk) => void (isOpen && stream.write(chunk)),
      closed: Deferred.await(closed),
      hurry: () => {
        isHurried = true
        for (const done of held) giveUpLater(done)
      },
      colours: coloursFor(stream, process.env),
      columns: () => (stream.isTTY && process.env["TERM"] !== "dumb" ? stream.columns : undefined)
    }
  })
