// The example `chat` behind a proxy that cuts, or falls silent, with Microsoft's client at the other end.
//
// Usage: CHAT=… node reconnect.test.mjs: the example, built.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { Program, stopAll } from "../programs.mjs"
import { Proxy, stopProxies } from "../proxy.mjs"
import { test } from "../shuffled.mjs"
import { RETURNS, SOON, WAYS, connect, fate } from "./clients.mjs"

// How often the hub asks; the clients' own times fit to it.
const PING = 1_000

// What timers and clocks of different kinds may differ by.
const SLACK = 50

let url, proxy

before(async () => {
  const program = new Program(process.env.CHAT, "--listen", "127.0.0.1:0", "--ping", `${PING}`)
  url = (await program.says("listening on ")) + "/chat"
  proxy = await Proxy.to(url)
}, SOON)

after(() => Promise.all([stopAll(), stopProxies()]))

for (const [name, way] of Object.entries(WAYS)) {
  test(`who was cut off is back as somebody new, in no room, and has left once: ${name}`, SOON, async () => {
    const room = `kitchen, ${name}`
    const [ann, ben] = await Promise.all([connect(proxy.url, { ...way, returns: RETURNS }), connect(url)])
    const { lost, back } = fate(ann.connection)
    for (const { connection } of [ann, ben]) await connection.invoke("Join", room)
    const before = ann.connection.connectionId

    proxy.cut()
    // Over Server-Sent Events the client says no reason.
    await lost.next()
    const id = await back.next()
    const gone = await ben.left.next()
    if (before) assert.deepEqual([gone, id === before], [before, false])

    // What ann hears first is what was said after she joined again.
    await ben.connection.invoke("Say", room, "ben", "are you there?")
    assert.equal(await ann.connection.invoke("Join", room), true)
    await ann.connection.invoke("Say", room, "ann", "I am back")
    assert.deepEqual(await ann.heard.next(), ["ann", "I am back"])
    assert.deepEqual(await ben.heard.take(2), [["ben", "are you there?"], ["ann", "I am back"]])

    // The next to leave is the new one.
    await ann.connection.stop()
    const then = await ben.left.next()
    if (id) assert.equal(then, id)
    assert.notEqual(then, gone)
    await ben.connection.stop()
  })
}

// Over long polling neither side goes by what is said: the requests themselves are signs of life.
test("both ends notice that nothing comes any more", SOON, async () => {
  const ways = Object.entries(WAYS).filter(([name]) => !name.startsWith("long polling"))
  await Promise.all(ways.map(([name, way]) => falls_silent(name, way)))
})

async function falls_silent(name, way) {
  const silent = await Proxy.to(url)
  const [ann, ben] = await Promise.all([connect(silent.url, way), connect(url)])
  const { ended } = fate(ann.connection)
  // From the next that it hears on.
  ann.connection.serverTimeoutInMilliseconds = 2 * PING
  // Before the last that it hears.
  const since = performance.now()
  for (const { connection } of [ann, ben]) await connection.invoke("Join", `attic, ${name}`)
  const passed = (value) => ({ value, after: performance.now() - since })
  silent.fallSilent()
  const [end, left] = await Promise.all([ended.next().then(passed), ben.left.next().then(passed)])
  assert.match(end.value.message, /Server timeout elapsed without receiving a message from the server/)
  if (ann.connection.connectionId) assert.equal(left.value, ann.connection.connectionId)
  // Each has waited as long as it was told.
  assert.ok(end.after >= 2 * PING - SLACK, `${name}: ${end.after}`)
  assert.ok(left.after >= 2 * PING - SLACK, `${name}: ${left.after}`)
  await ben.connection.stop()
  silent.stop()
}
