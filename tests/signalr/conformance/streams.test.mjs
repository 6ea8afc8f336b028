// Streams to clients, and from them.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import * as signalR from "@microsoft/signalr"
import { stopAll } from "../../programs.mjs"
import { connect, Poller, Raw, start, stop, timed, until, WAYS } from "./clients.mjs"
import { holds } from "./contract.mjs"

let hub, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
})
after(stopAll)

/** A test on each way, with a client of it. */
function everywhere(line, check) {
  for (const [about, way] of Object.entries(WAYS))
    holds(line, { about }, async () => {
      const client = await connect(hub, { way, listens: ["StreamCanceled"] })
      await check(client, way)
      assert.equal(await client.invoke("Echo", "still here"), "still here")
      await client.stop()
    })
}

/** All items of a stream. */
function all(client, method, ...args) {
  const items = []
  return new Promise((complete, error) =>
    client.stream(method, ...args).subscribe({ next: (item) => items.push(item), error, complete: () => complete(items) }),
  )
}

const range = (count) => Array.from({ length: count }, (_, number) => number)

everywhere("CountTo", async (client) => {
  assert.deepEqual(await all(client, "CountTo", 1_000, 0), range(1_000))
  const { ms, value } = await timed(all(client, "CountTo", 5, 20))
  assert.deepEqual(value, range(5))
  assert.ok(ms >= 75, `${ms}`)
  for (const none of [0, -1]) assert.deepEqual(await all(client, "CountTo", none, 0), [])
})

everywhere("EmptyStream", async (client) => assert.deepEqual(await all(client, "EmptyStream"), []))

everywhere("StreamThenFail", async (client) => {
  await assert.rejects(all(client, "StreamThenFail", 2, "why"), /while streaming results\. HubException: why$/)
  await assert.rejects(all(client, "StreamThenFail", 0, "why"), /invoking 'StreamThenFail' on the server\. HubException: why$/)
})

everywhere("StreamFailAtOnce", async (client) => {
  await assert.rejects(all(client, "StreamFailAtOnce", "why"), { message: "An unexpected error occurred invoking 'StreamFailAtOnce' on the server. HubException: why" })
})

everywhere("StreamText", async (client) => {
  const texts = await all(client, "StreamText", 100, 100_000)
  assert.deepEqual([texts.length, texts.every((text) => text === "y".repeat(100_000))], [100, true])
  await assert.rejects(all(client, "StreamText", 1, -1))
})

const CANCELLED = "InfiniteStream: cancelled, the caller hears StreamCanceled and then the end without an error"

everywhere("InfiniteStream: cancelled, the caller hears StreamCanceled and then the end without an error", async (client) => {
  for (const delay of [0, 5, 10_000]) {
    const items = []
    await new Promise((resolve) => {
      const subscription = client.stream("InfiniteStream", delay).subscribe({
        next(item) {
          items.push(item)
          if (item < (delay > 1_000 ? 0 : 20)) return
          subscription.dispose()
          resolve()
        },
        error: assert.fail,
        complete() {},
      })
    })
    assert.deepEqual(await client.heard.StreamCanceled.next(), [])
    assert.deepEqual(items.slice(0, 20), range(items.length).slice(0, 20))
  }
})

for (const protocol of ["json", "messagepack"])
  holds(CANCELLED, { about: `in its own words, ${protocol}` }, async () => {
    const raw = await Raw.connect(hub, { protocol })
    raw.send({ type: 4, invocationId: "7", target: "InfiniteStream", arguments: [1] })
    for (const expected of range(3)) {
      const { type, invocationId, item } = await raw.next()
      assert.deepEqual([type, invocationId, item], [2, "7", expected])
    }
    raw.send({ type: 5, invocationId: "7" })
    let message
    do message = await raw.next()
    while (message.type === 2)
    assert.deepEqual([message.type, message.target, message.arguments], [1, "StreamCanceled", []])
    const { type, invocationId, error, result } = await raw.next()
    assert.deepEqual([type, invocationId, error ?? undefined, result ?? undefined], [3, "7", undefined, undefined])
    // Nothing follows, and a second word about it means nothing.
    raw.send({ type: 5, invocationId: "7" })
    assert.equal((await raw.invoke("Echo", "x")).result, "x")
    raw.cut()
  })

