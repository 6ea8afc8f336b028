// Plain calls of the example `conformance`, over every transport in both protocols.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { build, connect, Raw, start, stop, unique, WAYS } from "./clients.mjs"
import { holds } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

const TEXT = `"grüße" \\n <b>von</b> \u001e & {"a": [1]} 🐦 \u0000`
const FAILED = (method) => `An unexpected error occurred invoking '${method}' on the server.`

/** A test on each way, with a client of it. */
function everywhere(line, check) {
  for (const [about, way] of Object.entries(WAYS))
    holds(line, { about }, async () => {
      const client = await connect(hub, { way })
      await check((method, ...args) => client.invoke(method, ...args), way, client)
      await client.stop()
    })
}

const fails = (promise, message) => assert.rejects(promise, { message })

everywhere("methods match without regard to case", async (invoke) => {
  assert.equal(await invoke("ECHO", "a"), "a")
  assert.equal(await invoke("eChOvAlUe", 1), 1)
})

everywhere("Echo", async (invoke) => {
  for (const text of ["", "a", TEXT, "é".repeat(10_000)]) assert.equal(await invoke("Echo", text), text)
})

const VALUES = [null, true, false, 0, -1, 1.5, -0.25, 1e300, 2 ** 53 - 1, -(2 ** 53) + 1, "", TEXT, [], {}, [1, [null, { "ä b": [] }]]]

everywhere("EchoValue", async (invoke, { protocol }) => {
  for (const value of VALUES) assert.deepEqual(await invoke("EchoValue", value), value)
  if (protocol === "messagepack") {
    for (const bytes of [new Uint8Array([0, 255, 30]), new Uint8Array(0)])
      assert.deepEqual(Buffer.from(await invoke("EchoValue", bytes)), Buffer.from(bytes))
    const then = new Date(1_700_000_000_123)
    assert.deepEqual(await invoke("EchoValue", then), then)
  }
})

holds("EchoValue", { about: "every digit of 64 bits" }, async () => {
  for (const digits of ["9223372036854775807", "-9223372036854775808", "18446744073709551615", "9007199254740993"]) {
    const raw = await Text.connect(hub)
    raw.say(`{"type":1,"invocationId":"1","target":"EchoValue","arguments":[{"n":${digits}}]}\x1e`)
    assert.equal(await raw.next(), `{"type":3,"invocationId":"1","result":{"n":${digits}}}`)
    raw.cut()
  }
})

const OBJECT = {
  text: TEXT, count: -7, ratio: 0.1, flag: true, missing: "here", items: [1, -2, 3],
  nested: { name: "n", value: 2 ** 40 },
}

everywhere("EchoObject", async (invoke, { protocol }) => {
  const data = protocol === "json" ? "AP8=" : Buffer.from([0, 255])
  const same = async (given, expected = given) => {
    const got = await invoke("EchoObject", { ...given, data })
    if (protocol === "messagepack") got.data = Buffer.from(got.data)
    assert.deepEqual(got, { ...expected, data })
  }
  await same(OBJECT)
  await same({ ...OBJECT, missing: null, items: [], ratio: 3 })
  const { missing, ...without } = OBJECT
  await same(without, { ...OBJECT, missing: null })
  await fails(invoke("EchoObject", { text: "alone" }), "Failed to invoke 'EchoObject' due to an error on the server.")
})

everywhere("EchoBytes", async (invoke, { protocol }) => {
  for (const bytes of [[], [1], [0, 1, 255, 30]]) {
    const [given, expected] = [Buffer.from(bytes), Buffer.from(bytes).reverse()]
    const got = await invoke("EchoBytes", protocol === "json" ? given.toString("base64") : given)
    if (protocol === "json") assert.equal(got, expected.toString("base64"))
    else assert.deepEqual(Buffer.from(got), expected)
  }
})

everywhere("Add", async (invoke) => {
  assert.equal(await invoke("Add", 20, 22), 42)
  assert.equal(await invoke("Add", -1, 2 ** 52), 2 ** 52 - 1)
})

holds("Add", { about: "overflow is a public error" }, async () => {
  const raw = await Text.connect(hub)
  raw.say('{"type":1,"invocationId":"1","target":"Add","arguments":[9223372036854775807,1]}\x1e')
  const { error } = JSON.parse(await raw.next())
  assert.equal(error, `${FAILED("Add")} HubException: overflow`)
  raw.say('{"type":1,"invocationId":"2","target":"Add","arguments":[9223372036854775806,1]}\x1e')
  assert.equal(await raw.next(), '{"type":3,"invocationId":"2","result":9223372036854775807}')
  raw.cut()
})

everywhere("Length", async (invoke) => {
  assert.equal(await invoke("Length", "aé🐦"), 7)
  assert.equal(await invoke("Length", ""), 0)
})

everywhere("MakeText", async (invoke) => {
  assert.equal(await invoke("MakeText", 3), "xxx")
  assert.equal(await invoke("MakeText", 0), "")
  assert.equal(await invoke("MakeText", 4_000_000), "x".repeat(4_000_000))
  await assert.rejects(invoke("MakeText", 4_000_001))
  await assert.rejects(invoke("MakeText", -1))
  assert.equal(await invoke("Echo", "still here"), "still here")
})

everywhere("VoidCall", async (invoke) => assert.equal(await invoke("VoidCall"), undefined))

everywhere("NullCall", async (invoke) => assert.equal(await invoke("NullCall"), null))

