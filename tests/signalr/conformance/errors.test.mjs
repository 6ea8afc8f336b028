// Errors: what a client is told, and who notices.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import * as signalR from "@microsoft/signalr"
import { stopAll } from "../../programs.mjs"
import { connect, Events, Poller, Raw, start, WAYS, write } from "./clients.mjs"
import { holds, together } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

const FAULT = "Connection closed with an error."
const BOTH = ["json", "messagepack"]

const isFault = (message) => assert.deepEqual(message, { ...message, type: 7, error: FAULT, allowReconnect: true })

/** A test on each way, with a client of it. */
function everywhere(line, check) {
  for (const [about, way] of Object.entries(WAYS))
    holds(line, { about }, async () => {
      const client = await connect(hub, { way })
      await check(client, (method, args, message) => assert.rejects(client.invoke(method, ...args), { message }))
      assert.equal(await client.invoke("Echo", "still here"), "still here")
      await client.stop()
    })
}

everywhere("public and private errors", async (_, fails) => {
  const failed = (method) => `An unexpected error occurred invoking '${method}' on the server.`
  await fails("ThrowPublic", ["why"], `${failed("ThrowPublic")} HubException: why`)
  await fails("ThrowPrivate", ["a secret"], failed("ThrowPrivate"))
  await fails("Panic", ["a secret"], failed("Panic"))
})

everywhere("unknown method", async (_, fails) => {
  for (const name of ["Nothing", "noThing", "Echo ", "ä\"'", "Echo.Value"]) await fails(name, [], `Unknown hub method '${name}'`)
})

everywhere("wrong arguments: the connection stays up", async (_, fails) => {
  const wrong = [
    ["Echo", []], ["Echo", ["a", "b"]], ["Echo", [1]], ["Echo", [null]], ["Echo", [["a"]]],
    ["Add", [1]], ["Add", [1, "2"]], ["Add", [1, 2, 3]], ["Add", [1.5, 1]], ["VoidCall", [1]],
    ["EchoObject", [{}]], ["EchoObject", [7]], ["EchoBytes", [7]], ["EchoBytes", ["?"]],
    ["SendToCaller", ["Heard"]], ["SendToCaller", ["Heard", "x"]], ["SendToAllExcept", ["x", "Heard", []]],
  ]
  for (const [method, args] of wrong) await fails(method, args, `Failed to invoke '${method}' due to an error on the server.`)
})

everywhere("role missing", async (_, fails) => {
  await fails("AdminOnly", [], "Failed to invoke 'AdminOnly' because user is unauthorized")
})

/** What comes of a stream: its items, and how it ends. */
function all(client, method, ...args) {
  const items = []
  return new Promise((resolve) =>
    client.stream(method, ...args).subscribe({
      next: (item) => items.push(item),
      error: (error) => resolve([items, error.message]),
      complete: () => resolve([items, undefined]),
    }),
  )
}

everywhere("a streaming method called without streaming", async (_, fails) => {
  for (const [method, ...args] of [["CountTo", 1, 0], ["EmptyStream"], ["countTO", 1, 0], ["EchoStream"]])
    await fails(method, args, `The client attempted to invoke the streaming '${method}' method with a non-streaming invocation.`)
})

everywhere("a non-streaming method called as a stream", async (client) => {
  for (const [method, ...args] of [["Echo", "x"], ["voidcall"], ["UploadSum", 1]]) {
    const error = `The client attempted to invoke the non-streaming '${method}' method with a streaming invocation.`
    assert.deepEqual(await all(client, method, ...args), [[], error])
  }
})

everywhere("errors in a stream that had begun", async (client) => {
  const error = "An error occurred on the server while streaming results. HubException: why"
  assert.deepEqual(await all(client, "StreamThenFail", 3, "why"), [[0, 1, 2], error])
  const atOnce = "An unexpected error occurred invoking 'StreamFailAtOnce' on the server. HubException: why"
  assert.deepEqual(await all(client, "StreamFailAtOnce", "why"), [[], atOnce])
  const wrong = "Failed to invoke 'CountTo' due to an error on the server."
  assert.deepEqual(await all(client, "CountTo", "x", 0), [[], wrong])
  assert.deepEqual(await all(client, "Nothing"), [[], "Unknown hub method 'Nothing'"])
})

