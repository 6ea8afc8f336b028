// The example `one_room`, with Microsoft's client at the other end.
//
// Usage: ONE_ROOM=… node one_room.test.mjs: the example, built.

import assert from "node:assert/strict"
import { after, before } from "node:test"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"
import { SOON, WAYS, connect } from "./clients.mjs"

const { ONE_ROOM } = process.env

// No header holds it as it is.
const NAME = "Zoë & 50% 🐦"

// What each says in the room.
const MESSAGES = 75
const AT_A_TIME = 15

let tcp, url, program

before(async () => {
  program = new Program(ONE_ROOM, "--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0")
  tcp = `tcp${await program.says("listening on tcp")}`
  url = `http${await program.says("listening on http")}`
  await program.says("the clerk is here")
}, SOON)

after(stopAll)

for (const [name, options] of Object.entries(WAYS).filter(([, { skipNegotiation }]) => !skipNegotiation))
  test(`who comes by the lobby is sent to the room, with a token: ${name}`, SOON, async () => {
    const { connection, heard } = await connect(`${url}/lobby?name=${encodeURIComponent(NAME)}`, options)
    await connection.invoke("Say", name)
    for (;;) {
      const [user, text] = await heard.next()
      if (text !== name) continue
      assert.equal(user, NAME)
      break
    }
    await connection.stop()
  })

test("who has no name is refused in the lobby, with a reason", SOON, async () => {
  await assert.rejects(connect(`${url}/lobby`), /Say who you are: \?name=…$/)
})

test("everybody in the room hears the same in the same order, whatever the wire, while all of them speak", SOON, async () => {
  const ways = ["long polling, JSON", "Server-Sent Events, JSON", "WebSockets, MessagePack"]
  const pages = await Promise.all(ways.map((name, index) => connect(`${url}/lobby?name=page${index}`, WAYS[name])))
  const device = new Program(ONE_ROOM, "--join", tcp, "--name", "device")
  await device.says("online", "stderr")
  // Others may have spoken before.
  await pages[0].connection.invoke("Say", "let us begin")

  for (let index = 0; index < MESSAGES; index++) device.tell(`${index}`)
  await Promise.all(pages.map(({ connection }) => speak(connection)))
  await pages[0].connection.invoke("Say", "that is all")
  device.tell("me too")

  const heard = { clerk: await hears(() => program.says("clerk heard ")), device: await hears(() => device.says("")) }
  for (const [index, { heard: queue }] of pages.entries())
    heard[ways[index]] = await hears(() => queue.next().then(([user, text]) => `${user}: ${text}`))
  for (const [name, lines] of Object.entries(heard)) assert.deepEqual(lines, heard.clerk, name)

  // Each has been heard, in the order in which it spoke; the clerk after every ten others.
  const numbers = Array.from({ length: MESSAGES }, (_, index) => `${index}`)
  const of = (name) => heard.clerk.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))
  for (const name of ["page0", "page1", "page2", "device"])
    assert.deepEqual(of(name).filter((text) => numbers.includes(text)), numbers, name)
  const counts = of("clerk").map((text) => Number.parseInt(text))
  assert.ok(counts.length >= (4 * MESSAGES) / 10 - 1, `${counts}`)
  assert.ok(counts.every((count, index) => count === counts[0] + 10 * index), `${counts}`)

  device.tellNoMore()
  assert.deepEqual(await device.ended, [0, null])
  await Promise.all(pages.map(({ connection }) => connection.stop()))
})

/** Says all messages, some of them at a time: a hub lets so many calls of one connection wait. */
async function speak(connection) {
  for (let said = 0; said < MESSAGES; said += AT_A_TIME) {
    const indexes = Array.from({ length: AT_A_TIME }, (_, index) => said + index)
    await Promise.all(indexes.map((index) => connection.invoke("Say", `${index}`)))
  }
}

/** What is heard from the beginning to the end, when both have been told: somebody may be the last to say so. */
async function hears(next) {
  let line, lines
  do line = await next()
  while (line !== "page0: let us begin")
  const ends = new Set(["page0: that is all", "device: me too"])
  for (lines = []; ends.size; lines.push(line)) ends.delete((line = await next()))
  return lines
}
