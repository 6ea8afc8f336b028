// The hub asks clients, on behalf of clients and of requests from outside.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { connect, postJson, start, stop, timed, unique, WAYS } from "./clients.mjs"
import { holds, together } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

const failed = (method, message) => `An unexpected error occurred invoking '${method}' on the server. HubException: ${message}`

/** A client that answers some questions. */
async function answering(way) {
  const client = await connect(hub, { way })
  client.on("Double", (number) => 2 * number)
  client.on("Same", (value) => value ?? null)
  client.on("Late", async (text) => (await new Promise((resolve) => setTimeout(resolve, 50)), text))
  client.on("Boom", () => Promise.reject(new Error("boom")))
  client.on("Never", () => new Promise(() => {}))
  return client
}

const VALUES = [null, true, 1.5, "grüße", [], [1, { a: [null] }]]

for (const [about, way] of Object.entries(WAYS)) {
  holds("AskCaller", { about }, async () => {
    const client = await answering(way)
    assert.equal(await client.invoke("AskCaller", "Double", [21]), 42)
    assert.equal(await client.invoke("AskCaller", "Late", ["late"]), "late")
    for (const value of VALUES) assert.deepEqual(await client.invoke("AskCaller", "Same", [value]), value)
    if (way.protocol === "messagepack")
      for (const bytes of [[], [255]]) {
        const got = await client.invoke("AskCaller", "Same", [new Uint8Array(bytes)])
        assert.deepEqual(Buffer.from(got), Buffer.from(bytes))
      }
    await client.stop()
  })

  holds("AskCaller: an error of the client is a public error", { about }, async () => {
    const client = await answering(way)
    await assert.rejects(client.invoke("AskCaller", "Boom", []), { message: failed("AskCaller", "Error: boom") })
    const nobody = "Client didn't provide a result."
    await assert.rejects(client.invoke("AskCaller", unique("Nobody"), []), { message: failed("AskCaller", nobody) })
    await client.stop()
  })

  holds("a call that waits for a client's answer does not block other calls", { about }, async () => {
    const [client, other] = [await answering(way), await answering(way)]
    let answer
    client.on("Wait", () => new Promise((resolve) => (answer = resolve)))
    const waits = client.invoke("AskCaller", "Wait", [])
    assert.equal(await client.invoke("Echo", "meanwhile"), "meanwhile")
    answer(1)
    assert.equal(await waits, 1)
    // The same for questions to somebody else, and for those that are in fact to oneself.
    other.on("Wait", () => new Promise((resolve) => (answer = resolve)))
    const elsewhere = client.invoke("AskConnection", other.connectionId, "Wait", [])
    assert.equal(await client.invoke("AskConnection", client.connectionId, "Double", [2]), 4)
    answer(2)
    assert.equal(await elsewhere, 2)
    await stop(client, other)
  })

  holds("AskConnection", { about }, async () => {
    const clients = await Promise.all(Object.values(WAYS).map(answering))
    const asker = await answering(way)
    for (const { connectionId } of clients) {
      assert.equal(await asker.invoke("AskConnection", connectionId, "Double", [4]), 8)
      const boom = asker.invoke("AskConnection", connectionId, "Boom", [])
      await assert.rejects(boom, { message: failed("AskConnection", "Error: boom") })
    }
    await stop(asker, ...clients)
  })

  holds("AskConnection: no such connection", { about }, async () => {
    const client = await answering(way)
    for (const id of ["0".repeat(32), "nobody", ""]) {
      const asked = client.invoke("AskConnection", id, "Double", [1])
      await assert.rejects(asked, { message: failed("AskConnection", "no such connection") })
    }
    await client.stop()
  })

  holds("/api/ask: 200 with the client's result", { about }, async () => {
    const client = await answering(way)
    for (const value of VALUES) {
      const { status, value: answer } = await ask(client.connectionId, "Same", [value])
      assert.deepEqual([status, answer], [200, { result: value }])
    }
    await client.stop()
  })

  holds("/api/ask: 502 with the client's error", { about }, async () => {
    const client = await answering(way)
    const { status, value } = await ask(client.connectionId, "Boom", [])
    assert.deepEqual([status, value], [502, { error: "Error: boom" }])
    await client.stop()
  })
}

const ask = (connectionId, method, args) => postJson(`${url}/api/ask`, { connectionId, method, args })

together(() => {
  for (const [about, way] of Object.entries(WAYS))
    holds("AskCaller: no answer in 5 s is a public error", { about }, async () => {
      const client = await answering(way)
      const asked = client.invoke("AskCaller", "Never", [])
      const { ms } = await timed(assert.rejects(asked, { message: failed("AskCaller", "timeout") }))
      assert.ok(ms > 4_900 && ms < 10_000, `${ms}`)
      await client.stop()
    })

  holds("/api/ask: 504 without an answer in 5 s", async () => {
    const client = await answering(WAYS["WebSockets, json"])
    const { ms, value } = await timed(ask(client.connectionId, "Never", []))
    assert.equal(value.status, 504)
    assert.ok(ms > 4_900 && ms < 10_000, `${ms}`)
    await client.stop()
  })
})

holds("/api/ask: 404 without such a connection", async () => {
  const client = await answering(WAYS["WebSockets, json"])
  const id = client.connectionId
  await client.stop()
  for (const unknown of ["0".repeat(32), "nobody", ""]) assert.equal((await ask(unknown, "Double", [1])).status, 404)
  // It may take a moment until the hub knows that it has gone.
  while ((await ask(id, "Double", [1])).status !== 404);
})
