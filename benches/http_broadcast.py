#!/usr/bin/env python3
"""What a broadcast to clients of SignalR costs, beside the same to native ones in JSON: CPU of the server, over WebSocket through `lapwing-http`.

  benches/http_broadcast.py [--connections 1000] [--events 2000] [--reps 5]

Builds `bench-broadcast`, connects to it by one sub-protocol after the other, and has it send events of 128 bytes to everybody. The load has one core, the server another. Loopback only.
"""
import argparse, os, pathlib, re, resource, selectors, socket, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MARK = b"\x1e"
TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
GOAL = 1.2
# Events at a time, in each run.
WINDOWS = (64, 1)


def cpu_us(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def read_to(stream, text):
    heard = b""
    while text not in heard:
        piece = stream.recv(65536)
        if not piece:
            sys.exit(f"it ended, after {heard}")
        heard += piece
    return heard


def upgrade(address, headers):
    stream = socket.create_connection(address)
    stream.sendall(f"GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{headers}"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    return stream, read_to(stream, b"\r\n\r\n").split(b"\r\n\r\n", 1)[1]


def native(address):
    stream, rest = upgrade(address, "Sec-WebSocket-Protocol: lapwing.json\r\n")
    if b"welcome" not in rest:
        read_to(stream, b"}}")
    return stream


def signalr(address):
    stream, _ = upgrade(address, "")
    hello = b'{"protocol":"json","version":1}' + MARK
    stream.sendall(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)
    read_to(stream, MARK)
    return stream


class Side:
    """A server with its clients of one kind."""

    def __init__(self, name, connect, connections, core):
        self.name, self.events, self.spent = name, 0, {window: [] for window in WINDOWS}
        self.server = subprocess.Popen([TARGET / "release/bench-broadcast"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        host, port = re.search(r"([\d.]+):(\d+)", self.server.stdout.readline()).groups()
        self.streams = [connect((host, int(port))) for _ in range(connections)]
        self.selector = selectors.DefaultSelector()
        for stream in self.streams:
            stream.setblocking(False)
            self.selector.register(stream, selectors.EVENT_READ)

    def run(self, events, window):
        """Sends events; µs of the server's CPU for each delivery."""
        before = cpu_us(self.server)
        self.server.stdin.write(f"{events} {window}\n")
        self.server.stdin.flush()
        size, heard = None, 0
        while size is None or heard < size * events * len(self.streams):
            ready = self.selector.select(10)
            if not ready:
                sys.exit(f"{self.name}: {heard} bytes arrived, and no more")
            for key, _ in ready:
                piece = key.fileobj.recv(1 << 20)
                if size is None:
                    # All frames are alike, and short: a head of 2 or 4 bytes.
                    size = 4 + int.from_bytes(piece[2:4], "big") if piece[1] == 126 else 2 + piece[1]
                heard += len(piece)
        said = self.server.stdout.readline()
        if said != f"{events} of {len(self.streams)}\n" or heard != size * events * len(self.streams):
            sys.exit(f"{self.name}: {said!r}, {heard} bytes in frames of {size}")
        return (cpu_us(self.server) - before) / (events * len(self.streams))

    def end(self):
        self.server.kill()
        self.server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--reps", type=int, default=5)
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * asked.connections + 200), hard))
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "lapwing-benches", "--bin", "bench-broadcast"], check=True, cwd=ROOT)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    sides = [Side("native JSON", native, asked.connections, cores[-1]), Side("SignalR JSON", signalr, asked.connections, cores[-1])]
    try:
        for rep in range(-1, asked.reps):
            for window in WINDOWS:
                for side in sides[:: 1 if rep % 2 else -1]:
                    spent = side.run(asked.events if window > 1 else asked.events // 4, window)
                    # The first is for everybody to warm up.
                    side.spent[window] += [spent] if rep >= 0 else []
        print("| events at a time | native JSON, µs of CPU a delivery | SignalR JSON | ratio | goal |\n|---:|---:|---:|---:|---:|")
        missed = False
        for window in WINDOWS:
            native_us, signalr_us = (statistics.median(side.spent[window]) for side in sides)
            ratio = statistics.median(b / a for a, b in zip(*(side.spent[window] for side in sides)))
            missed |= ratio > GOAL
            print(f"| {window} | {native_us:.3f} | {signalr_us:.3f} | {ratio:.2f} | {GOAL}{' **missed**' if ratio > GOAL else ''} |")
        sys.exit(missed)
    finally:
        for side in sides:
            side.end()


main()
