// The end of the example `chat`, and what becomes of those who are there.
//
// Usage: CHAT=… node restart.test.mjs: the example, built.

import assert from "node:assert/strict"
import { after } from "node:test"
import { Program, stopAll } from "../programs.mjs"
import { test } from "../shuffled.mjs"
import { RETURNS, SOON, WAYS, connect, fate } from "./clients.mjs"

const { CHAT } = process.env

after(stopAll)

async function serve(listen = "127.0.0.1:0") {
  const program = new Program(CHAT, "--listen", listen)
  const url = await program.says("listening on ")
  return { program, url: `${url}/chat`, listen: new URL(url).host }
}

for (const signal of ["SIGTERM", "SIGINT"])
  test(`${signal} ends the server, and who returns by itself finds the next one`, SOON, async () => {
    const { program, url, listen } = await serve()
    const ways = Object.entries(WAYS)
    const returning = await Promise.all(ways.map(([, way]) => connect(url, { ...way, returns: RETURNS })))
    const staying = await Promise.all(ways.map(([, way]) => connect(url, way)))
    const [fates, ends] = [returning, staying].map((all) => all.map(({ connection }) => fate(connection)))
    const ids = returning.map(({ connection }) => connection.connectionId)

    program.kill(signal)
    const [code, by] = await program.ended
    assert.deepEqual([code, by], [0, null])
    // Nobody has done anything wrong.
    for (const [index, { ended }] of ends.entries()) assert.equal(await ended.next(), undefined, ways[index][0])
    for (const { lost } of fates) assert.equal(await lost.next(), undefined)

    const next = await serve(listen)
    assert.equal(next.url, url)
    for (const [index, { back }] of fates.entries()) {
      const id = await back.next()
      // Who has not negotiated knows no id.
      if (ids[index]) assert.notEqual(id, ids[index])
    }
    for (const { connection } of returning) await connection.invoke("Join", "house")
    await returning[0].connection.invoke("Say", "house", "ann", "we are back")
    for (const { heard } of returning) assert.deepEqual(await heard.next(), ["ann", "we are back"])
    await Promise.all(returning.map(({ connection }) => connection.stop()))
    await next.program.stop()
  })
