import type { Client } from "pg"

/**
 * Knows whether a statement has ended the transaction of a client. Another one may have begun since, so the status that the server
 * gives after each turn is not enough.
 */
export class TransactionEnd {
  readonly #client: Client
  #hasCome = false
  #text = ""
  #isRolledBack = false

  constructor(client: Client) {
    this.#client = client
    client.connection.on("commandComplete", ({ text }: { readonly text: string }) => this.#completed(text))
  }

  get hasCome(): boolean {
    return this.#hasCome || this.#client.getTransactionStatus() === "I"
  }

  /** Takes note of what is about to run. */
  begin(text: unknown): void {
    this.#text = String(text)
    this.#isRolledBack = false
  }

  // A rollback to a savepoint is called as one of all is, and one that is chained leaves the status as it was.
  #completed(command: string): void {
    const isRollback = command === "ROLLBACK"
    const hasBegun = this.#isRolledBack && /^(BEGIN|START TRANSACTION)$/.test(command)
    this.#hasCome ||= command === "COMMIT" || hasBegun || (isRollback && /\bCHAIN\b/i.test(this.#text))
    this.#isRolledBack ||= isRollback
  }
}
