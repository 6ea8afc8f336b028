// What the example `conformance` promises, line by line; and tests that are named after these lines.

import { describe, test as register } from "node:test"
import { test } from "../../shuffled.mjs"

/** Every promise, by section. That each of them has a test, `contract.test.mjs` sees to. */
export const CONTRACT = {
  program: [
    "it prints where it listens, as one line, when it accepts connections",
    "port 0 picks a free port, any other is taken",
    "on SIGTERM and SIGINT every connection hears Close with allowReconnect, and it exits with 0 within 5 s",
  ],
  endpoints: [
    "GET /health: 200, ok",
    "/testhub: WebSockets, Server-Sent Events and long polling",
    "/testhub and /authhub: stateful reconnect is allowed",
    "/fasthub and /nowebsockets: stateful reconnect is not allowed",
    "/nowebsockets: only Server-Sent Events and long polling",
    "/authhub: every request needs a valid token",
    "/redirect/negotiate sends to /authhub with a token, and nothing else",
    "/refused/negotiate says that the connection is not allowed",
    "/api/broadcast reaches all, a group, a user, a connection: 202",
    "/api/broadcast: what it cannot understand it refuses",
    "/api/ask: 200 with the client's result",
    "/api/ask: 502 with the client's error",
    "/api/ask: 504 without an answer in 5 s",
    "/api/ask: 404 without such a connection",
    "each hub path has its own clients, groups and counters",
    "tokens come by header or query, and the header wins",
    "tokens are users, and one of them is an admin",
    "on other paths an unknown token is nobody, never 401",
    "every negotiation of a hub path gives a cookie",
    "CORS: preflights and answers for http://allowed.test",
    "CORS: no other origin is allowed",
    "an upgrade of a foreign origin is refused with 403",
  ],
  settings: [
    "keep-alive interval 15 s, fast 1 s",
    "client timeout 30 s, fast 3 s",
    "handshake timeout 15 s, fast 2 s",
    "long-poll timeout 90 s, fast 2 s",
    "a long-polling connection without a poll is dropped after 15 s",
    "a client that polls is not timed out, and hears no pings",
    "a stateful connection without a socket is dropped after 15 s, and not before",
    "stateful reconnect buffer: 100,000 bytes, then sending waits for Ack",
    "the largest message has 32,768 bytes with its framing",
    "one invocation at a time, the others wait in order",
    "detailed errors are off",
    "negotiate versions 0 and 1",
    "protocols json and messagepack in versions 1 and 2",
    "poll rules: at once first, replaced by a newer one, 204 at the end",
    "wrong requests have a status, and nobody else notices",
  ],
  errors: [
    "public and private errors",
    "unknown method",
    "wrong arguments: the connection stays up",
    "role missing",
    "a streaming method called without streaming",
    "a non-streaming method called as a stream",
    "wrong number of upload streams",
    "errors in a stream that had begun",
    "a protocol error ends that one connection",
    "a message over the limit ends that one connection",
    "handshake: the protocol is not supported",
    "handshake: the version is not supported",
    "handshake: no messagepack where only text goes",
    "handshake: canceled when it takes too long, or is too large",
    "handshake: anything unparsable",
    "a value that nests 10,000 deep harms nobody",
    "who wants no answer gets none",
  ],
  hooks: [
    "greet=1: Welcome before the first invocation is run",
    "reject=1: Close with an error and without allowReconnect, and no method runs",
    "on disconnect, whatever the reason, watchers hear Left once",
    "who has left is out of every group by then",
  ],
  calls: [
    "methods match without regard to case",
    "Echo", "EchoValue", "EchoObject", "EchoBytes", "Add", "Length", "MakeText", "VoidCall", "NullCall",
    "ThrowPublic", "ThrowPrivate", "Panic", "Delay", "Record and GetRecords",
    "GetConnectionId", "GetUser", "GetTransport", "GetProtocol", "GetHeader", "GetQuery", "GetCookie", "AdminOnly", "GetStats",
  ],
  sending: [
    "SendToCaller", "SendToAll", "SendToOthers", "SendToConnection", "SendToConnections", "SendToAllExcept",
    "SendToGroup", "SendToGroups", "SendToGroupExcept", "SendToOthersInGroup", "SendToUser", "SendToUsers",
    "JoinGroup and LeaveGroup", "PushSequence",
    "unknown targets are no error",
    "values pass between JSON and MessagePack unchanged",
    "a receiver that does not read delays nobody else",
  ],
  streams: [
    "CountTo", "EmptyStream", "StreamThenFail", "StreamFailAtOnce", "StreamText",
    "InfiniteStream: cancelled, the caller hears StreamCanceled and then the end without an error",
    "InfiniteStream: it ends silently when the connection is lost",
    "streams run beside calls",
    "GetStats counts streams that run, and those that were cancelled",
  ],
  uploads: [
    "UploadConcat", "UploadSum", "UploadTwo", "EchoStream", "UploadSlow",
    "an upload that ends with an error makes the method fail with it",
    "more than 10 items that wait hold up the upload, and nothing else",
    "items of a stream that nobody reads any more are passed over",
  ],
  asking: [
    "AskCaller", "AskCaller: an error of the client is a public error", "AskCaller: no answer in 5 s is a public error",
    "AskConnection", "AskConnection: no such connection",
    "a call that waits for a client's answer does not block other calls",
  ],
  ending: ["AbortMe", "CloseWith"],
}

const LINES = new Set(Object.values(CONTRACT).flat())

// Nothing that is waited for takes long, but the machine may be busy.
const SOON = { timeout: 60_000 }

/** Tests that a line of the contract holds. */
export function holds(line, ...rest) {
  if (!LINES.has(line)) throw new Error(`the contract has no line ${line}`)
  const [options, check] = rest.length > 1 ? rest : [{}, rest[0]]
  const { about, ...more } = options
  const name = about ? `${line}: ${about}` : line
  // Those that run together have no order.
  ;(isTogether ? register : test)(name, { ...SOON, ...more }, check)
}

let isTogether = false

/** Tests of things that take their time, all at once. */
export function together(tests) {
  describe("at the same time", { concurrency: true }, () => {
    isTogether = true
    tests()
    isTogether = false
  })
}
