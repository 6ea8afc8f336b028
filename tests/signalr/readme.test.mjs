// The chat of the README: ten lines of Rust, which the example `first_chat` has, and five of JavaScript, which are taken from it.
//
// Usage: FIRST_CHAT=… node readme.test.mjs: the example, built.

import assert from "node:assert/strict"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createServer } from "node:net"
import { after } from "node:test"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"
import { SOON } from "./clients.mjs"

const README = new URL("../../README.md", import.meta.url)
const HERE = "127.0.0.1:8080"

after(stopAll)

test("ten lines of Rust and five of JavaScript make a chat", SOON, async () => {
  const readme = await readFile(README, "utf8")
  const [rust, script] = [/fn main\(\)[^\n]*\n((?:(?!```).)*lapwing_signalr(?:(?!```).)*)}\n```/s, /```js\n(.*?)```/s].map((block) => block.exec(readme)[1])
  assert.deepEqual([rust, script].map((text) => text.trim().split("\n").length), [10, 5])

  const addr = await free()
  new Program(process.env.FIRST_CHAT, addr)
  await listens(`http://${addr}/chat/negotiate`)
  assert.ok(script.includes(HERE))
  // What it imports is found from where it runs.
  process.chdir(import.meta.dirname)
  const page = new Program(process.execPath, "--input-type=module", "--eval", script.replace(HERE, addr))
  await page.says("ann: hello")
})

/** An address that nobody has now. */
async function free() {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  server.close()
  await once(server, "close")
  return `127.0.0.1:${port}`
}

async function listens(url) {
  const answer = await fetch(url, { method: "POST" }).catch(() => new Promise((resolve) => setTimeout(resolve, 20)))
  if (!answer) await listens(url)
}