everywhere("wrong number of upload streams", async (client, fails) => {
  const failed = (method, sent, expected) =>
    `An unexpected error occurred invoking '${method}' on the server. HubException: Client sent ${sent} stream(s), Hub method expects ${expected}.`
  await fails("UploadConcat", [], failed("UploadConcat", 0, 1))
  await fails("UploadTwo", [new signalR.Subject(), "-"], failed("UploadTwo", 1, 2))
  await fails("Echo", [new signalR.Subject(), "x"], failed("Echo", 1, 0))
  assert.deepEqual(await all(client, "EchoStream"), [[], failed("EchoStream", 0, 1)])
  assert.deepEqual(await all(client, "CountTo", new signalR.Subject(), 1, 0), [[], failed("CountTo", 1, 0)])
})

everywhere("who wants no answer gets none", async (client) => {
  for (const [method, ...args] of [["Echo", "x"], ["Nothing"], ["Echo"], ["ThrowPublic", "x"], ["AdminOnly"], ["Panic", "x"]])
    await client.send(method, ...args)
})

holds("who wants no answer gets none", { about: "in its own words" }, async () => {
  for (const protocol of BOTH) {
    const raw = await Raw.connect(hub, { protocol })
    for (const [target, ...args] of [["Echo", "x"], ["Nothing"], ["Echo"], ["ThrowPublic", "x"], ["AdminOnly"]])
      raw.send({ type: 1, target, arguments: args })
    raw.send({ type: 1, invocationId: "1", target: "Echo", arguments: ["last"] })
    assert.equal((await raw.next()).result, "last")
    raw.cut()
  }
})

/** Each of these ends its connection, and nobody else notices. */
const WRONG = {
  json: [
    "{", "[]", "1", "nonsense", "", '{"type":"1"}', "{}", '{"type":1}', '{"type":1,"target":"Echo"}', '{"type":1,"arguments":[]}',
    '{"type":1,"target":1,"arguments":[]}', '{"type":1,"target":"Echo","arguments":{}}', '{"type":1,"invocationId":1,"target":"Echo","arguments":[]}',
    '{"type":2,"item":1}', '{"type":2,"invocationId":"1"}', '{"type":3}', '{"type":3,"result":1}', '{"type":3,"invocationId":"1","result":1,"error":"x"}',
    '{"type":4,"target":"CountTo","arguments":[1,1]}', '{"type":4,"invocationId":"1","arguments":[]}', '{"type":5}',
    '{"type":1,"target":"Echo","arguments":["\\ud800"',
  ].map((text) => text + "\x1e"),
  // Behind the length: no array, an empty one, no kind, too few elements, a map of headers that is a text, a target that is a number, arguments that are a map, no such result.
  messagepack: [
    [0xc0], [0x90], [0x91, 0xa1, 0x31], [0x91, 1], [0x95, 1, 0x80, 0xc0, 0xa4], [0x95, 1, 0x80, 0xc0, 1, 0x90], [0x95, 1, 0x80, 0xc0, 0xa1, 0x45, 0x80],
    [0x93, 2, 0x80, 0xa1, 0x31], [0x94, 3, 0x80, 0xa1, 0x31, 9], [0x92, 5, 0x80], [0xc1], [],
  ].map((bytes) => Buffer.from([bytes.length, ...bytes])).concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80])]),
}

for (const protocol of BOTH)
  holds("a protocol error ends that one connection", { about: protocol }, async () => {
    const others = await Promise.all(BOTH.map((protocol) => Raw.connect(hub, { protocol })))
    for (const wrong of WRONG[protocol]) {
      const raw = await Raw.connect(hub, { protocol })
      raw.say(wrong)
      isFault(await raw.next())
      assert.equal(await raw.closed, 1000, JSON.stringify(wrong))
    }
    for (const raw of others) assert.equal((await raw.invoke("Echo", "x")).result, "x")
    others.forEach((raw) => raw.cut())
  })

