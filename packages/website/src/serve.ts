import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join, normalize } from "node:path"
import { built, isThere } from "./workspace.js"

const types: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8"
}

/** Serves the site as it is built, as any server of files would, at a port of the system's choice. */
export const serve = (
  port = 0
): Promise<{ readonly origin: string; readonly missing: ReadonlyArray<string>; readonly close: () => void }> => {
  const missing: Array<string> = []
  const server: Server = createServer(({ url = "/" }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname))
    const file = join(built, "site", path.endsWith("/") ? `${path}index.html` : path)
    const found = [file, `${file}.html`].find((file) => isThere(file) && extname(file) !== "")
    if (found === undefined) missing.push(path)
    const shown = found ?? join(built, "site/404.html")
    response
      .writeHead(found === undefined ? 404 : 200, {
        "content-type": types[extname(shown)] ?? "application/octet-stream"
      })
      .end(readFileSync(shown))
  })
  return new Promise((resolve, reject) => {
    server.on("error", reject)
    server.listen(port, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resolve({
        origin: `http://127.0.0.1:${port}`,
        missing,
        close: () => {
          server.close()
          server.closeAllConnections()
        }
      })
    })
  })
}
