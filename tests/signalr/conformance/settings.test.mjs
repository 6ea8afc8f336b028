// The settings: times, bounds, and what goes over HTTP.

import assert from "node:assert/strict"
import net from "node:net"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { bytes, connect, Events, negotiate, Poller, post, Raw, request, start, stop, timed, upgrade, WAYS } from "./clients.mjs"
import { holds, together } from "./contract.mjs"

let hub, fast, url

before(async () => {
  ;({ url } = await start())
  hub = `${url}/testhub`
  fast = `${url}/fasthub`
})
after(stopAll)

/** Sleeps where time itself is what is tested. */
const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Of so many seconds; a busy machine may be late. */
const isAbout = (seconds, ms) => assert.ok(ms > (seconds - 0.5) * 1_000 && ms < (seconds + 5) * 1_000, `${ms} ms`)

const LONG = { timeout: 150_000 }

together(() => {
  for (const [about, path, seconds] of [["/testhub", "testhub", 15], ["/fasthub", "fasthub", 1]])
    holds("keep-alive interval 15 s, fast 1 s", { ...LONG, about }, async () => {
      const [raw, events] = [await Raw.connect(`${url}/${path}`), await Events.connect(`${url}/${path}`)]
      assert.deepEqual(await events.next(), {})
      for (const any of [() => raw.any(), () => events.messages.next()].map((next) => timed(next()))) {
        const { ms, value } = await any
        assert.deepEqual(value, { type: 6 })
        isAbout(seconds, ms)
      }
      raw.cut()
      events.cut()
    })

  for (const [about, path, seconds] of [["/testhub", "testhub", 30], ["/fasthub", "fasthub", 3]])
    holds("client timeout 30 s, fast 3 s", { ...LONG, about }, async () => {
      const [raw, events] = [await Raw.connect(`${url}/${path}`), await Events.connect(`${url}/${path}`)]
      assert.deepEqual(await events.next(), {})
      // Pings are as good as anything.
      const pings = await Raw.connect(`${url}/${path}`)
      const pinging = setInterval(() => pings.send({ type: 6 }), 500)
      for (const next of [raw.next(), events.next()].map(timed)) {
        const { ms, value } = await next
        assert.deepEqual(value, { type: 7, error: "Connection closed with an error.", allowReconnect: true })
        isAbout(seconds, ms)
      }
      assert.equal((await pings.invoke("Echo", "x")).result, "x")
      clearInterval(pinging)
      await raw.closed
      await events.ended
      pings.cut()
    })

  for (const [about, path, seconds] of [["/testhub", "testhub", 15], ["/fasthub", "fasthub", 2]])
    holds("handshake timeout 15 s, fast 2 s", { ...LONG, about }, async () => {
      const [raw, poller] = [await Raw.open(`${url}/${path}`), await negotiate(`${url}/${path}`)]
      const { ms, value } = await timed(raw.next())
      assert.deepEqual(value, { error: "Handshake was canceled." })
      isAbout(seconds, ms)
      await raw.closed
      assert.equal(poller.status, 200)
    })

  for (const [about, path, seconds] of [["/testhub", "testhub", 90], ["/fasthub", "fasthub", 2]])
    holds("long-poll timeout 90 s, fast 2 s", { ...LONG, about }, async () => {
      const poller = await Poller.connect(`${url}/${path}`)
      const { ms, value } = await timed(poller.poll())
      assert.deepEqual([value.status, value.body], [200, ""])
      isAbout(seconds, ms)
      // It may be polled again.
      await poller.send({ type: 1, invocationId: "1", target: "Echo", arguments: ["x"] })
      assert.equal((await poller.hear())[0].result, "x")
      await poller.part()
    })

  holds("a long-polling connection without a poll is dropped after 15 s", LONG, async () => {
    const watches = await connect(fast, { listens: ["Left"] })
    await watches.invoke("JoinGroup", "watchers")
    const poller = await Poller.connect(fast)
    const begun = performance.now()
    for (let id; id !== poller.id; ) [id] = await watches.heard.Left.next()
    isAbout(15, performance.now() - begun)
    assert.equal((await post(poller.url, "")).status, 404)
    await watches.stop()
  })

  holds("a client that polls is not timed out, and hears no pings", LONG, async () => {
    const poller = await Poller.connect(fast)
    // Twice the client's timeout.
    for (let poll = 0; poll < 3; poll++) assert.deepEqual(await poller.hear(), [])
    await poller.send({ type: 1, invocationId: "1", target: "Echo", arguments: ["still here"] })
    assert.equal((await poller.hear())[0].result, "still here")
    await poller.part()
  })

  holds("wrong requests have a status, and nobody else notices", { ...LONG, about: "half of one" }, async () => {
    const other = await Raw.connect(hub)
    const halves = ["GET /testhub HT", "GET /testhub HTTP/1.1\r\nHost: hub\r\n", "POST /testhub/negotiate HTTP/1.1\r\nHost: hub\r\nContent-Length: 10\r\n\r\n"]
    const waits = halves.map(async (half) => {
      const { ms, value } = await timed(bytes(url, half))
      assert.ok(ms < 75_000, `${half} ${ms}`)
      return value
    })
    await Promise.all(waits)
    assert.equal((await other.invoke("Echo", "x")).result, "x")
    other.cut()
  })
})

