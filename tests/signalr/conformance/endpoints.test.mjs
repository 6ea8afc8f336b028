// The endpoints: what is on which path, and who may come.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { stopAll } from "../../programs.mjs"
import { build, connect, JSON_WAY, listen, negotiate, Poller, post, postJson, Raw, request, start, stop, unique, upgrade, WAYS } from "./clients.mjs"
import { holds } from "./contract.mjs"

let url

before(async () => ({ url } = await start()))
after(stopAll)

const HUBS = ["testhub", "fasthub", "nowebsockets", "authhub"]
const ALICE = { authorization: "Bearer token-alice" }

/** What everybody may ask of a hub path, with a good token where it needs one. */
const leave = (hub) => (hub === "authhub" ? ALICE : {})

const TRANSPORTS = [
  { transport: "WebSockets", transferFormats: ["Text", "Binary"] },
  { transport: "ServerSentEvents", transferFormats: ["Text"] },
  { transport: "LongPolling", transferFormats: ["Text", "Binary"] },
]

holds("GET /health: 200, ok", async () => {
  const { status, body } = await request(`${url}/health`)
  assert.deepEqual([status, body], [200, "ok"])
})

holds("/testhub: WebSockets, Server-Sent Events and long polling", async () => {
  for (const hub of ["testhub", "fasthub", "authhub"]) {
    const { value } = await negotiate(`${url}/${hub}`, "negotiateVersion=1", leave(hub))
    assert.deepEqual(value.availableTransports, TRANSPORTS)
  }
})

for (const [about, way] of Object.entries(WAYS))
  holds("/testhub: WebSockets, Server-Sent Events and long polling", { about }, async () => {
    const client = await connect(`${url}/testhub`, { way })
    assert.equal(await client.invoke("GetTransport"), way.transport)
    await client.stop()
  })

holds("/nowebsockets: only Server-Sent Events and long polling", async () => {
  const hub = `${url}/nowebsockets`
  const { value } = await negotiate(hub)
  assert.deepEqual(value.availableTransports, TRANSPORTS.slice(1))
  assert.equal(await upgrade(hub), 404)
  assert.equal(await upgrade(`${hub}?id=${value.connectionToken}`), 404)
  for (const [transport, protocol] of [["ServerSentEvents", "json"], ["LongPolling", "messagepack"]]) {
    const client = await connect(hub, { way: { transport, protocol } })
    assert.equal(await client.invoke("GetTransport"), transport)
    await client.stop()
  }
  await assert.rejects(build(hub, { way: JSON_WAY }).start())
})

holds("/authhub: every request needs a valid token", async () => {
  const hub = `${url}/authhub`
  const { value } = await negotiate(hub, "negotiateVersion=1", ALICE)
  const here = `${hub}?id=${value.connectionToken}`
  for (const [headers, query] of [[{}, ""], [{ authorization: "Bearer nobody" }, ""], [{}, "access_token=nobody"], [{ authorization: "Bearer nobody" }, "access_token=token-alice"]]) {
    assert.equal((await post(`${hub}/negotiate?${query}`, "", headers)).status, 401)
    for (const path of [`${hub}?${query}`, `${here}&${query}`]) {
      for (const method of ["GET", "POST", "DELETE"]) assert.equal((await request(path, { method, headers })).status, 401)
      assert.equal(await upgrade(path, headers), 401)
    }
  }
  assert.equal(await upgrade(here, ALICE), 101, "nothing has happened before")
  await assert.rejects(build(hub).start(), /401/)
})

for (const [about, way] of Object.entries(WAYS))
  holds("/authhub: every request needs a valid token", { about }, async () => {
    const client = await connect(`${url}/authhub`, { way, token: "token-bob" })
    assert.equal(await client.invoke("GetUser"), "bob")
    await client.stop()
  })

holds("/redirect/negotiate sends to /authhub with a token, and nothing else", async () => {
  const { status, body } = await post(`${url}/redirect/negotiate?negotiateVersion=1`, "", { host: "hub.example:81" })
  assert.deepEqual([status, body], [200, '{"url":"http://hub.example:81/authhub?redirected=1","accessToken":"token-alice"}'])
  assert.equal((await request(`${url}/redirect/negotiate`)).status, 405)
  for (const method of ["GET", "POST", "DELETE"]) assert.equal((await request(`${url}/redirect`, { method })).status, 400)
  assert.equal(await upgrade(`${url}/redirect`), 503)
})

