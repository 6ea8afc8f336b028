// Tests in an order that comes from a seed: that in SEED, or one of its own. It is printed, and the same seed brings the same order again.

import { test as register } from "node:test"

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
const tests = []

/** Registers a test as `node:test` does, when all of its file are known. */
export function test(...test) {
  if (tests.length === 0) queueMicrotask(begin)
  tests.push(test)
}

function begin() {
  console.log(`SEED=${seed}`)
  for (const test of shuffled(tests, numbers(seed))) register(...test)
}

/** Fisher and Yates. */
function shuffled(list, next) {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(next() * (last + 1))
    ;[list[last], list[other]] = [list[other], list[last]]
  }
  return list
}

/** Numbers below 1 that look like chance: Weyl's sequence, mixed as in MurmurHash3. */
function numbers(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32
  }
}
