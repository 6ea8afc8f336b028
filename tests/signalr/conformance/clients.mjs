// Clients of the example `conformance`: Microsoft's, and what they cannot say.

import { once } from "node:events"
import http from "node:http"
import net from "node:net"
import * as signalR from "@microsoft/signalr"
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack"
import WebSocket from "ws"
import { Program } from "../../programs.mjs"

/** Each way to connect: Server-Sent Events carry text alone. */
export const WAYS = {
  "WebSockets, json": { transport: "WebSockets", protocol: "json" },
  "WebSockets, messagepack": { transport: "WebSockets", protocol: "messagepack" },
  "ServerSentEvents, json": { transport: "ServerSentEvents", protocol: "json" },
  "LongPolling, json": { transport: "LongPolling", protocol: "json" },
  "LongPolling, messagepack": { transport: "LongPolling", protocol: "messagepack" },
}

export const JSON_WAY = WAYS["WebSockets, json"]
export const PACK_WAY = WAYS["WebSockets, messagepack"]

const PROTOCOLS = { json: () => new signalR.JsonHubProtocol(), messagepack: () => new MessagePackHubProtocol() }

const MARK = "\x1e"

/** The program, and where it listens. */
export async function start(addr = "127.0.0.1:0") {
  const program = new Program(process.env.CONFORMANCE, "--listen", addr)
  return { program, url: await program.says("listening on ") }
}

/** Values that come one after the other, and can be waited for. */
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

  /** What has come and was not asked for. */
  get waiting() {
    return this.#values.length
  }

  async take(count) {
    return Promise.all(Array.from({ length: count }, () => this.next()))
  }
}

/** Microsoft's client, connected. */
export async function connect(url, { way = JSON_WAY, token, listens = [], ...options } = {}) {
  const client = build(url, { way, token, ...options })
  const heard = Object.fromEntries(listens.map((method) => [method, listen(client, method)]))
  await client.start()
  return Object.assign(client, { heard })
}

export function build(url, { way = JSON_WAY, token, ...options } = {}) {
  const accessTokenFactory = token && (() => token)
  const client = new signalR.HubConnectionBuilder()
    .withUrl(url, { transport: signalR.HttpTransportType[way.transport], accessTokenFactory, ...options })
    .withHubProtocol(PROTOCOLS[way.protocol]())
    .configureLogging(signalR.LogLevel.None)
    .build()
  // In time for /fasthub too.
  client.keepAliveIntervalInMilliseconds = 500
  client.ended = new Promise((resolve) => client.onclose(resolve))
  return client
}

/** The arguments of each invocation of `method`, from now on. */
export function listen(client, method) {
  const heard = new Queue()
  client.on(method, (...args) => heard.push(args))
  return heard
}

export async function stop(...clients) {
  await Promise.all(clients.map((client) => client.stop()))
}

let names = 0

/** A name that no other test uses. */
export function unique(name) {
  return `${name}-${process.pid}-${names++}`
}

/** A client that says what it likes over a WebSocket. */
export class Raw {
  #socket
  #protocol
  #messages = new Queue()
  #shaken