holds("InfiniteStream: it ends silently when the connection is lost", async () => {
  const { program, url } = await start()
  const hub = `${url}/testhub`
  const watches = await connect(hub)
  const stats = async () => {
    const { connections, activeStreams, canceledStreams } = await watches.invoke("GetStats")
    return [connections, activeStreams, canceledStreams].join()
  }
  const raws = await Promise.all(["json", "messagepack"].map((protocol) => Raw.connect(hub, { protocol })))
  for (const raw of raws) {
    raw.send({ type: 4, invocationId: "1", target: "InfiniteStream", arguments: [1] })
    assert.equal((await raw.next()).item, 0)
  }
  const poller = await Poller.connect(hub)
  await poller.send({ type: 4, invocationId: "1", target: "InfiniteStream", arguments: [1] })
  assert.equal((await poller.hear())[0].item, 0)
  assert.equal(await stats(), "4,3,0")
  raws[0].cut()
  raws[1].send({ type: 7 })
  await poller.part()
  await until(async () => (await stats()) === "1,0,0")
  await watches.stop()
  await program.stop()
})

holds("GetStats counts streams that run, and those that were cancelled", async () => {
  const { program, url } = await start()
  const client = await connect(`${url}/testhub`, { listens: ["StreamCanceled"] })
  const stats = async () => {
    const { activeStreams, canceledStreams } = await client.invoke("GetStats")
    return [activeStreams, canceledStreams]
  }
  assert.deepEqual(await stats(), [0, 0])
  const streams = [["InfiniteStream", 10_000], ["CountTo", 2, 10_000], ["EchoStream", new signalR.Subject()]]
  const running = streams.map(([method, ...args]) => client.stream(method, ...args).subscribe({ next() {}, error() {}, complete() {} }))
  assert.deepEqual(await stats(), [3, 0])
  for (const [index, subscription] of running.entries()) {
    subscription.dispose()
    await until(async () => (await stats()).join() === [2 - index, index + 1].join())
  }
  assert.deepEqual(await client.heard.StreamCanceled.next(), [])
  // Those that end by themselves are not cancelled.
  await all(client, "CountTo", 10, 0)
  await all(client, "EmptyStream")
  await assert.rejects(all(client, "StreamThenFail", 1, "x"))
  assert.deepEqual(await stats(), [0, 3])
  assert.equal(client.heard.StreamCanceled.waiting, 0, "only InfiniteStream tells")
  await program.stop()
})

everywhere("streams run beside calls", async (client) => {
  const slow = client.invoke("Delay", 200)
  assert.deepEqual(await all(client, "CountTo", 100, 0), range(100))
  const many = range(20).map((count) => all(client, "CountTo", count * 10, 0))
  for (const [count, items] of (await Promise.all(many)).entries()) assert.deepEqual(items, range(count * 10))
  assert.equal(await slow, "done")
})

/** A stream of these items. */
function upload(items, error) {
  const subject = new signalR.Subject()
  setImmediate(() => {
    for (const item of items) subject.next(item)
    error === undefined ? subject.complete() : subject.error(error)
  })
  return subject
}

everywhere("UploadConcat", async (client) => {
  assert.equal(await client.invoke("UploadConcat", upload(["a", "", "é", "🐦"])), "aé🐦")
  assert.equal(await client.invoke("UploadConcat", upload([])), "")
  assert.equal(await client.invoke("UploadConcat", upload(range(300).map(String))), range(300).join(""))
})

