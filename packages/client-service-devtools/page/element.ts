type Attributes = Readonly<Record<string, string>>

/** Makes an element. Texts are never taken for HTML. */
export const element = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Tag] => {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** Sets what an element says, if that is something else: screen readers and browsers do work for each. */
export const say = (element: Element, text: string): void => {
  if (element.textContent !== text) element.textContent = text
}

export const setAttribute = (element: Element, name: string, value: string): void => {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}

/** An element of the document that is there from the beginning. */
export const byId = <Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind => {
  const found = document.getElementById(id)
  if (!(found instanceof kind)) throw new Error(`there is no ${id}`)
  return found
}