for (const [about, way] of Object.entries(WAYS))
  holds("one invocation at a time, the others wait in order", { about }, async () => {
    const client = await connect(hub, { way })
    const done = []
    const calls = [client.invoke("Delay", 150).then(() => done.push("delay"))]
    for (let number = 0; number < 500; number++) calls.push(client.invoke("Echo", `${number}`).then((text) => done.push(text)))
    await Promise.all(calls)
    assert.deepEqual(done, ["delay", ...Array.from({ length: 500 }, (_, number) => `${number}`)])
    await client.stop()
  })

for (const [about, way] of Object.entries(WAYS))
  holds("detailed errors are off", { about }, async () => {
    const client = await connect(hub, { way })
    for (const method of ["ThrowPrivate", "Panic"])
      await assert.rejects(client.invoke(method, "a secret"), { message: `An unexpected error occurred invoking '${method}' on the server.` })
    await client.stop()
  })

holds("negotiate versions 0 and 1", async () => {
  for (const [query, version] of [["", 0], ["negotiateVersion=0", 0], ["negotiateVersion=1", 1], ["negotiateVersion=7", 1], ["NegotiateVersion=1", 1]]) {
    const { status, headers, value } = await negotiate(hub, query)
    assert.equal(status, 200)
    assert.match(headers["content-type"], /^application\/json/)
    assert.equal(value.negotiateVersion, version)
    assert.equal("connectionToken" in value, version === 1)
    assert.ok(!("useStatefulReconnect" in value) && !("ProtocolVersion" in value))
    // What opens the connection: the secret where there is one, and nothing else.
    const raw = await Raw.connect(`${hub}?id=${value.connectionToken ?? value.connectionId}`)
    assert.equal((await raw.invoke("GetConnectionId")).result, value.connectionId)
    raw.cut()
    if (version === 1) assert.equal(await upgrade(`${hub}?id=${value.connectionId}`), 404)
  }
  const { value } = await negotiate(hub, "negotiateVersion=x")
  assert.deepEqual(value, { error: "The client requested a non-integer protocol version." })
  assert.equal((await request(`${hub}/negotiate`)).status, 405)
})

holds("protocols json and messagepack in versions 1 and 2", async () => {
  for (const protocol of ["json", "messagepack"])
    for (const version of [1, 2]) {
      const raw = await Raw.open(hub, { protocol })
      raw.handshake(version)
      assert.deepEqual(await raw.next(), {})
      assert.equal((await raw.invoke("GetProtocol")).result, protocol)
      raw.cut()
    }
})

