// No line of the contract is left out.

import assert from "node:assert/strict"
import { readdir, readFile } from "node:fs/promises"
import { test } from "node:test"
import { CONTRACT } from "./contract.mjs"

test("every line of the contract has a test", async () => {
  const folder = new URL(".", import.meta.url)
  const files = (await readdir(folder)).filter((name) => name.endsWith(".test.mjs"))
  const sources = await Promise.all(files.map((name) => readFile(new URL(name, folder), "utf8")))
  const all = sources.join("\n")
  const missing = Object.values(CONTRACT).flat().filter((line) => !all.includes(JSON.stringify(line)))
  assert.deepEqual(missing, [])
})
