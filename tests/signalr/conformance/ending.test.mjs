// The hub ends a connection.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { connect, Events, Poller, Raw, start, WAYS } from "./clients.mjs"
import { holds } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

/** The Close that a client hears after it has called, by itself on each transport. */
async function closes(target, ...args) {
  const call = { type: 1, target, arguments: args }
  const heard = []
  for (const protocol of ["json", "messagepack"]) {
    const raw = await Raw.connect(hub, { protocol })
    raw.send(call)
    heard.push(await raw.next())
    assert.equal(await raw.closed, 1000)
  }
  const events = await Events.connect(hub)
  assert.deepEqual(await events.next(), {})
  await events.say(JSON.stringify(call) + "\x1e")
  heard.push(await events.next())
  await events.ended
  const poller = await Poller.connect(hub)
  await poller.send(call)
  heard.push((await poller.hear())[0])
  assert.equal((await poller.poll()).status, 204)
  const [first, ...others] = heard.map(({ type, error, allowReconnect }) => ({ type, error: error ?? undefined, allowReconnect: !!allowReconnect }))
  for (const other of others) assert.deepEqual(other, first)
  assert.equal(first.type, 7)
  return first
}

holds("AbortMe", { about: "in its own words" }, async () => {
  assert.deepEqual(await closes("AbortMe"), { type: 7, error: undefined, allowReconnect: false })
})

for (const [about, way] of Object.entries(WAYS))
  holds("AbortMe", { about }, async () => {
    const client = await connect(hub, { way })
    await client.send("AbortMe")
    assert.equal(await client.ended, undefined)
  })

for (const [error, returns] of [[null, false], [null, true], ["why", false], ["why, \"again\"", true]]) {
  holds("CloseWith", { about: `${error}, ${returns}, in its own words` }, async () => {
    assert.deepEqual(await closes("CloseWith", error, returns), { type: 7, error: error ?? undefined, allowReconnect: returns })
  })

  for (const [about, way] of Object.entries(WAYS))
    holds("CloseWith", { about: `${error}, ${returns}, ${about}` }, async () => {
      const client = await connect(hub, { way })
      await client.send("CloseWith", error, returns)
      assert.equal((await client.ended)?.message, error === null ? undefined : `Server returned an error on close: ${error}`)
    })
}