for (const [about, way] of Object.entries(WAYS))
  holds("/redirect/negotiate sends to /authhub with a token, and nothing else", { about }, async () => {
    const client = await connect(`${url}/redirect`, { way })
    assert.equal(await client.invoke("GetUser"), "alice")
    assert.equal(await client.invoke("GetQuery", "redirected"), "1")
    await client.stop()
  })

holds("/refused/negotiate says that the connection is not allowed", async () => {
  const { status, body } = await post(`${url}/refused/negotiate?negotiateVersion=1`)
  assert.deepEqual([status, body], [200, '{"error":"This connection is not allowed."}'])
  await assert.rejects(build(`${url}/refused`).start(), /This connection is not allowed\./)
})

const broadcast = (message) => postJson(`${url}/api/broadcast`, message)

holds("/api/broadcast reaches all, a group, a user, a connection: 202", async () => {
  const method = unique("Heard")
  const clients = await Promise.all(Object.values(WAYS).map((way, index) => connect(`${url}/testhub`, { way, listens: [method], token: index < 2 ? "token-bob" : undefined })))
  const group = unique("Group")
  await clients[4].invoke("JoinGroup", group)
  const targets = [
    [{ to: "all" }, [0, 1, 2, 3, 4]],
    [{ to: "group", id: group }, [4]],
    [{ to: "user", id: "bob" }, [0, 1]],
    [{ to: "connection", id: clients[3].connectionId }, [3]],
    [{ to: "connection", id: "0".repeat(32) }, []],
    [{ to: "connection", id: "nobody" }, []],
    [{ to: "group", id: "nobody" }, []],
    [{ to: "all", id: null }, [0, 1, 2, 3, 4]],
  ]
  for (const [number, [target, expected]] of targets.entries()) {
    assert.equal((await broadcast({ ...target, method, args: [number, { a: [null] }] })).status, 202)
    for (const index of expected) assert.deepEqual(await clients[index].heard[method].next(), [number, { a: [null] }])
  }
  for (const client of clients) {
    await client.invoke("Echo", "x")
    assert.equal(client.heard[method].waiting, 0)
  }
  await stop(...clients)
})

holds("/api/broadcast: what it cannot understand it refuses", async () => {
  const good = { to: "all", method: "Heard", args: [] }
  for (const wrong of [{ ...good, to: "nobody" }, { ...good, to: "group" }, { ...good, args: {} }, { ...good, args: undefined }, { ...good, method: undefined }, { ...good, method: "" }, [], 7])
    assert.equal((await broadcast(wrong)).status, 400, JSON.stringify(wrong))
  for (const text of ["", "nonsense", `{"to":"all","method":"Heard","args":[${"[".repeat(10_000)}${"]".repeat(10_000)}]}`])
    assert.equal((await post(`${url}/api/broadcast`, text)).status, 400)
  assert.equal((await post(`${url}/api/broadcast`, "x".repeat(2 ** 20 + 1)).catch(() => ({ status: 413 }))).status, 413)
  for (const path of ["/api/broadcast", "/api/ask"]) assert.equal((await request(url + path)).status, 405)
  assert.equal((await post(`${url}/api/ask`, "{}")).status, 400)
  assert.equal((await post(`${url}/api/other`, "{}")).status, 404)
})

holds("each hub path has its own clients, groups and counters", async () => {
  const { program, url } = await start()
  const clients = await Promise.all(HUBS.map((hub) => connect(`${url}/${hub}`, {
    way: hub === "nowebsockets" ? WAYS["ServerSentEvents, json"] : JSON_WAY, token: "token-alice", listens: ["Heard"],
  })))
  for (const client of clients) await client.invoke("JoinGroup", "group")
  for (const [index, client] of clients.entries()) {
    const { connections, groups } = await client.invoke("GetStats")
    assert.deepEqual([connections, groups], [1, 1])
    await client.invoke("SendToAll", "Heard", [index])
    await client.invoke("SendToGroup", "group", "Heard", [index])
    await client.invoke("SendToUser", "alice", "Heard", [index])
    await client.invoke("SendToConnection", clients[(index + 1) % 4].connectionId, "Heard", [index])
  }
  for (const [index, client] of clients.entries()) {
    await client.invoke("Echo", "x")
    assert.deepEqual(await client.heard.Heard.take(3), [[index], [index], [index]])
    assert.equal(client.heard.Heard.waiting, 0)
  }
  await program.stop()
})

/** As whom a WebSocket comes in. */
async function user(hub, headers) {
  const raw = await Raw.connect(hub, { headers })
  const { result } = await raw.invoke("GetUser")
  raw.cut()
  return result
}