holds("VoidCall", { about: "no result, where NullCall has null" }, async () => {
  const raw = await Text.connect(hub)
  raw.say('{"type":1,"invocationId":"1","target":"VoidCall","arguments":[]}\x1e')
  assert.equal(await raw.next(), '{"type":3,"invocationId":"1"}')
  raw.say('{"type":1,"invocationId":"2","target":"NullCall","arguments":[]}\x1e')
  assert.equal(await raw.next(), '{"type":3,"invocationId":"2","result":null}')
  raw.cut()
})

everywhere("ThrowPublic", async (invoke) => {
  await fails(invoke("ThrowPublic", TEXT), `${FAILED("ThrowPublic")} HubException: ${TEXT}`)
})

everywhere("ThrowPrivate", async (invoke) => {
  await fails(invoke("ThrowPrivate", "a secret"), FAILED("ThrowPrivate"))
})

everywhere("Panic", async (invoke) => {
  await fails(invoke("Panic", "a secret"), FAILED("Panic"))
  assert.equal(await invoke("Echo", "still here"), "still here")
})

everywhere("Delay", async (invoke) => {
  const begun = performance.now()
  assert.equal(await invoke("Delay", 100), "done")
  assert.ok(performance.now() - begun >= 95)
})

everywhere("Record and GetRecords", async (invoke, way) => {
  const values = [1, "two", null, { three: [3] }]
  for (const value of values) assert.equal(await invoke("Record", value), undefined)
  assert.deepEqual(await invoke("GetRecords"), values)
  const other = await connect(hub, { way })
  assert.deepEqual(await other.invoke("GetRecords"), [])
  await other.stop()
})

everywhere("GetConnectionId", async (invoke, _, client) => {
  assert.equal(await invoke("GetConnectionId"), client.connectionId)
})

everywhere("GetUser", async (invoke, way) => {
  assert.equal(await invoke("GetUser"), null)
  const bob = await connect(hub, { way, token: "token-bob" })
  assert.equal(await bob.invoke("GetUser"), "bob")
  await bob.stop()
})

everywhere("GetTransport", async (invoke, { transport }) => assert.equal(await invoke("GetTransport"), transport))

everywhere("GetProtocol", async (invoke, { protocol }) => assert.equal(await invoke("GetProtocol"), protocol))

for (const [about, way] of Object.entries(WAYS))
  holds("GetHeader", { about }, async () => {
    const client = await connect(hub, { way, headers: { "X-Test": "a value" } })
    assert.equal(await client.invoke("GetHeader", "x-test"), "a value")
    assert.equal(await client.invoke("GetHeader", "x-other"), null)
    await client.stop()
  })

for (const [about, way] of Object.entries(WAYS))
  holds("GetQuery", { about }, async () => {
    const client = await connect(`${hub}?q=a%20b%26c&q=second`, { way })
    assert.equal(await client.invoke("GetQuery", "q"), "a b&c")
    assert.equal(await client.invoke("GetQuery", "other"), null)
    await client.stop()
  })

for (const [about, way] of Object.entries(WAYS))
  holds("GetCookie", { about }, async () => {
    // What the negotiation gave comes back.
    const client = await connect(hub, { way })
    assert.equal(await client.invoke("GetCookie", "testCookie"), "testValue")
    assert.equal(await client.invoke("GetCookie", "other"), null)
    await client.stop()
  })

everywhere("AdminOnly", async (invoke, way) => {
  await fails(invoke("AdminOnly"), "Failed to invoke 'AdminOnly' because user is unauthorized")
  const admin = await connect(hub, { way, token: "token-admin" })
  assert.equal(await admin.invoke("AdminOnly"), "welcome root")
  const alice = await connect(hub, { way, token: "token-alice" })
  await fails(alice.invoke("adminonly"), "Failed to invoke 'adminonly' because user is unauthorized")
  await stop(admin, alice)
})

holds("GetStats", async () => {
  // A program of its own: nobody else is there.
  const { program, url } = await start()
  const [ann, ben] = [await connect(`${url}/testhub`), await connect(`${url}/testhub`)]
  const stats = { connections: 2, groups: 0, activeStreams: 0, canceledStreams: 0 }
  assert.deepEqual(await ann.invoke("GetStats"), stats)
  for (const group of ["a", "b", "b"]) await ann.invoke("JoinGroup", group)
  await ben.invoke("JoinGroup", "b")
  assert.deepEqual(await ann.invoke("GetStats"), { ...stats, groups: 2 })
  await ben.stop()
  await ann.invoke("LeaveGroup", "a")
  while ((await ann.invoke("GetStats")).connections > 1);
  assert.deepEqual(await ann.invoke("GetStats"), { ...stats, connections: 1, groups: 1 })
  await program.stop()
})

/** As `Raw`, but what it hears stays as it was written. */
class Text {
  static async connect(hub) {
    const { default: WebSocket } = await import("ws")
    const socket = new WebSocket(hub.replace("http", "ws"))
    const [heard, wanted] = [[], []]
    socket.on("message", (data) => {
      for (const text of data.toString().split("\x1e").filter((text) => text && text !== '{"type":6}'))
        wanted.length ? wanted.shift()(text) : heard.push(text)
    })
    await new Promise((resolve) => socket.on("open", resolve))
    const text = Object.assign(new Text(), {
      say: (text) => socket.send(text),
      next: async () => (heard.length ? heard.shift() : new Promise((resolve) => wanted.push(resolve))),
      cut: () => socket.terminate(),
    })
    text.say('{"protocol":"json","version":1}\x1e')
    assert.equal(await text.next(), "{}")
    return text
  }
}
