// The page of the example `browser` in Chromium, with `lapwing` at the other end.
//
// Usage: EXAMPLE=… LAPWING=… node page.test.mjs: the example and the program, built. Needs /usr/bin/chromium.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Program, run, stopAll } from "../programs.mjs"
import { launch } from "./chromium.mjs"

const { EXAMPLE, LAPWING } = process.env

// JSON, HTML and Rust would each treat some of it in a way of its own.
const TEXT = `"grüße" \\n <b>von</b> 'Rust' & {"a": [1]} 🐦`

// Nothing that is waited for takes long, but the machine may be busy.
const SOON = { timeout: 60_000 }

let example, hub, browser, page

before(async () => {
  hub = await serve({ http: 0, ws: 0, tcp: 0 })
  browser = await launch()
  page = await browser.newPage()
  await page.goto(hub.page)
  await online()
}, SOON)

after(async () => {
  await browser?.close()
  await stopAll()
})

test("the page hears what Rust says over TCP and over WebSocket, as the same text", SOON, async () => {
  for (const url of [hub.tcp, hub.ws]) {
    const text = `${TEXT} ${url}`
    await run(LAPWING, "pub", url, "chat/room", text)
    await heard("chat/room", text)
  }
})

test("Rust hears what the page says, over TCP and over WebSocket, and so does the page", SOON, async () => {
  const subscribers = await Promise.all([hub.tcp, hub.ws].map(subscriber))
  await page.fill("[name=topic]", "chat/rust")
  await page.fill("[name=text]", TEXT)
  await page.click("button")
  for (const subscriber of subscribers) {
    const event = JSON.parse(await subscriber.says("{", "stdout").then((rest) => `{${rest}`))
    assert.deepEqual(event, { topic: "chat/rust", encoding: "text", text: TEXT })
  }
  await heard("chat/rust", TEXT)
})

test("the page says what the hub does not allow", SOON, async () => {
  await page.fill("[name=topic]", "elsewhere")
  await page.fill("[name=text]", TEXT)
  await page.click("button")
  await heard("", 'the hub does not allow that: "forbidden"')
})

test("the page comes back when its hub does", SOON, async () => {
  await example.stop()
  await page.waitForSelector("#state:not(.online)")
  const [http, ws, tcp] = [hub.page, hub.ws, hub.tcp].map((url) => new URL(url).port)
  hub = await serve({ http, ws, tcp })
  await online()
  await run(LAPWING, "pub", hub.tcp, "chat/room", "back again")
  await heard("chat/room", "back again")
})

test("a page of another host is refused, one of the hub's own host is not", SOON, async () => {
  const foreign = await browser.newPage()
  // The same page by another name, which asks the hub of that name.
  await foreign.goto(hub.page.replace("127.0.0.1", "localhost"))
  await foreign.waitForSelector("#state.online")

  const refusal = new Promise((resolve) => {
    foreign.on("websocket", (socket) => socket.on("socketerror", resolve))
  })
  await foreign.evaluate((url) => void new WebSocket(url), hub.ws)
  assert.match(await refusal, /403/)
})

/** Starts the example on these ports. */
async function serve({ http, ws, tcp }) {
  const here = (port) => `127.0.0.1:${port}`
  example = new Program(EXAMPLE, "--http", here(http), "--ws", here(ws), "--tcp", here(tcp))
  return {
    ws: await example.says("listening on "),
    tcp: await example.says("listening on "),
    page: await example.says("open "),
  }
}

async function subscriber(url) {
  const program = new Program(LAPWING, "sub", url, "chat/rust", "--json")
  await program.says("subscribed ", "stderr")
  return program
}

async function online() {
  await page.waitForSelector("#state.online")
}

/** Waits until the page shows it as its last line. */
async function heard(topic, text) {
  const expected = topic + text
  const isLast = (expected) => document.querySelector("#heard li:last-child")?.textContent === expected
  await page.waitForFunction(isLast, expected).catch(async () => {
    assert.equal(await page.textContent("#heard li:last-child"), expected)
  })
}
