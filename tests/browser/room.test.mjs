// The page of the example `one_room` in Chromium, which speaks through Microsoft's client.
//
// Usage: ONE_ROOM=… node room.test.mjs: the example, built. Needs /usr/bin/chromium, and `npm ci --prefix tests/signalr`.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Program, stopAll } from "../programs.mjs"
import { launch } from "./chromium.mjs"

// Nothing that is waited for takes long, but the machine may be busy.
const SOON = { timeout: 60_000 }

const TEXT = `"grüße" <b>von</b> 'Rust' & 🐦`

let url, browser

before(async () => {
  const program = new Program(process.env.ONE_ROOM, "--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0")
  await program.says("listening on tcp")
  url = `http${await program.says("listening on http")}`
  browser = await launch()
}, SOON)

after(async () => {
  await browser?.close()
  await stopAll()
})

test("pages chat through files that the server has", SOON, async () => {
  const [ann, ben] = await Promise.all(["ann", "ben"].map(join))
  await say(ann, TEXT)
  for (const page of [ann, ben]) await hears(page, `ann: ${TEXT}`)
  await say(ben, "hello")
  for (const page of [ann, ben]) await hears(page, "ben: hello")
})

test("a page that has its files asks whether they are as they were", SOON, async () => {
  const page = await join("eve")
  const statuses = new Map()
  page.on("response", (response) => statuses.set(new URL(response.url()).pathname, response.status()))
  await page.goto(`${url}/?name=eve&again`)
  await page.waitForSelector("button:enabled")
  assert.equal(statuses.get("/room.js"), 304)
  assert.equal(statuses.get("/signalr/signalr.min.js"), 304)
})

/** A page of somebody who is in the room. */
async function join(name) {
  const page = await browser.newPage()
  await page.goto(`${url}/?name=${name}`)
  await page.waitForSelector("button:enabled")
  return page
}

async function say(page, text) {
  await page.fill("[name=text]", text)
  await page.click("button")
}

async function hears(page, line) {
  const isLast = (line) => document.querySelector("#heard li:last-child")?.textContent === line
  await page.waitForFunction(isLast, line)
}