holds("a protocol error ends that one connection", { about: "not on WebSockets" }, async () => {
  const [poller, events] = [await Poller.connect(hub), await Events.connect(hub)]
  assert.equal(poller.handshake.body, "{}\x1e")
  await poller.say("nonsense\x1e")
  const [close] = await poller.hear()
  isFault(close)
  assert.equal((await poller.poll()).status, 204)
  assert.deepEqual(await events.next(), {})
  await events.say("nonsense\x1e")
  isFault(await events.next())
  await events.ended
})

holds("a protocol error ends that one connection", { about: "what is unknown or early is none" }, async () => {
  const raw = await Raw.connect(hub)
  for (const message of [
    { type: 99 }, { type: 6, more: {} }, { type: 3, invocationId: "nobody", result: 1 }, { type: 5, invocationId: "nobody" }, { type: 2, invocationId: "nobody", item: 1 },
    { type: 3, invocationId: "s1", error: "x" }, { type: 8, sequenceId: 0 },
  ])
    raw.send(message)
  raw.say('{ "arguments" : [ "order is free" ] , "headers":{"a":"b"}, "more":[[{}]], "target":"Echo","invocationId":"1","type":1}\x1e')
  assert.equal((await raw.next()).result, "order is free")
  // A message may come in pieces, and many in one.
  for (const piece of ['{"type":1,"invocationId":"2",', '"target":"Echo","arg', 'uments":["pieces"]}', "\x1e"]) raw.say(piece)
  assert.equal((await raw.next()).result, "pieces")
  raw.cut()
})

/** An invocation of `Echo` that has so many bytes on the wire. */
function sized(protocol, size) {
  const echo = (letters) => write(protocol, { type: 1, invocationId: "1", target: "Echo", arguments: ["z".repeat(letters)] })
  const around = Buffer.from(echo(20_000)).length - 20_000
  return echo(size - around)
}

for (const protocol of BOTH) {
  holds("the largest message has 32,768 bytes with its framing", { about: protocol }, async () => {
    const raw = await Raw.connect(hub, { protocol })
    const largest = sized(protocol, 32_768)
    assert.equal(Buffer.from(largest).length, 32_768)
    raw.say(largest)
    assert.match((await raw.next()).result, /^z{32000}/)
    // Several may come at once, each as large.
    raw.say(protocol === "json" ? largest + largest : Buffer.concat([largest, largest].map((one) => Buffer.from(one))))
    for (let count = 0; count < 2; count++) assert.match((await raw.next()).result, /^z{32000}/)
    raw.cut()
  })

  holds("a message over the limit ends that one connection", { about: protocol }, async () => {
    const other = await Raw.connect(hub)
    const raw = await Raw.connect(hub, { protocol })
    raw.say(sized(protocol, 32_769))
    isFault(await raw.next())
    assert.equal(await raw.closed, 1000)
    // As soon as it is known: its end never comes.
    const endless = await Raw.connect(hub, { protocol })
    endless.say(protocol === "json" ? "x".repeat(32_769) : Buffer.from([0x81, 0x80, 0x02]))
    isFault(await endless.next())
    await endless.closed
    assert.equal((await other.invoke("Echo", "x")).result, "x")
    other.cut()
  })
}

holds("a message over the limit ends that one connection", { about: "not on WebSockets" }, async () => {
  const [poller, events] = [await Poller.connect(hub), await Events.connect(hub)]
  await poller.say(sized("json", 32_768))
  assert.match((await poller.hear())[0].result, /^z{32000}/)
  await poller.say(sized("json", 32_769))
  isFault((await poller.hear())[0])
  assert.equal((await poller.poll()).status, 204)
  assert.deepEqual(await events.next(), {})
  await events.say(sized("json", 32_769))
  isFault(await events.next())
  await events.ended
})

