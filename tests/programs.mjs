// Programs beside the browser, which end with the test.

import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"

const running = new Set()

/** A program whose lines can be waited for. */
export class Program {
  #child
  #lines

  constructor(path, ...args) {
    this.#child = spawn(path, args, { stdio: ["pipe", "pipe", "pipe"] })
    // It may have ended, or not want to hear anything.
    this.#child.stdin.on("error", () => {})
    this.ended = once(this.#child, "close")
    this.#lines = { stdout: lines(this.#child.stdout), stderr: lines(this.#child.stderr) }
    running.add(this)
    this.ended.finally(() => running.delete(this))
  }

  /** What follows `start` in the next line that begins so. */
  async says(start, stream = "stdout") {
    const seen = []
    for (;;) {
      const { value: line, done } = await this.#lines[stream].next()
      if (done) throw new Error(`it ended, and never said ${start}…: ${seen.join("\n")}`)
      if (line.startsWith(start)) return line.slice(start.length)
      seen.push(line)
    }
  }

  /** What it says until its end. */
  async rest(stream = "stdout") {
    const seen = []
    for await (const line of this.#lines[stream]) seen.push(line)
    return seen.join("\n")
  }

  /** Says a line to it. */
  tell(line) {
    this.#child.stdin.write(`${line}\n`)
  }

  /** Says nothing more to it. */
  tellNoMore() {
    this.#child.stdin.end()
  }

  kill(signal = "SIGKILL") {
    this.#child.kill(signal)
  }

  async stop() {
    this.kill()
    await this.ended
  }
}

/** Runs a program to its end, which has to be a good one. */
export async function run(path, ...args) {
  const program = new Program(path, ...args)
  const [code] = await program.ended
  if (code !== 0) throw new Error(`${path} ${args.join(" ")} ended with ${code}`)
}

// However the test ends.
process.on("exit", () => running.forEach((program) => program.kill()))
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1))

export async function stopAll() {
  await Promise.all([...running].map((program) => program.stop()))
}

function lines(stream) {
  return createInterface({ input: stream })[Symbol.asyncIterator]()
}
