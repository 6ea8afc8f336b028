// Sending to clients: every test has a client on each way, and each of them sends.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { connect, JSON_WAY, listen, PACK_WAY, Raw, start, stop, unique, until, WAYS } from "./clients.mjs"
import { holds } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

const NOBODY = "0".repeat(32)

/** Those who are there, and what each of them hears as `method`. */
class Room {
  static async open(tokens = []) {
    const room = new Room()
    room.method = unique("Heard")
    room.clients = await Promise.all(
      Object.values(WAYS).map((way, index) => connect(hub, { way, token: tokens[index], listens: [room.method, "Mark"] })),
    )
    room.ids = room.clients.map((client) => client.connectionId)
    return room
  }

  /** What `send` sends reaches these, by number, as often as they are named, and no others. */
  async reaches(expected, send) {
    await send()
    // What was sent straight to a client later is heard later.
    const heard = this.clients.map(async (client) => {
      await client.invoke("SendToCaller", "Mark", [])
      await client.heard.Mark.next()
      return client.heard[this.method].take(client.heard[this.method].waiting)
    })
    const counts = (await Promise.all(heard)).map((all) => all.length)
    const wanted = this.clients.map((_, index) => expected.filter((one) => one === index).length)
    assert.deepEqual(counts, wanted)
  }

  join(group, ...members) {
    return Promise.all(members.map((index) => this.clients[index].invoke("JoinGroup", group)))
  }

  close() {
    return stop(...this.clients)
  }
}

const ALL = Object.keys(WAYS).map((_, index) => index)

/** A test in which each of a room sends once. */
function eachSends(line, send, tokens) {
  holds(line, async () => {
    const room = await Room.open(tokens)
    const group = unique("Group")
    for (const [index, client] of room.clients.entries()) {
      const invoke = async (method, ...args) => assert.equal(await client.invoke(method, ...args, room.method, [index, "x"]), undefined)
      await send({ room, index, invoke, group, next: (index + 1) % ALL.length })
    }
    await room.close()
  })
}

const others = (...without) => ALL.filter((index) => !without.includes(index))

eachSends("SendToCaller", ({ room, index, invoke }) => room.reaches([index], () => invoke("SendToCaller")))

eachSends("SendToAll", ({ room, invoke }) => room.reaches(ALL, () => invoke("SendToAll")))

eachSends("SendToOthers", ({ room, index, invoke }) => room.reaches(others(index), () => invoke("SendToOthers")))

eachSends("SendToConnection", ({ room, next, invoke }) => room.reaches([next], () => invoke("SendToConnection", room.ids[next])))

eachSends("SendToConnections", ({ room, index, next, invoke }) =>
  room.reaches([index, next], () => invoke("SendToConnections", [room.ids[next], NOBODY, room.ids[index]])),
)

eachSends("SendToAllExcept", ({ room, next, invoke }) =>
  room.reaches(others(next, 0), () => invoke("SendToAllExcept", [room.ids[next], room.ids[0], "nobody"])),
)

eachSends("SendToGroup", async ({ room, next, invoke, group }) => {
  await room.join(group + next, next, 0)
  await room.reaches([...new Set([next, 0])], () => invoke("SendToGroup", group + next))
})

eachSends("SendToGroups", async ({ room, invoke, group }) => {
  await Promise.all([room.join(`${group} a`, 0, 1), room.join(`${group} b`, 1, 2)])
  await room.reaches([0, 1, 1, 2], () => invoke("SendToGroups", [`${group} a`, `${group} b`, `${group} c`]))
})

eachSends("SendToGroupExcept", async ({ room, invoke, group }) => {
  await room.join(group, 0, 1, 2, 3)
  await room.reaches([0, 3], () => invoke("SendToGroupExcept", group, [room.ids[1], room.ids[2], NOBODY]))
})

eachSends("SendToOthersInGroup", async ({ room, index, invoke, group }) => {
  await room.join(group, 0, 1, 2, 3)
  await room.reaches([0, 1, 2, 3].filter((member) => member !== index), () => invoke("SendToOthersInGroup", group))
})

// Other tests have users of these names too; what this room does not name nobody of it hears.
const TOKENS = ["token-alice", "token-bob", "token-alice", undefined, "token-admin"]

eachSends("SendToUser", ({ room, invoke }) => room.reaches([0, 2], () => invoke("SendToUser", "alice")), TOKENS)

eachSends("SendToUsers", ({ room, invoke }) => room.reaches([0, 1, 2], () => invoke("SendToUsers", ["alice", "bob", "nobody"])), TOKENS)

holds("JoinGroup and LeaveGroup", async () => {
  const room = await Room.open()
  const group = unique("Group")
  const send = () => room.clients[0].invoke("SendToGroup", group, room.method, [])
  for (const index of ALL) {
    const { invoke } = { invoke: (method, name = group) => room.clients[index].invoke(method, name) }
    assert.equal(await invoke("JoinGroup"), undefined)
    assert.equal(await invoke("JoinGroup"), undefined, "twice is once")
    await room.reaches([index], send)
    await invoke("LeaveGroup", group.toUpperCase())
    await room.reaches([index], send)
    await invoke("LeaveGroup")
    await invoke("LeaveGroup")
    await room.reaches([], send)
  }
  await room.close()
})