everywhere("UploadSum", async (client) => {
  assert.equal(await client.invoke("UploadSum", upload([1, 2, 3]), -7), -42)
  assert.equal(await client.invoke("UploadSum", upload(range(300)), 2), 89_700)
  await assert.rejects(client.invoke("UploadSum", upload(["x"]), 1), { message: "Failed to invoke 'UploadSum' due to an error on the server." })
})

everywhere("UploadTwo", async (client) => {
  for (const [a, b] of [[["1", "2"], ["x", "y", "z"]], [[], ["x"]], [range(100).map(String), range(150).map(String)]])
    assert.deepEqual(await client.invoke("UploadTwo", upload(a), "-", upload(b)), [a.join("-"), b.join("-")])
})

holds("UploadTwo", { about: "in any interleaving" }, async () => {
  for (const protocol of ["json", "messagepack"]) {
    const raw = await Raw.connect(hub, { protocol })
    const item = (id, item) => ({ type: 2, invocationId: id, item })
    raw.send(
      { type: 1, invocationId: "1", target: "UploadTwo", arguments: ["+"], streamIds: ["b", "a"] },
      ...range(50).map((number) => item("a", `${number}`)), item("b", "x"), item("a", "end"), item("b", "y"),
      { type: 3, invocationId: "b" }, { type: 3, invocationId: "a" },
    )
    assert.deepEqual((await raw.next()).result, ["x+y", [...range(50), "end"].join("+")])
    raw.cut()
  }
})

everywhere("EchoStream", async (client) => {
  const values = [1, "two", null, { three: [3, [null]] }, 1.5, false]
  assert.deepEqual(await all(client, "EchoStream", upload(values)), values)
  assert.deepEqual(await all(client, "EchoStream", upload(range(300))), range(300))
  // As it comes: the next is sent when the last is back.
  const subject = new signalR.Subject()
  const back = []
  await new Promise((complete, error) => {
    client.stream("EchoStream", subject).subscribe({
      next(item) {
        back.push(item)
        item < 5 ? subject.next(item + 1) : subject.complete()
      },
      error, complete,
    })
    subject.next(0)
  })
  assert.deepEqual(back, range(6))
  await assert.rejects(all(client, "EchoStream", upload([1], "why")), /why/)
})

everywhere("UploadSlow", async (client) => {
  const { ms, value } = await timed(client.invoke("UploadSlow", upload(range(20)), 5))
  assert.equal(value, 20)
  assert.ok(ms >= 95, `${ms}`)
})

everywhere("an upload that ends with an error makes the method fail with it", async (client) => {
  const message = (method) => `An unexpected error occurred invoking '${method}' on the server. HubException: it broke`
  await assert.rejects(client.invoke("UploadConcat", upload(["a"], "it broke")), { message: message("UploadConcat") })
  await assert.rejects(client.invoke("UploadSum", upload([], "it broke"), 1), { message: message("UploadSum") })
})

everywhere("more than 10 items that wait hold up the upload, and nothing else", async (client) => {
  const slow = client.invoke("UploadSlow", upload(range(200)), 2)
  for (const number of range(20)) assert.equal(await client.invoke("Add", number, 1), number + 1)
  assert.equal(await slow, 200)
})

holds("items of a stream that nobody reads any more are passed over", async () => {
  for (const protocol of ["json", "messagepack"]) {
    const raw = await Raw.connect(hub, { protocol })
    raw.send({ type: 1, invocationId: "1", target: "UploadSum", arguments: [1], streamIds: ["a"] }, { type: 2, invocationId: "a", item: "no number" })
    assert.match((await raw.next()).error, /^Failed to invoke 'UploadSum'/)
    for (const number of range(500)) raw.send({ type: 2, invocationId: "a", item: number }, { type: 2, invocationId: "unknown", item: number })
    raw.send({ type: 3, invocationId: "a" }, { type: 3, invocationId: "unknown" })
    assert.equal((await raw.invoke("Echo", "x")).result, "x")
    raw.cut()
  }
})
