// The chat of the README: ten lines of Rust, which the example `first_chat` has, and five of JavaScript, which are taken from it.
//
// Usage: FIRST_CHAT=… node readme.test.mjs: the example, built.

import assert from "node:assert/strict"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createServer } from "node:net"
import { after, before } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"
import { SOON, TRANSPORTS, connect } from "./clients.mjs"

const README = new URL("../../README.md", import.meta.url)
const HERE = "127.0.0.1:8080"

// A page of somebody else's.
const ORIGIN = "https://page.example"

let addr

before(async () => {
  addr = await serve()
}, SOON)

after(stopAll)

test("ten lines of Rust and five of JavaScript make a chat", SOON, async () => {
  const readme = await readFile(README, "utf8")
  const [rust, script] = [/fn main\(\)[^\n]*\n((?:(?!```).)*lapwing_signalr(?:(?!```).)*)}\n```/s, /```js\n(.*?)```/s].map((block) => block.exec(readme)[1])
  assert.deepEqual([rust, script].map((text) => text.trim().split("\n").length), [10, 5])

  assert.ok(script.includes(HERE))
  // What it imports is found from where it runs.
  process.chdir(fileURLToPath(new URL(".", import.meta.url)))
  const page = new Program(process.execPath, "--input-type=module", "--eval", script.replace(HERE, addr))
  await page.says("ann: hello")
})

for (const [name, options] of Object.entries(TRANSPORTS))
  test(`a page of any site may chat: ${name}`, SOON, async () => {
    const { connection, heard } = await connect(`http://${addr}/chat`, { ...options, headers: { Origin: ORIGIN } })
    await connection.invoke("Say", "page", name)
    // Others may speak, too.
    while ((await heard.next())[1] !== name);
    await connection.stop()
  })

test("browsers let a page of any site read what it is told", SOON, async () => {
  const { headers } = await negotiate({ Origin: ORIGIN })
  assert.equal(headers.get("access-control-allow-origin"), ORIGIN)
  assert.equal(headers.get("access-control-allow-credentials"), "true")
})

function negotiate(headers, at = addr) {
  return fetch(`http://${at}/chat/negotiate?negotiateVersion=1`, { method: "POST", headers })
}

/** The example, and where it listens. Somebody else may take its address just before: then there is one more try. */
async function serve(tries = 2) {
  const addr = await free()
  const program = new Program(process.env.FIRST_CHAT, addr)
  let error
  program.rest("stderr").then((said) => (error = said))
  while (error === undefined) {
    const answer = await negotiate({}, addr).catch(() => {})
    if (answer?.ok) return addr
    await sleep(20)
  }
  if (tries > 1) return serve(tries - 1)
  throw new Error(`it ended, and never listened: ${error}`)
}

/** An address that nobody has now. */
async function free() {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  server.close()
  await once(server, "close")
  return `127.0.0.1:${port}`
}