for (const [about, way] of Object.entries(WAYS))
  holds("PushSequence", { about }, async () => {
    const [fast, slow] = [unique("Fast"), unique("Slow")]
    const client = await connect(hub, { way, listens: [fast, slow] })
    assert.equal(await client.invoke("PushSequence", slow, 5, 50), undefined)
    const begun = performance.now()
    assert.equal(await client.invoke("PushSequence", fast, 10_000, 0), undefined)
    assert.equal(await client.invoke("Echo", "others are not held up"), "others are not held up")
    for (let number = 0; number < 10_000; number++) assert.deepEqual(await client.heard[fast].next(), [number])
    for (let number = 0; number < 5; number++) assert.deepEqual(await client.heard[slow].next(), [number])
    assert.ok(performance.now() - begun >= 100, "with a pause between two")
    await client.stop()
  })

for (const [about, way] of Object.entries(WAYS))
  holds("unknown targets are no error", { about }, async () => {
    const client = await connect(hub, { way })
    const to = (method, target) => client.invoke(method, target, "Heard", [])
    for (const id of [NOBODY, "nobody", ""]) assert.equal(await to("SendToConnection", id), undefined)
    for (const ids of [[], [NOBODY, "x"]]) assert.equal(await to("SendToConnections", ids), undefined)
    assert.equal(await to("SendToAllExcept", ["x"]), undefined)
    for (const method of ["SendToGroup", "SendToOthersInGroup", "SendToUser"]) assert.equal(await to(method, "nobody"), undefined)
    for (const method of ["SendToGroups", "SendToUsers"]) assert.equal(await to(method, ["nobody"]), undefined)
    assert.equal(await client.invoke("SendToGroupExcept", "nobody", [NOBODY], "Heard", []), undefined)
    await client.stop()
  })

const VALUES = [null, true, -1, 1.5, 2 ** 53 - 1, "grüße \u001e", [], {}, [1, ["x", { a: { b: null } }]]]

holds("values pass between JSON and MessagePack unchanged", async () => {
  const method = unique("Heard")
  const room = await Promise.all([JSON_WAY, PACK_WAY].map((way) => connect(hub, { way, listens: [method] })))
  for (const client of room)
    for (const args of [[], VALUES, ...VALUES.map((value) => [value])]) {
      await client.invoke("SendToAll", method, args)
      for (const { heard } of room) assert.deepEqual(await heard[method].next(), args)
    }
  await stop(...room)
})

holds("values pass between JSON and MessagePack unchanged", { about: "binary, and every digit" }, async () => {
  const method = unique("Heard")
  const [json, pack] = await Promise.all([JSON_WAY, PACK_WAY].map((way) => connect(hub, { way, listens: [method] })))
  await pack.invoke("SendToAll", method, [new Uint8Array([255, 0]), { of: [new Uint8Array(0)] }])
  assert.deepEqual(await json.heard[method].next(), ["/wA=", { of: [""] }])
  const [bytes, { of }] = await pack.heard[method].next()
  assert.deepEqual([bytes, ...of].map((one) => Buffer.from(one)), [Buffer.from([255, 0]), Buffer.alloc(0)])
  // The official client knows no integers of 64 bits: read what was written.
  const digits = "[9223372036854775807,-9223372036854775808,18446744073709551615]"
  const raws = await Promise.all(["json", "messagepack"].map((protocol) => Bytes.connect(hub, protocol)))
  raws[0].say(`{"type":1,"target":"SendToAll","arguments":["${method}",${digits}]}\x1e`)
  await until(() => raws[0].text.includes(`"arguments":${digits}`))
  const packed = "93cf7fffffffffffffffd38000000000000000cfffffffffffffffff"
  const loose = packed.replace("cf7f", "d37f")
  await until(() => raws[1].hex.includes(packed) || raws[1].hex.includes(loose))
  raws.forEach((raw) => raw.cut())
  await stop(json, pack)
})

holds("a receiver that does not read delays nobody else", async () => {
  const method = unique("Heard")
  const stuck = await Promise.all(["json", "messagepack"].map((protocol) => Raw.connect(hub, { protocol })))
  const [reader, sender] = [await connect(hub, { listens: [method] }), await connect(hub)]
  const group = unique("Group")
  await reader.invoke("JoinGroup", group)
  for (const raw of stuck) {
    await raw.invoke("JoinGroup", group)
    raw.pause()
  }
  const text = "z".repeat(30_000)
  for (let number = 0; number < 600; number++) {
    await sender.invoke("SendToGroup", group, method, [number, text])
    assert.deepEqual(await reader.heard[method].next(), [number, text])
  }
  // Their room is bounded: they are ended, and the others do not notice.
  for (const raw of stuck) {
    raw.resume()
    await raw.closed
  }
  await stop(reader, sender)
})

/** All that a client has heard, as it was written. */
class Bytes {
  #parts = []

  static async connect(hub, protocol) {
    const { default: WebSocket } = await import("ws")
    const bytes = new Bytes()
    const socket = new WebSocket(hub.replace("http", "ws"))
    socket.on("message", (data) => bytes.#parts.push(Buffer.from(data)))
    await new Promise((resolve) => socket.on("open", resolve))
    bytes.say = (text) => socket.send(text)
    bytes.cut = () => socket.terminate()
    bytes.say(`{"protocol":"${protocol}","version":1}\x1e`)
    await until(() => bytes.text.startsWith("{}\x1e"))
    return bytes
  }

  get text() {
    return Buffer.concat(this.#parts).toString()
  }

  get hex() {
    return Buffer.concat(this.#parts).toString("hex")
  }
}
