// A way to a server that knows when a WebSocket is in use on both sides, and breaks it then; at the server it may stay half open.

import { once } from "node:events"
import { connect, createServer } from "node:net"

/** Carries bytes between clients and a port of this machine. */
export class WebSocketProxy {
  #server = createServer((client) => this.#carry(client))
  #port
  #ways = new Set()
  /** Nothing that the server says arrives. */
  #silent = false

  static async to(port) {
    const proxy = new WebSocketProxy()
    proxy.#port = port
    proxy.#server.listen(0, "127.0.0.1")
    await once(proxy.#server, "listening")
    return proxy
  }

  get port() {
    return this.#server.address().port
  }

  /** Loses the WebSocket, with what is on its way; at the server it may stay half open. Waits until there is one that both sides have used. */
  async cut({ halfOpen = false } = {}) {
    const used = () => [...this.#ways].filter((way) => way.asked && way.answered && !way.cut)
    while (used().length === 0) await new Promise(setImmediate)
    for (const way of used()) {
      way.cut = true
      way.client.destroy()
      if (!halfOpen) way.server.destroy()
    }
    this.#silent = false
  }

  /** Lets nothing of the server arrive until the next cut. */
  silence() {
    this.#silent = true
  }

  close() {
    this.#server.close()
    for (const { client, server } of this.#ways) for (const socket of [client, server]) socket.destroy()
  }

  #carry(client) {
    const server = connect(this.#port, "127.0.0.1")
    // What each side has said over a WebSocket.
    const way = { client, server, upgraded: false, asked: false, answered: false, cut: false }
    this.#ways.add(way)
    client.on("data", (bytes) => {
      way.asked ||= way.upgraded
      server.write(bytes)
    })
    server.on("data", (bytes) => {
      const switches = bytes.indexOf("HTTP/1.1 101") === 0
      way.answered ||= way.upgraded || (switches && bytes.indexOf("\r\n\r\n") + 4 < bytes.length)
      way.upgraded ||= switches
      if (!this.#silent) client.write(bytes)
    })
    client.on("end", () => way.cut || server.end())
    server.on("end", () => client.end())
    for (const socket of [client, server]) socket.on("error", () => {})
    server.on("close", () => client.end() && this.#ways.delete(way))
  }
}
