#!/usr/bin/env python3
"""What an idle client of SignalR costs a server: resident bytes of each connection, by each transport.

  benches/http_idle.py [--connections 2000]

Builds the example `chat` and connects to it over WebSocket, Server-Sent Events and long polling, each in a process of its own. Loopback only.
"""
import argparse, json, os, pathlib, re, resource, socket, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MARK = b"\x1e"
HANDSHAKE = b'{"protocol":"json","version":1}' + MARK
# Bytes of a connection that the browser door has as its goal.
GOALS = {"WebSocket": 12 * 1024, "Server-Sent Events": 24 * 1024, "long polling, between polls": 8 * 1024}


def resident(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def until(stream, text):
    """All that arrives, up to and with a text."""
    heard = b""
    while text not in heard:
        piece = stream.recv(4096)
        if not piece:
            sys.exit(f"it ended, after {heard}")
        heard += piece
    return heard


def ask(address, method, path, headers="", body=b""):
    """One request on a connection of its own: the body of the answer."""
    with socket.create_connection(address) as stream:
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        stream.sendall(head.encode() + body)
        answer = b""
        while piece := stream.recv(4096):
            answer += piece
    head, body = answer.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"{method} {path}: {head}")
    return body


def negotiated(address):
    answer = json.loads(ask(address, "POST", "/chat/negotiate?negotiateVersion=1"))
    return f"/chat?id={answer['connectionToken']}"


def websocket(address):
    stream = socket.create_connection(address)
    path = negotiated(address)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    until(stream, b"\r\n\r\n")
    # A text, masked with nothing.
    stream.sendall(bytes([0x81, 0x80 | len(HANDSHAKE), 0, 0, 0, 0]) + HANDSHAKE)
    until(stream, MARK)
    return stream


def events(address):
    path = negotiated(address)
    stream = socket.create_connection(address)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".encode())
    until(stream, b":\r\n\r\n")
    ask(address, "POST", path, body=HANDSHAKE)
    until(stream, MARK)
    return stream


def polling(address):
    path = negotiated(address)
    ask(address, "GET", path)
    ask(address, "POST", path, body=HANDSHAKE)
    if MARK not in ask(address, "GET", path):
        sys.exit("no welcome")


def measure(connect, connections):
    """Resident bytes of each connection."""
    server = subprocess.Popen([TARGET / "release/examples/chat", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        host, port = re.search(r"http://([\d.]+):(\d+)", server.stdout.readline()).groups()
        address = (host, int(port))
        # Whatever is there once for all.
        first = [connect(address) for _ in range(20)]
        before, begun = resident(server), time.monotonic()
        streams = [connect(address) for _ in range(connections)]
        # Those that poll are gone 15 s after their last poll.
        if time.monotonic() - begun > 12:
            sys.exit("it took too long: fewer connections")
        time.sleep(1)
        each = (resident(server) - before) / connections
        del first, streams
        return each
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=2000)
    connections = parser.parse_args().connections
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * connections + 200), hard))
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "lapwing-examples", "--example", "chat"], check=True, cwd=ROOT)
    print("| transport | bytes of a connection | goal |\n|---|---:|---:|")
    for (name, goal), connect in zip(GOALS.items(), (websocket, events, polling)):
        each = measure(connect, connections)
        print(f"| {name} | {each:,.0f} | {goal:,}{'' if each <= goal else ' **missed**'} |", flush=True)


main()
