// The example `one_room`, with Microsoft's client at the other end.
//
// Usage: ONE_ROOM=… node one_room.test.mjs: the example, built.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Program, stopAll } from "../programs.mjs"
import { SOON, WAYS, connect } from "./clients.mjs"

const { ONE_ROOM } = process.env

let tcp, url, program

before(async () => {
  program = new Program(ONE_ROOM, "--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0")
  tcp = await program.says("listening on ")
  url = await program.says("listening on ")
}, SOON)

after(stopAll)

for (const [name, options] of Object.entries(WAYS).filter(([, { skipNegotiation }]) => !skipNegotiation))
  test(`who comes by the lobby is sent to the room, with a token: ${name}`, SOON, async () => {
    const { connection, heard } = await connect(`${url}/lobby?name=ann`, options)
    await connection.invoke("Say", name)
    for (;;) {
      const [user, text] = await heard.next()
      if (text !== name) continue
      assert.equal(user, "ann")
      break
    }
    await connection.stop()
  })

test("who has no name is refused in the lobby, with a reason", SOON, async () => {
  await assert.rejects(connect(`${url}/lobby`), /Say who you are: \?name=…$/)
})