holds("poll rules: at once first, replaced by a newer one, 204 at the end", async () => {
  const poller = await Poller.connect(hub)
  assert.deepEqual([poller.first.status, poller.first.body], [200, ""])
  assert.deepEqual([poller.handshake.status, poller.handshake.body], [200, "{}\x1e"])
  assert.match(poller.handshake.headers["cache-control"], /no-store/)
  const older = poller.poll()
  // A newer one takes its place as soon as both are there.
  const newer = poller.poll()
  const first = await Promise.race([older.then((answer) => [answer, newer]), newer.then((answer) => [answer, older])])
  assert.equal(first[0].status, 204)
  for (const text of ["a", "b"]) await poller.send({ type: 1, invocationId: text, target: "Echo", arguments: [text] })
  const results = [(await first[1]).body]
  while (!results.join("").includes('"b"')) results.push((await poller.poll()).body)
  const waits = poller.poll()
  const [{ status }, over] = [await poller.part(), await waits]
  assert.deepEqual([status, over.status], [202, 204])
  assert.deepEqual([(await poller.poll()).status, (await poller.say("x")).status, (await poller.part()).status], [404, 404, 404])
})

holds("wrong requests have a status, and nobody else notices", async () => {
  const other = await Raw.connect(hub)
  const fresh = async () => `${hub}?id=${(await negotiate(hub)).value.connectionToken}`
  const status = async (target, options) => (await request(target, options)).status
  for (const method of ["GET", "POST", "DELETE"]) {
    assert.equal(await status(hub, { method }), 400, "no id")
    assert.equal(await status(`${hub}?id=unknown`, { method }), 404)
  }
  assert.equal(await status(hub, { method: "PUT" }), 405)
  assert.equal(await status(`${url}/nothing`), 404)
  assert.equal(await upgrade(`${url}/nothing`), 404)
  assert.equal(await upgrade(`${hub}?id=unknown`), 404)
  // One transport for each connection, and one request by which it hears.
  const attached = await fresh()
  const raw = await Raw.connect(attached)
  assert.equal(await upgrade(attached), 409)
  raw.cut()
  const events = await Events.connect(hub)
  assert.equal(await status(events.url, { headers: { accept: "text/event-stream" } }), 409)
  assert.equal(await status(events.url), 400, "no poll on events")
  assert.equal(await status(events.url, { method: "DELETE" }), 400)
  events.cut()
  const poller = await Poller.connect(hub)
  assert.equal(await status(poller.url, { headers: { accept: "text/event-stream" } }), 400)
  assert.equal(await upgrade(poller.url), 404)
  assert.equal((await poller.say("x".repeat(2 ** 20 + 1)).catch(() => ({ status: 413 }))).status, 413)
  await poller.part()
  assert.equal((await other.invoke("Echo", "x")).result, "x")
  other.cut()
})

holds("wrong requests have a status, and nobody else notices", { about: "in their own bytes" }, async () => {
  const other = await Raw.connect(hub)
  const { host } = new URL(url)
  const get = (headers, line = "GET /testhub HTTP/1.1") => bytes(url, [line, ...headers, "Connection: close", "", ""].join("\r\n"))
  const isStatus = (answer, ...statuses) => assert.ok(statuses.includes(Number(answer.split(" ")[1])), answer.slice(0, 200))
  isStatus(await get([`Host: ${host}`, "Host: other"]), 400)
  isStatus(await get([]), 400)
  isStatus(await get(["Host: a b"]), 400)
  isStatus(await get([`Host: ${host}`], "nonsense"), 400)
  isStatus(await get([`Host: ${host}`], "GET /testhub HTTP/3.7"), 400)
  isStatus(await get([`Host: ${host}`, `X: ${"x".repeat(100_000)}`]), 431)
  isStatus(await get([`Host: ${host}`], `GET /testhub?${"x".repeat(100_000)} HTTP/1.1`), 414, 431)
  isStatus(await get([`Host: ${host}`, "Content-Length: 1", "Content-Length: 2"], "POST /testhub/negotiate HTTP/1.1"), 400)
  // Smuggled: who reads the length and who reads the chunks would see different requests.
  const smuggled = `POST /testhub/negotiate HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  const answers = await bytes(url, smuggled)
  assert.ok(!answers.includes("\r\n\r\nok") || answers.indexOf("HTTP/1.1 4") === 0 || answers.split("HTTP/1.1 ").length === 3, answers)
  // Pipelined: one after the other, in order.
  const piped = `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /nothing HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  assert.match(await bytes(url, piped), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 404 /)
  assert.equal((await other.invoke("Echo", "x")).result, "x")
  other.cut()
})