/** What comes of a handshake by these bytes, on each transport. */
async function handshake(text) {
  const raw = await Raw.open(hub)
  raw.say(text)
  const answer = await raw.next()
  assert.equal(await raw.closed, 1000)
  const events = await Events.connect(hub, { handshake: text.replace(/\x1e$/, "") })
  assert.deepEqual(await events.next(), answer)
  await events.ended
  return answer.error
}

holds("handshake: the protocol is not supported", async () => {
  assert.equal(await handshake('{"protocol":"xml","version":1}\x1e'), "The protocol 'xml' is not supported.")
  assert.equal(await handshake('{"protocol":"JSON","version":1}\x1e'), "The protocol 'JSON' is not supported.")
})

holds("handshake: the version is not supported", async () => {
  for (const version of [0, 3, 99, -1])
    assert.equal(await handshake(`{"protocol":"json","version":${version}}\x1e`), `The server does not support version ${version} of the 'json' protocol.`)
  const raw = await Raw.open(hub)
  raw.handshake(3, "messagepack")
  assert.equal((await raw.next()).error, "The server does not support version 3 of the 'messagepack' protocol.")
  await raw.closed
})

holds("handshake: no messagepack where only text goes", async () => {
  const events = await Events.connect(hub, { handshake: '{"protocol":"messagepack","version":1}' })
  const error = "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format."
  assert.deepEqual(await events.next(), { error })
  await events.ended
})

holds("handshake: anything unparsable", async () => {
  for (const text of ["nonsense", "{}", "[]", "", '{"protocol":"json"}', '{"version":1}', '{"protocol":1,"version":1}', '{"protocol":"json","version":"1"}', '{"type":6}'])
    assert.equal(await handshake(text + "\x1e"), "An unexpected error occurred during connection handshake.", text)
})

together(() => {
  holds("handshake: canceled when it takes too long, or is too large", { about: "too long" }, async () => {
    const raw = await Raw.open(`${url}/fasthub`)
    raw.say('{"protocol":')
    assert.deepEqual(await raw.next(), { error: "Handshake was canceled." })
    await raw.closed
  })

  holds("handshake: canceled when it takes too long, or is too large", { about: "too large" }, async () => {
    const raw = await Raw.open(hub)
    raw.say("x".repeat(32_769))
    assert.deepEqual(await raw.next(), { error: "Handshake was canceled." })
    await raw.closed
  })
})

for (const protocol of BOTH)
  holds("a value that nests 10,000 deep harms nobody", { about: protocol }, async () => {
    const other = await Raw.connect(hub)
    const raw = await Raw.connect(hub, { protocol })
    const open = (levels) => (protocol === "json" ? "[".repeat(levels) + "]".repeat(levels) : Buffer.concat([Buffer.alloc(levels, 0x91), Buffer.from([0xc0])]))
    raw.say(nested(protocol, open(10_000)))
    const { type, error } = await raw.next()
    // Where it is found while the message is read, that is a protocol error.
    if (type === 3) assert.equal(error, "Failed to invoke 'EchoValue' due to an error on the server.")
    else assert.equal(error, FAULT)
    raw.cut()
    // In a member that nobody reads it may stand.
    const skips = await Raw.connect(hub)
    skips.say(`{"type":1,"more":${"[".repeat(10_000)}${"]".repeat(10_000)},"invocationId":"1","target":"Echo","arguments":["x"]}\x1e`)
    assert.equal((await skips.next()).result, "x")
    assert.equal((await other.invoke("Echo", "x")).result, "x")
    for (const one of [other, skips]) one.cut()
  })

/** A call of `EchoValue` with this value. */
function nested(protocol, value) {
  if (protocol === "json") return `{"type":1,"invocationId":"1","target":"EchoValue","arguments":[${value}]}\x1e`
  const call = Buffer.concat([Buffer.from([0x95, 1, 0x80, 0xa1, 0x31, 0xa9]), Buffer.from("EchoValue"), Buffer.from([0x91]), value])
  const length = []
  let rest = call.length
  for (; rest >= 0x80; rest >>= 7) length.push((rest & 0x7f) | 0x80)
  return Buffer.concat([Buffer.from([...length, rest]), call])
}
