/**
 * The browser that tests of browsers run in.
 */
import * as debian from "./debian.js"

export type Executable = "chromium"

export const wanted: debian.Wanted<Executable> = { packages: ["chromium"], executables: ["chromium"] }

export const install = (): Promise<debian.Installed<Executable>> => debian.install(wanted)
