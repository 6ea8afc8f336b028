// The example `chat`, with Microsoft's client at the other end.
//
// Usage: CHAT=… node chat.test.mjs: the example, built.

import assert from "node:assert/strict"
import { once } from "node:events"
import { after, before } from "node:test"
import WebSocket from "ws"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"
import { SOON, TRANSPORTS, WAYS, connect as connectTo } from "./clients.mjs"

const TEXT = `"grüße" \\n <b>von</b> \u001e & {"a": [1]} 🐦`

let url, program

before(async () => {
  program = new Program(process.env.CHAT, "--listen", "127.0.0.1:0")
  url = (await program.says("listening on ")) + "/chat"
}, SOON)

after(stopAll)

const connect = (options) => connectTo(url, options)

for (const [name, options] of Object.entries(WAYS)) {
  test(`a room hears what one of it says, and nobody else does: ${name}`, SOON, async () => {
    const [ann, ben, eve] = await Promise.all([connect(options), connect(options), connect(options)])
    assert.equal(await ann.connection.invoke("Join", `kitchen, ${name}`), true)
    assert.equal(await ann.connection.invoke("join", `kitchen, ${name}`), false)
    await ben.connection.invoke("Join", `kitchen, ${name}`)
    assert.equal(await ann.connection.invoke("Say", `kitchen, ${name}`, "ann", TEXT), undefined)
    assert.deepEqual(await ann.heard.next(), ["ann", TEXT])
    assert.deepEqual(await ben.heard.next(), ["ann", TEXT])
    // What eve hears first is what she says herself.
    await eve.connection.invoke("Join", `cellar, ${name}`)
    await eve.connection.send("Say", `cellar, ${name}`, "eve", "echo")
    assert.deepEqual(await eve.heard.next(), ["eve", "echo"])
    await Promise.all([ann, ben, eve].map(({ connection }) => connection.stop()))
  })

  test(`errors come in the words that clients know: ${name}`, SOON, async () => {
    const { connection } = await connect(options)
    const fails = (promise, message) => assert.rejects(promise, { message })
    await fails(connection.invoke("Nothing"), "Unknown hub method 'Nothing'")
    await fails(connection.invoke("Say", "kitchen"), "Failed to invoke 'Say' due to an error on the server.")
    await fails(connection.invoke("Join", 7), "Failed to invoke 'Join' due to an error on the server.")
    await connection.stop()
  })
}

test("a room hears the same in the same order, whatever its transports and protocols", SOON, async () => {
  const room = await Promise.all(Object.values(WAYS).map(connect))
  for (const { connection } of room) await connection.invoke("Join", "house")
  const said = []
  for (let round = 0; round < 25; round++)
    for (const [index, { connection }] of room.entries()) said.push(connection.invoke("Say", "house", `${index}`, `${round}`))
  await Promise.all(said)
  const heard = []
  for (const { heard: queue } of room) heard.push(await queue.take(said.length))
  for (const other of heard) assert.deepEqual(other, heard[0])
  await Promise.all(room.map(({ connection }) => connection.stop()))
})

test("Server-Sent Events carry no MessagePack, and say so", SOON, async () => {
  const options = { ...TRANSPORTS["Server-Sent Events"], protocol: "MessagePack" }
  // The client finds out by itself, from what was negotiated.
  await assert.rejects(connect(options), /does not support Binary/)
})

test("a client has the id that it negotiated", SOON, async () => {
  const answer = await fetch(`${url}/negotiate?negotiateVersion=1`, { method: "POST" })
  assert.equal(answer.status, 200)
  const { connectionId, connectionToken, availableTransports } = await answer.json()
  assert.match(connectionId, /^[0-9a-f]{32}$/)
  assert.notEqual(connectionId, connectionToken)
  assert.deepEqual(availableTransports.map(({ transport }) => transport), ["WebSockets", "ServerSentEvents", "LongPolling"])
  // The id alone opens nothing, and the secret opens once.
  await refused(`${url}?id=${connectionId}`)
  const socket = new WebSocket(`${url.replace("http", "ws")}?id=${connectionToken}`)
  await once(socket, "open")
  await refused(`${url}?id=${connectionToken}`)
  socket.close()
})

/** No WebSocket comes of this. */
async function refused(url) {
  const socket = new WebSocket(url.replace("http", "ws"))
  await once(socket, "error")
}
