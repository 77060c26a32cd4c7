import { type ChildProcess, spawn } from "node:child_process"
import { Socket } from "node:net"
import { requireDescriptors } from "./descriptors.js"
import { hasGroups } from "./processGroup.js"

/**
 * Has a process group killed if this program ends, in whatever way, before it has been released.
 *
 * A program that is killed can't do that itself, and nor can one that ends by a signal that it does not handle, or whose
 * thread is terminated. So it is done by a shell that waits for the end of its input. What it reads are the groups, each by
 * the line `+ <group>`, or `- <group>` once that is released. There is one for all groups of a thread, as long as there is
 * any; where there is no shell, what remains is done at the `exit` of this program.
 */
export const guard = (group: number): (() => void) => {
  if (!hasGroups) return () => {}
  if (groups.size === 0) process.on("exit", killAll)
  groups.add(group)
  if (shell === undefined) shell = startShell()
  else tell(`+ ${group}\n`)
  return () => {
    if (!groups.delete(group)) return
    tell(`- ${group}\n`)
    if (groups.size > 0) return
    process.off("exit", killAll)
    shell?.kill("SIGKILL")
    shell = undefined
  }
}

const groups = new Set<number>()

let shell: ChildProcess | undefined

// They have a second to end by themselves, as their input has ended too.
const script = `
trap '' HUP INT TERM
groups=
while read -r sign group; do
  if [ "$sign" = + ]; then
    groups="$groups $group"
  else
    rest=
    for other in $groups; do
      [ "$other" = "$group" ] || rest="$rest $other"
    done
    groups=$rest
  fi
done
[ -n "$groups" ] || exit 0
for group in $groups; do
  kill -s TERM -- "-$group"
  kill -s CONT -- "-$group"
done
sleep 1
for group in $groups; do kill -s KILL -- "-$group"; done
`

const startShell = (): ChildProcess | undefined => {
  try {
    const { PATH } = process.env
    requireDescriptors()
    const started = spawn("/bin/sh", ["-c", script], {
      cwd: "/",
      detached: true,
      env: PATH === undefined ? {} : { PATH },
      stdio: ["pipe", "ignore", "ignore"]
    })
    const ended = () => {
      if (shell === started) shell = undefined
    }
    started.on("error", ended).on("exit", ended).unref()
    const { stdin } = started
    stdin.on("error", () => {})
    if (stdin instanceof Socket) stdin.unref()
    stdin.write([...groups].map((group) => `+ ${group}\n`).join(""))
    return started
  } catch {
    return undefined
  }
}

const tell = (line: string): void => {
  shell?.stdin?.write(line)
}

const killAll = (): void => {
  if (shell !== undefined) return
  for (const group of groups) {
    try {
      process.kill(-group, "SIGKILL")
    } catch {
      // It has gone meanwhile.
    }
  }
}