holds("tokens come by header or query, and the header wins", async () => {
  const hub = `${url}/testhub`
  assert.equal(await user(hub, { authorization: "Bearer token-bob" }), "bob")
  assert.equal(await user(`${hub}?access_token=token-bob`), "bob")
  assert.equal(await user(`${hub}?access_token=token-bob`, ALICE), "alice")
  assert.equal(await user(`${hub}?access_token=token-bob`, { authorization: "Bearer nobody" }), null)
  assert.equal(await user(`${url}/authhub?access_token=nobody`, ALICE), "alice")
})

holds("tokens are users, and one of them is an admin", async () => {
  for (const hub of HUBS)
    for (const [token, name] of [["token-alice", "alice"], ["token-bob", "bob"], ["token-admin", "root"]]) {
      const way = hub === "nowebsockets" ? WAYS["LongPolling, json"] : JSON_WAY
      const client = await connect(`${url}/${hub}`, { way, token })
      assert.equal(await client.invoke("GetUser"), name)
      const admin = client.invoke("AdminOnly")
      if (name === "root") assert.equal(await admin, "welcome root")
      else await assert.rejects(admin, /unauthorized/)
      await client.stop()
    }
})

holds("on other paths an unknown token is nobody, never 401", async () => {
  for (const hub of ["testhub", "fasthub", "nowebsockets"])
    for (const token of [undefined, "nobody"]) {
      const way = hub === "nowebsockets" ? WAYS["ServerSentEvents, json"] : JSON_WAY
      const client = await connect(`${url}/${hub}`, { way, token })
      assert.equal(await client.invoke("GetUser"), null)
      await client.stop()
    }
})

holds("every negotiation of a hub path gives a cookie", async () => {
  for (const hub of HUBS) {
    const { headers } = await negotiate(`${url}/${hub}`, "", leave(hub))
    assert.deepEqual(headers["set-cookie"], ["testCookie=testValue; Path=/"])
  }
})

const ALLOWED = "http://allowed.test"

const isAllowed = ({ headers }) => {
  assert.equal(headers["access-control-allow-origin"], ALLOWED)
  assert.equal(headers["access-control-allow-credentials"], "true")
}

holds("CORS: preflights and answers for http://allowed.test", async () => {
  for (const hub of HUBS)
    for (const path of [`${url}/${hub}`, `${url}/${hub}/negotiate`])
      for (const method of ["GET", "POST", "DELETE"]) {
        const asked = ["authorization", "content-type", "x-requested-with", "x-signalr-user-agent"]
        const preflight = await request(path, {
          method: "OPTIONS",
          headers: { origin: ALLOWED, "access-control-request-method": method, "access-control-request-headers": asked.join(",") },
        })
        assert.ok([200, 204].includes(preflight.status))
        isAllowed(preflight)
        const list = (name) => preflight.headers[name].toLowerCase().split(/, */)
        assert.ok(["get", "post", "delete"].every((name) => list("access-control-allow-methods").includes(name)))
        assert.ok(asked.every((name) => list("access-control-allow-headers").includes(name)))
      }
  for (const hub of HUBS) isAllowed(await negotiate(`${url}/${hub}`, "", { origin: ALLOWED, ...leave(hub) }))
  const { url: here, id } = await Poller.connect(`${url}/testhub`)
  assert.ok(id)
  for (const method of ["POST", "DELETE", "GET"]) isAllowed(await request(here, { method, headers: { origin: ALLOWED } }))
  isAllowed(await post(`${url}/authhub/negotiate`, "", { origin: ALLOWED }))
})

holds("CORS: no other origin is allowed", async () => {
  for (const origin of ["http://evil.test", "https://allowed.test", "http://allowed.test:81", "http://sub.allowed.test", "null"])
    for (const hub of HUBS) {
      const preflight = await request(`${url}/${hub}/negotiate`, { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST" } })
      const answer = await negotiate(`${url}/${hub}`, "", { origin, ...leave(hub) })
      for (const { headers } of [preflight, answer]) assert.equal(headers["access-control-allow-origin"], undefined)
    }
})

holds("an upgrade of a foreign origin is refused with 403", async () => {
  for (const hub of ["testhub", "fasthub", "authhub"]) {
    const status = (origin) => upgrade(`${url}/${hub}`, { ...leave(hub), ...(origin && { origin }) })
    for (const origin of ["http://evil.test", "https://allowed.test", "null", "http://127.0.0.1:1"]) assert.equal(await status(origin), 403, origin)
    for (const origin of [undefined, ALLOWED, url]) assert.equal(await status(origin), 101, origin)
  }
})
