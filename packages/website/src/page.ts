/** A page of the site. */
export interface Page {
  /** Where it is on the site, such as `learn/waiting.md`. */
  readonly path: string
  readonly title: string
  /** The file of the repository that it is made of, if it is made of one. Its links are seen from there. */
  readonly source: string | undefined
  readonly markdown: string
}
