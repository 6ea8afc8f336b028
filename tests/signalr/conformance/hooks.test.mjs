// What happens when a connection comes, and when it goes.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { build, connect, Events, listen, negotiate, Poller, Raw, request, start, stop, until, WAYS, write } from "./clients.mjs"
import { holds, together } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

for (const [about, way] of Object.entries(WAYS))
  holds("greet=1: Welcome before the first invocation is run", { about }, async () => {
    const client = build(`${hub}?greet=1`, { way })
    const welcome = listen(client, "Welcome")
    await client.start()
    assert.deepEqual(await welcome.next(), [await client.invoke("GetConnectionId")])
    await client.stop()
    const other = await connect(hub, { way, listens: ["Welcome"] })
    await other.invoke("Echo", "who did not ask is not greeted")
    assert.equal(other.heard.Welcome.waiting, 0)
    await other.stop()
  })

for (const protocol of ["json", "messagepack"])
  holds("greet=1: Welcome before the first invocation is run", { about: `in one frame with the handshake, ${protocol}` }, async () => {
    const raw = await Raw.open(`${hub}?greet=1`, { protocol })
    const call = write(protocol, { type: 1, invocationId: "1", target: "Echo", arguments: ["x"] })
    const handshake = `{"protocol":"${protocol}","version":1}\x1e`
    raw.say(protocol === "json" ? handshake + call : Buffer.concat([Buffer.from(handshake), Buffer.from(call)]))
    assert.deepEqual(await raw.next(), {})
    assert.equal((await raw.next()).target, "Welcome")
    assert.equal((await raw.next()).result, "x")
    raw.cut()
  })

const REJECTED = "reject=1: Close with an error and without allowReconnect, and no method runs"

for (const [about, way] of Object.entries(WAYS))
  holds("reject=1: Close with an error and without allowReconnect, and no method runs", { about }, async () => {
    const client = build(`${hub}?reject=1`, { way })
    const call = client.start().then(() => client.invoke("Echo", "x"))
    await assert.rejects(call, /Connection closed with an error|underlying connection|Connection closed|Invocation canceled/)
  })

holds(REJECTED, { about: "in its own words" }, async () => {
  for (const protocol of ["json", "messagepack"]) {
    const raw = await Raw.open(`${hub}?reject=1`, { protocol })
    raw.handshake()
    raw.send({ type: 1, invocationId: "1", target: "Echo", arguments: ["x"] })
    assert.deepEqual(await raw.next(), {})
    const { type, error, allowReconnect } = await raw.next()
    assert.deepEqual([type, error, !!allowReconnect], [7, "Connection closed with an error.", false])
    assert.equal(await raw.closed, 1000)
  }
  const { value } = await negotiate(hub)
  const events = await Events.connect(hub, { query: "&reject=1" })
  assert.deepEqual(await events.next(), {})
  assert.deepEqual(await events.next(), { type: 7, error: "Connection closed with an error." })
  await events.ended
  assert.ok(value.connectionId)
})

/** Somebody who watches others of `hub` go. */
async function watcher(hub) {
  const client = await connect(hub, { listens: ["Left"] })
  await client.invoke("JoinGroup", "watchers")
  return client
}

/** The next of those that `client` hears of is gone, and it hears of it once. */
async function leaves(client, ids, goes) {
  for (const id of ids) assert.ok(id)
  await goes()
  const left = new Set()
  // Others go too: every test has clients.
  while (!ids.every((id) => left.has(id))) {
    const [id] = await client.heard.Left.next()
    assert.ok(!left.has(id), "once")
    left.add(id)
  }
  await client.invoke("SendToCaller", "Left", ["mark"])
  for (let id; id !== "mark"; left.add(id)) {
    ;[id] = await client.heard.Left.next()
    assert.ok(!left.has(id), "once")
  }
}

const LEFT = "on disconnect, whatever the reason, watchers hear Left once"

for (const [about, way] of Object.entries(WAYS))
  holds("on disconnect, whatever the reason, watchers hear Left once", { about: `the client stops, ${about}` }, async () => {
    const [watches, goes] = [await watcher(hub), await connect(hub, { way })]
    await leaves(watches, [goes.connectionId], () => goes.stop())
    await watches.stop()
  })

const RAW = {
  "its Close message": (raw) => raw.send({ type: 7 }),
  "its socket is gone": (raw) => raw.cut(),
  "a protocol error": (raw) => raw.send({ type: 1 }),
  "AbortMe": (raw) => raw.send({ type: 1, target: "AbortMe", arguments: [] }),
}

for (const [about, goes] of Object.entries(RAW))
  holds(LEFT, { about }, async () => {
    const [watches, raw] = [await watcher(hub), await Raw.connect(hub)]
    const { result: id } = await raw.invoke("GetConnectionId")
    await leaves(watches, [id], () => goes(raw))
    raw.cut()
    await watches.stop()
  })

holds(LEFT, { about: "DELETE, and events that nobody hears" }, async () => {
  const [watches, poller, events] = [await watcher(hub), await Poller.connect(hub), await Events.connect(hub)]
  assert.deepEqual(await events.next(), {})
  await leaves(watches, [poller.id, events.id], async () => {
    assert.equal((await poller.part()).status, 202)
    events.cut()
  })
  assert.equal((await poller.part()).status, 404)
  assert.equal((await request(events.url)).status, 404)
  await watches.stop()
})

together(() => {
  holds(LEFT, { about: "timeout" }, async () => {
    const fast = `${url}/fasthub`
    const [watches, raw] = [await watcher(fast), await Raw.connect(fast)]
    const { result: id } = await raw.invoke("GetConnectionId")
    await leaves(watches, [id], () => raw.closed)
    await watches.stop()
  })
})

holds("who has left is out of every group by then", async () => {
  const { program, url } = await start()
  const watches = await watcher(`${url}/testhub`)
  const raws = await Promise.all([0, 1, 2].map(() => Raw.connect(`${url}/testhub`)))
  for (const raw of raws) for (const group of ["watchers", "others"]) await raw.invoke("JoinGroup", group)
  assert.equal((await watches.invoke("GetStats")).groups, 2)
  const [{ result: id }] = await Promise.all(raws.map((raw) => raw.invoke("GetConnectionId")))
  raws[0].cut()
  assert.deepEqual(await watches.heard.Left.next(), [id])
  // Those who are still in hear of it, and who has gone does not.
  for (const raw of raws.slice(1)) assert.deepEqual((await raw.next()).arguments, [id])
  for (const raw of raws.slice(1)) raw.send({ type: 7 })
  await watches.heard.Left.take(2)
  assert.equal((await watches.invoke("GetStats")).groups, 1, "nobody is in the other group")
  await program.stop()
})
