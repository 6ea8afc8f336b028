// Microsoft's client in all its forms, and what the tests ask of it.

import * as signalR from "@microsoft/signalr"
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack"

// Nothing that is waited for takes long, but the machine may be busy.
export const SOON = { timeout: 60_000 }

export const PROTOCOLS = { JSON: () => new signalR.JsonHubProtocol(), MessagePack: () => new MessagePackHubProtocol() }

export const TRANSPORTS = {
  "WebSockets": { transport: signalR.HttpTransportType.WebSockets },
  "Server-Sent Events": { transport: signalR.HttpTransportType.ServerSentEvents },
  "long polling": { transport: signalR.HttpTransportType.LongPolling },
  "WebSockets without negotiation": { transport: signalR.HttpTransportType.WebSockets, skipNegotiation: true },
}

/** Each way to connect: Server-Sent Events carry text alone. */
export const WAYS = Object.fromEntries(
  Object.entries(TRANSPORTS).flatMap(([name, options]) =>
    Object.keys(PROTOCOLS)
      .filter((protocol) => protocol === "JSON" || name !== "Server-Sent Events")
      .map((protocol) => [`${name}, ${protocol}`, { ...options, protocol }]),
  ),
)

/** Often enough to find a hub that is not there for a while. */
export const RETURNS = Array(100).fill(200)

/** A connection, and what it hears, one after the other; with `returns` it reconnects by itself after these times. */
export async function connect(url, { protocol = "JSON", returns, ...options } = {}) {
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(url, options)
    .withHubProtocol(PROTOCOLS[protocol]())
    .configureLogging(signalR.LogLevel.None)
  const connection = (returns ? builder.withAutomaticReconnect(returns) : builder).build()
  // What a server that pings often expects of its clients.
  connection.keepAliveIntervalInMilliseconds = 200
  const [heard, left] = [new Queue(), new Queue()]
  connection.on("Heard", (...message) => heard.push(message))
  connection.on("Left", (id) => left.push(id))
  await connection.start()
  return { connection, heard, left }
}

/** What becomes of a connection: the errors with which it is lost and ends, and the ids with which it is back. */
export function fate(connection) {
  const [lost, back, ended] = [new Queue(), new Queue(), new Queue()]
  connection.onreconnecting((error) => lost.push(error))
  connection.onreconnected((id) => back.push(id))
  connection.onclose((error) => ended.push(error))
  return { lost, back, ended }
}

/** What comes, in order, for those who wait for it. */
export class Queue {
  #values = []
  #wanted = []

  push(value) {
    const wanted = this.#wanted.shift()
    wanted ? wanted(value) : this.#values.push(value)
  }

  next() {
    return this.#values.length ? Promise.resolve(this.#values.shift()) : new Promise((resolve) => this.#wanted.push(resolve))
  }

  /** So many of them. */
  async take(count) {
    const taken = []
    while (taken.length < count) taken.push(await this.next())
    return taken
  }
}
