// A proxy for TCP that breaks on demand.

import { once } from "node:events"
import { connect, createServer } from "node:net"

const open = new Set()

export class Proxy {
  #server
  #pairs = new Set()
  #silent = false

  /** Listens, for those who want to go to `target`, a URL; another URL leads through it. */
  static async to(target) {
    const proxy = new Proxy()
    open.add(proxy)
    const { hostname, port } = new URL(target)
    proxy.#server = createServer((client) => proxy.#join(client, connect(port, hostname)))
    proxy.#server.listen(0, "127.0.0.1")
    await once(proxy.#server, "listening")
    const url = new URL(target)
    url.port = proxy.#server.address().port
    proxy.url = url.href
    return proxy
  }

  #join(client, server) {
    const pair = [client, server]
    this.#pairs.add(pair)
    for (const [from, to] of [pair, [server, client]]) {
      from.on("data", (bytes) => this.#silent || to.write(bytes))
      from.on("error", () => {})
      from.on("close", () => {
        // Nor does silence say that somebody has gone.
        if (this.#silent) return
        this.#pairs.delete(pair)
        to.destroy()
      })
    }
  }

  /** Breaks every connection, without a goodbye. */
  cut() {
    for (const pair of this.#pairs) pair.forEach(broken)
    this.#pairs.clear()
  }

  /** Says nothing more to anybody. */
  fallSilent() {
    this.#silent = true
  }

  stop() {
    open.delete(this)
    this.#silent = false
    this.cut()
    this.#server.close()
  }
}

/** Node does not close a socket that is reset while its end is on the way, and then the process itself has no end. */
function broken(socket) {
  socket.writableEnded ? socket.destroy() : socket.resetAndDestroy()
}

export function stopProxies() {
  for (const proxy of open) proxy.stop()
}
