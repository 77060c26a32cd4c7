/**
 * The browser that tests of browsers run in.
 */
import * as debian from "./debian.js"

export type Executable = "chromium"

export const wanted: debian.Wanted<Executable> = { packages: ["chromium"], executables: ["chromium"] }

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)

/** Without a window, and with no more of what is done in the background than tests need. */
export const flags: ReadonlyArray<string> = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--disable-breakpad",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]
