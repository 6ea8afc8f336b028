// Stateful reconnect: a client returns to its connection over another socket.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { connect, negotiate, Raw, start, stop, unique, until } from "./clients.mjs"
import { holds, together } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

const BOTH = ["json", "messagepack"]
const TOKEN = { authorization: "Bearer token-alice" }
const ASKS = "negotiateVersion=1&useStatefulReconnect=true"

/** A stateful client, and where it returns. */
async function stateful(protocol) {
  const { value } = await negotiate(hub, ASKS)
  const here = `${hub}?id=${value.connectionToken}`
  const raw = await Raw.connect(here, { protocol, version: 2 })
  // Nothing that counts leaves before it has said something.
  raw.send({ type: 6 })
  return { raw, id: value.connectionId, comeBack: () => Raw.open(here, { protocol, returns: true }) }
}

const call = (invocationId, target, ...args) => ({ type: 1, invocationId, target, arguments: args })

/** The next message that is no Ack either. */
async function next(raw) {
  for (;;) {
    const message = await raw.next()
    if (message.type !== 8) return message
  }
}

holds("/testhub and /authhub: stateful reconnect is allowed", async () => {
  for (const path of ["testhub", "authhub"]) {
    const { value } = await negotiate(`${url}/${path}`, ASKS, TOKEN)
    assert.equal(value.useStatefulReconnect, true)
    const unasked = await negotiate(`${url}/${path}`, "negotiateVersion=1", TOKEN)
    assert.ok(!("useStatefulReconnect" in unasked.value))
  }
})

holds("/fasthub and /nowebsockets: stateful reconnect is not allowed", async () => {
  for (const path of ["fasthub", "nowebsockets"]) {
    const { value } = await negotiate(`${url}/${path}`, ASKS)
    assert.ok(!("useStatefulReconnect" in value))
  }
})

const ALLOWED = "/testhub and /authhub: stateful reconnect is allowed"

for (const protocol of BOTH)
  holds(ALLOWED, { about: `and works, ${protocol}` }, async () => {
    const [other, method] = [await connect(hub), unique("Heard")]
    const { raw, id, comeBack } = await stateful(protocol)
    raw.send(call("a", "Record", 1))
    assert.equal((await next(raw)).invocationId, "a")
    raw.send(call("b", "Delay", 200))
    raw.cut()
    for (const number of [1, 2, 3]) await other.invoke("SendToConnection", id, method, [number])
    const again = await comeBack()
    // What it does not know to be there it says again; what the hub has is not done twice.
    again.send({ type: 9, sequenceId: 1 }, call("a", "Record", 1), call("b", "Delay", 200), call("c", "GetRecords"))
    assert.deepEqual(await next(again), { type: 9, sequenceId: 1 })
    const heard = []
    while (heard.length < 6) heard.push(await next(again))
    assert.deepEqual(heard.filter(({ target }) => target === method).map(({ arguments: [number] }) => number), [1, 2, 3])
    const results = heard.filter(({ type }) => type === 3).map(({ invocationId, result }) => [invocationId, result ?? undefined])
    assert.deepEqual(results, [["a", undefined], ["b", "done"], ["c", [1]]])
    assert.equal((await again.invoke("GetConnectionId")).result, id)
    again.send({ type: 7 })
    await again.closed
    await other.stop()
  })

for (const protocol of BOTH)
  holds("stateful reconnect buffer: 100,000 bytes, then sending waits for Ack", { about: protocol }, async () => {
    const [other, method, text] = [await connect(hub), unique("Heard"), "z".repeat(10_000)]
    const { raw, id } = await stateful(protocol)
    for (let number = 0; number < 30; number++) await other.invoke("SendToConnection", id, method, [number, text])
    // The largest that is below, and one that begins below.
    const waiting = await raw.settled()
    assert.ok(waiting >= 9 && waiting <= 11, `${waiting}`)
    const heard = []
    for (let number = 0; number < 9; number++) heard.push(await next(raw))
    // Its own calls are answered behind what waits.
    raw.send(call("behind", "Echo", "x"))
    let last
    for (let count = 0; last?.invocationId !== "behind"; count++) {
      if (count % 5 === 0) raw.send({ type: 8, sequenceId: heard.length })
      last = await next(raw)
      heard.push(last)
    }
    assert.deepEqual(heard.slice(0, 30).map(({ arguments: [number] }) => number), Array.from({ length: 30 }, (_, number) => number))
    raw.cut()
    await other.stop()
  })

together(() => {
  holds("a stateful connection without a socket is dropped after 15 s, and not before", async () => {
    const watches = await connect(hub, { listens: ["Left"] })
    await watches.invoke("JoinGroup", "watchers")
    const [stays, goes] = await Promise.all([stateful("json"), stateful("messagepack")])
    const begun = performance.now()
    stays.raw.cut()
    goes.raw.cut()
    const again = await stays.comeBack()
    again.send({ type: 9, sequenceId: 1 })
    assert.equal((await next(again)).type, 9)
    const pinging = setInterval(() => again.send({ type: 6 }), 1_000)
    for (let id; id !== goes.id; ) {
      ;[id] = await watches.heard.Left.next()
      assert.notEqual(id, stays.id)
    }
    const ms = performance.now() - begun
    assert.ok(ms > 14_500 && ms < 20_000, `${ms}`)
    await assert.rejects(goes.comeBack(), /404/)
    assert.equal((await again.invoke("Echo", "x")).result, "x")
    clearInterval(pinging)
    again.cut()
    await watches.stop()
  })
})