  /** The socket is open; nothing was said. */
  static async open(url, { protocol = "json", headers, returns = false, ...options } = {}) {
    const raw = new Raw()
    raw.#protocol = protocol
    // Who returns to its connection has shaken hands before.
    raw.#shaken = returns
    raw.#socket = new WebSocket(url.replace("http", "ws"), { headers, ...options })
    raw.closed = new Promise((resolve) => raw.#socket.on("close", resolve))
    raw.#socket.on("message", (data) => raw.#hear(data))
    await once(raw.#socket, "open")
    return raw
  }

  /** The handshake is done. */
  static async connect(url, { version = 1, ...options } = {}) {
    const raw = await Raw.open(url, options)
    raw.handshake(version)
    const answer = await raw.next()
    if (answer.error !== undefined) throw new Error(answer.error)
    return raw
  }

  handshake(version = 1, protocol = this.#protocol) {
    this.say(JSON.stringify({ protocol, version }) + MARK)
  }

  /** Says these bytes, or this text. */
  say(data) {
    this.#socket.send(data)
  }

  /** Says messages, all in one frame. */
  send(...messages) {
    const written = messages.map((message) => write(this.#protocol, message))
    this.say(this.#protocol === "json" ? written.join("") : Buffer.concat(written.map((one) => Buffer.from(one))))
  }

  /** What is heard next, but for pings. */
  async next() {
    for (;;) {
      const message = await this.any()
      if (message?.type !== 6) return message
    }
  }

  /** What is heard next, pings too. */
  any() {
    return this.#messages.next()
  }

  /** Calls, and waits for the answer: what else is heard meanwhile comes first. */
  async invoke(target, ...args) {
    const invocationId = unique("call")
    this.send({ type: 1, invocationId, target, arguments: args })
    for (;;) {
      const message = await this.next()
      if (message.invocationId === invocationId) return message
    }
  }

  /** What has come and was not asked for, when nothing more comes: the other end has had some turns meanwhile. */
  async settled() {
    for (let turn = 0; turn < 10; turn++) {
      this.#socket.ping()
      await once(this.#socket, "pong")
    }
    return this.#messages.waiting
  }

  /** Goes without a word. */
  cut() {
    this.#socket.terminate()
  }

  pause() {
    this.#socket._socket.pause()
  }

  resume() {
    this.#socket._socket.resume()
  }

  #hear(data) {
    let rest = data
    if (!this.#shaken) {
      this.#shaken = true
      const bytes = Buffer.from(data)
      const end = bytes.indexOf(0x1e)
      this.#messages.push(JSON.parse(bytes.subarray(0, end).toString()))
      rest = this.#protocol === "json" ? bytes.subarray(end + 1).toString() : bytes.subarray(end + 1)
    }
    for (const message of read(this.#protocol, rest)) this.#messages.push(message)
  }
}

/** One message as it is on the wire. */
export function write(protocol, message) {
  return protocol === "json" ? JSON.stringify(message) + MARK : PROTOCOLS.messagepack().writeMessage(message)
}

/** The messages in `data`. */
export function read(protocol, data) {
  if (!data.length) return []
  if (protocol === "json") return data.toString().split(MARK).filter(Boolean).map((text) => JSON.parse(text))
  const bytes = Buffer.from(data)
  return PROTOCOLS.messagepack().parseMessages(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), QUIET)
}

const QUIET = { log() {} }

/** A request, and its answer; `body` is what comes of it. */
export async function request(url, { method = "GET", headers = {}, body, agent } = {}) {
  const asked = http.request(url, { method, headers, agent: agent ?? new http.Agent() })
  asked.end(body)
  const [answer] = await once(asked, "response")
  const parts = []
  for await (const part of answer) parts.push(part)
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts).toString() }
}

export const post = (url, body, headers) => request(url, { method: "POST", body, headers })

export async function postJson(url, value) {
  const answer = await post(url, JSON.stringify(value), { "content-type": "application/json" })
  return { ...answer, value: answer.body && JSON.parse(answer.body) }
}

/** What a negotiation comes to. */
export async function negotiate(hub, query = "negotiateVersion=1", headers) {
  const answer = await post(`${hub}/negotiate${query && "?" + query}`, undefined, headers)
  return { ...answer, value: answer.status === 200 ? JSON.parse(answer.body) : undefined }
}

/** A client that polls by hand; has shaken hands. */
export class Poller {
  static async connect(hub, { query = "" } = {}) {
    const poller = new Poller()
    const { value } = await negotiate(hub, "negotiateVersion=1" + query)
    poller.id = value.connectionId
    poller.url = `${hub}?id=${value.connectionToken}${query}`
    poller.first = await poller.poll()
    await poller.say('{"protocol":"json","version":1}' + MARK)
    poller.handshake = await poller.poll()
    return poller
  }

  poll() {
    return request(this.url)
  }

  say(text) {
    return post(this.url, text)
  }

  send(...messages) {
    return this.say(messages.map((message) => write("json", message)).join(""))
  }

  /** The messages of the next poll. */
  async hear() {
    return read("json", (await this.poll()).body)
  }

  part() {
    return request(this.url, { method: "DELETE" })
  }
}

/** A client that hears events by hand; has said hello. */
export class Events {
  messages = new Queue()

  static async connect(hub, { handshake = '{"protocol":"json","version":1}', query = "" } = {}) {
    const events = new Events()
    const { value } = await negotiate(hub, "negotiateVersion=1" + query)
    events.id = value.connectionId
    events.url = `${hub}?id=${value.connectionToken}${query}`
    events.asked = http.get(events.url, { headers: { accept: "text/event-stream" }, agent: new http.Agent() })
    const [answer] = await once(events.asked, "response")
    events.answer = answer
    events.ended = new Promise((resolve) => answer.on("close", resolve).on("error", resolve))
    events.#read(answer)
    await events.say(handshake + MARK)
    return events
  }

  async #read(answer) {
    let text = ""
    answer.on("data", (data) => {
      text += data
      for (let end; (end = text.indexOf("\r\n\r\n")) >= 0; text = text.slice(end + 4)) {
        const event = text.slice(0, end)
        if (event.startsWith("data: ")) for (const message of read("json", event.slice(6))) this.messages.push(message)
      }
    })
  }

  say(text) {
    return post(this.url, text)
  }

  async next() {
    for (;;) {
      const message = await this.messages.next()
      if (message.type !== 6) return message
    }
  }

  cut() {
    this.asked.destroy()
  }
}

/** What comes of these bytes on a connection of their own, to its end. */
export async function bytes(url, text) {
  const { hostname, port } = new URL(url)
  const socket = net.connect(port, hostname)
  socket.on("error", () => {})
  const parts = []
  socket.on("data", (part) => parts.push(part))
  socket.write(text)
  await once(socket, "close")
  return Buffer.concat(parts).toString()
}

/** The status of a request for a WebSocket. */
export function upgrade(url, headers = {}) {
  const asked = http.request(url, {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
    },
    agent: new http.Agent(),
  })
  asked.end()
  return new Promise((resolve, reject) => {
    asked.on("upgrade", (answer, socket) => (socket.destroy(), resolve(answer.statusCode)))
    asked.on("response", (answer) => (answer.resume(), resolve(answer.statusCode)))
    asked.on("error", reject)
  })
}

/** Looks again until it is so. */
export async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** How many milliseconds `work` takes, and what it comes to. */
export async function timed(work) {
  const begun = performance.now()
  const value = await work
  return { ms: performance.now() - begun, value }
}
