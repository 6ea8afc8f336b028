// The example `axum_app`, with Microsoft's client at the other end.
//
// Usage: AXUM_APP=… node axum.test.mjs: the example, built.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import * as signalR from "@microsoft/signalr"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"

// Nothing that is waited for takes long, but the machine may be busy.
const SOON = { timeout: 60_000 }

let url

before(async () => {
  const program = new Program(process.env.AXUM_APP, "--listen", "127.0.0.1:0")
  url = await program.says("listening on ")
}, SOON)

after(stopAll)

for (const name of ["WebSockets", "ServerSentEvents", "LongPolling"])
  test(`the hub of an axum application is heard: ${name}`, SOON, async () => {
    const orders = new signalR.HubConnectionBuilder()
      .withUrl(`${url}/hub`, { transport: signalR.HttpTransportType[name] })
      .configureLogging(signalR.LogLevel.None)
      .build()
    const heard = new Promise((resolve) => orders.on(`orders/${name}`, resolve))
    await orders.start()
    await orders.invoke("Subscribe", "orders/*")
    await assert.rejects(orders.invoke("Publish", `orders/${name}`, "free"), {
      message: "Failed to invoke 'Publish' because user is unauthorized",
    })
    const answer = await fetch(`${url}/orders/${name}/shipped`, { method: "POST" })
    assert.equal(answer.status, 202)
    assert.equal(await heard, "shipped")
    await orders.stop()
  })

test("the application's own routes and middleware are there", SOON, async () => {
  const page = await fetch(url)
  assert.equal(await page.text(), "orders")
  assert.equal(page.headers.get("x-served-by"), "axum")
  const negotiated = await fetch(`${url}/hub/negotiate`, { method: "POST" })
  assert.equal(negotiated.status, 200)
  assert.equal(negotiated.headers.get("x-served-by"), "axum")
})
