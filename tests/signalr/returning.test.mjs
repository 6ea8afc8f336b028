// The example `chat` over a bad network, with Microsoft's client at the other end: stateful reconnect.
//
// Usage: CHAT=… node returning.test.mjs: the example, built.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import * as signalR from "@microsoft/signalr"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"
import { PROTOCOLS, SOON } from "./clients.mjs"
import { WebSocketProxy as Proxy } from "./websocket_proxy.mjs"

let port

before(async () => {
  const program = new Program(process.env.CHAT, "--listen", "127.0.0.1:0")
  port = new URL(await program.says("listening on ")).port
}, SOON)

after(stopAll)

/** A connection that returns when it is lost, and what becomes of it. */
async function connect(protocol, port) {
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(`http://127.0.0.1:${port}/chat`, { transport: signalR.HttpTransportType.WebSockets })
    .withHubProtocol(PROTOCOLS[protocol]())
    .withStatefulReconnect()
    .configureLogging(signalR.LogLevel.None)
    .build()
  const peer = { connection, heard: [], ends: [] }
  connection.on("Heard", (user, text) => peer.heard.push(`${user}: ${text}`))
  connection.onclose((error) => peer.ends.push(`${error}`))
  await connection.start()
  return peer
}

/** Until this is so. */
async function until(isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

for (const protocol of Object.keys(PROTOCOLS)) {
  /** Two in a room, one of them over a bad network. */
  const check = (name, act) =>
    test(`${name}: ${protocol}`, SOON, async () => {
      const proxy = await Proxy.to(port)
      const [ann, ben] = [await connect(protocol, proxy.port), await connect(protocol, port)]
      const { connectionId } = ann.connection
      const room = `${name}, ${protocol}`
      for (const { connection } of [ann, ben]) assert.equal(await connection.invoke("Join", room), true)
      await act({ proxy, ann, ben, room })
      // It was the same connection all the time.
      assert.deepEqual([ann.ends, ben.ends], [[], []])
      assert.equal(ann.connection.connectionId, connectionId)
      await Promise.all([ann.connection.stop(), ben.connection.stop()])
      proxy.close()
    })

  const say = ({ connection }, room, user, count) => connection.invoke("Say", room, user, `${count}`)

  check("over many cuts everything is heard and done once, in order", async ({ proxy, ann, ben, room }) => {
    const said = []
    for (let round = 0; round < 30; round++) {
      for (let count = 10 * round; count < 10 * round + 10; count++) {
        said.push(say(ann, room, "ann", count), say(ben, room, "ben", count))
        // No more of them at once than the hub lets wait.
        await said.at(-50)
        if (count % 3 === round % 3) await said.at(-1)
      }
      await proxy.cut({ halfOpen: round % 4 === 3 })
    }
    await Promise.all(said)
    await until(() => ann.heard.length >= said.length && ben.heard.length >= said.length)
    assert.deepEqual(ann.heard, ben.heard)
    for (const user of ["ann", "ben"]) {
      const expected = Array.from({ length: 300 }, (_, count) => `${user}: ${count}`)
      assert.deepEqual(ann.heard.filter((line) => line.startsWith(user)), expected)
    }
  })

  check("a call whose answer is lost is answered once", async ({ proxy, ann, room }) => {
    for (let count = 0; count < 5; count++) {
      proxy.silence()
      const joined = ann.connection.invoke("Join", `${room} ${count}`)
      // It is done when others hear of it.
      const told = say(ann, room, "ann", count)
      await proxy.cut({ halfOpen: count % 2 === 1 })
      assert.equal(await joined, true)
      await told
    }
    await until(() => ann.heard.length >= 5)
    assert.deepEqual(ann.heard, ["ann: 0", "ann: 1", "ann: 2", "ann: 3", "ann: 4"])
  })

  check("more than may be unconfirmed arrives as it is confirmed", async ({ proxy, ann, ben, room }) => {
    const texts = Array.from({ length: 30 }, (_, count) => `${count} ${"x".repeat(10_000)}`)
    await Promise.all(texts.map((text) => say(ben, room, "ben", text)))
    await proxy.cut()
    await until(() => ann.heard.length >= texts.length)
    assert.deepEqual(ann.heard, texts.map((text) => `ben: ${text}`))
  })

  check("who goes away for good is not waited for", async ({ ben, room }) => {
    const proxy = await Proxy.to(port)
    const eve = await connect(protocol, proxy.port)
    await eve.connection.invoke("Join", room)
    await eve.connection.stop()
    assert.deepEqual(eve.ends, ["undefined"])
    await say(ben, room, "ben", "after")
    assert.deepEqual(eve.heard, [])
    proxy.close()
  })
}

test("nobody returns who did not ask for it", SOON, async () => {
  const proxy = await Proxy.to(port)
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(`http://127.0.0.1:${proxy.port}/chat`)
    .configureLogging(signalR.LogLevel.None)
    .build()
  const ended = new Promise((resolve) => connection.onclose(resolve))
  await connection.start()
  await connection.invoke("Join", "kitchen")
  await proxy.cut()
  await ended
  proxy.close()
})
