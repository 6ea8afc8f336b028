// The program: where it listens, and how it ends.

import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"
import { after } from "node:test"
import { stopAll } from "../../programs.mjs"
import { build, Events, Poller, Raw, request, start, timed, WAYS } from "./clients.mjs"
import { holds } from "./contract.mjs"

after(stopAll)

holds("it prints where it listens, as one line, when it accepts connections", async () => {
  const { program, url } = await start()
  assert.match(url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  assert.equal((await request(`${url}/health`)).status, 200)
  program.kill("SIGTERM")
  await assert.rejects(program.says("nothing more"), { message: /never said nothing more…: $/ })
})

holds("port 0 picks a free port, any other is taken", async () => {
  const [first, second] = [await start(), await start()]
  assert.notEqual(first.url, second.url)
  await first.program.stop()
  const listener = net.createServer().listen(0, "127.0.0.1")
  await once(listener, "listening")
  const { port } = listener.address()
  listener.close()
  await once(listener, "close")
  const third = await start(`127.0.0.1:${port}`)
  assert.equal(third.url, `http://127.0.0.1:${port}`)
})

const ENDS = "on SIGTERM and SIGINT every connection hears Close with allowReconnect, and it exits with 0 within 5 s"

for (const signal of ["SIGTERM", "SIGINT"])
  holds("on SIGTERM and SIGINT every connection hears Close with allowReconnect, and it exits with 0 within 5 s", { about: signal }, async () => {
    const { program, url } = await start()
    const raws = await Promise.all(
      ["testhub", "fasthub", "authhub"].flatMap((hub) =>
        ["json", "messagepack"].map((protocol) => Raw.connect(`${url}/${hub}?access_token=token-bob`, { protocol })),
      ),
    )
    const events = await Events.connect(`${url}/nowebsockets`)
    assert.deepEqual(await events.next(), {})
    const poller = await Poller.connect(`${url}/nowebsockets`)
    const polled = poller.hear()
    const clients = Object.values(WAYS).map((way) => build(`${url}/testhub`, { way }))
    for (const client of clients) await client.start()
    const idle = net.connect(new URL(url).port, "127.0.0.1")
    idle.on("error", () => {})
    program.kill(signal)
    const { ms, value: [code] } = await timed(program.ended)
    assert.equal(code, 0)
    assert.ok(ms < 5_000, `${ms}`)
    const heard = [...(await Promise.all(raws.map((raw) => raw.next()))), await events.next(), ...(await polled)]
    assert.equal(heard.length, 8)
    for (const { type, error, allowReconnect } of heard) assert.deepEqual([type, error ?? undefined, allowReconnect], [7, undefined, true])
    await Promise.all([...raws.map((raw) => raw.closed), ...clients.map((client) => client.ended)])
    idle.destroy()
  })

holds(ENDS, { about: "whatever they do" }, async () => {
  const { program, url } = await start()
  const hub = `${url}/testhub`
  const [waits, streams, asks, stuck] = await Promise.all([0, 1, 2, 3].map(() => Raw.connect(hub)))
  waits.send({ type: 1, invocationId: "1", target: "Delay", arguments: [60_000] })
  streams.send({ type: 4, invocationId: "1", target: "InfiniteStream", arguments: [10] })
  asks.send({ type: 1, invocationId: "1", target: "AskCaller", arguments: ["Never", []] })
  stuck.send({ type: 1, target: "PushSequence", arguments: ["Heard", 1_000_000, 0] })
  assert.equal((await asks.next()).target, "Never")
  assert.equal((await stuck.next()).target, "Heard")
  stuck.pause()
  // Others have only begun to come.
  const [early, half] = [await Raw.open(hub), net.connect(new URL(url).port, "127.0.0.1")]
  half.on("error", () => {})
  half.write("GET /testhub HTTP/1.1\r\n")
  program.kill("SIGTERM")
  const { ms, value: [code] } = await timed(program.ended)
  assert.equal(code, 0)
  assert.ok(ms < 5_000, `${ms}`)
  for (const raw of [waits, streams, asks]) {
    let message
    do message = await raw.next()
    while (message.type !== 7)
    assert.equal(message.allowReconnect, true)
  }
  for (const one of [stuck, early]) one.cut()
  half.destroy()
})
