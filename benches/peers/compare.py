#!/usr/bin/env python3
"""lapwing beside what users would pick instead: µs of server CPU, with the load generator of ../compare.py.

  benches/peers/compare.py [--reps 3] [--secs 0.8] [--servers redis,nats] [--rows pipe]

Builds lapwing's bench-server, the ruler and the peers of this folder; Redis, NATS, Mosquitto and Node are the system's
(apt-get install redis-server nats-server mosquitto nodejs npm; `npm ci` in node/), and are left out, by name, when they are not there.
Repetitions are outermost, one core is the server's and one the load's, medians are printed. Loopback only, bounded in count and time.
"""
import argparse, pathlib, resource, shutil, statistics, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import compare  # noqa: E402

PEERS = compare.TARGET / "peers"
TMP = pathlib.Path(tempfile.mkdtemp(prefix="peers"))

# Those of which one repetition is enough, and takes long.
LONG = ("idle", "keep-alive", "storm")
# Those that ask nobody whether it is there, and are not asked by the load generator.
SILENT = ("redis",)
ROWS = ("fanout-100", "fanout-1000", "one-100", "pipe", "round-trip", *LONG)


def raw(protocol):
    return lambda port, ping: [compare.RULER / "release/raw", "--proto", protocol, "--mode", "batch", "--port", port, "--ping", ping]


def lapwing(transport):
    return lambda port, ping: [compare.TARGET / "release/bench-server", "--transport", transport, "--port", port, "--ping-secs", ping]


def peer(name, *more):
    return lambda port, ping: [PEERS / "release" / name, "--port", port, "--ping", ping, *more]


def node(script):
    return lambda port, ping: ["node", HERE / "node" / script, port, ping]


def nats(port, ping):
    config = TMP / f"nats{ping}.conf"
    config.write_text(f'ping_interval: "{ping or 120}s"\nping_max: 5\n')
    return ["nats-server", "-a", "127.0.0.1", "-p", port, "-l", TMP / "nats.log", "-c", config]


def redis(port, ping):
    return ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--maxclients", "12000", "--tcp-backlog", "4096",
            "--tcp-keepalive", ping, "--logfile", TMP / "redis.log", "--dir", TMP]


def mosquitto(port, ping):
    config = TMP / f"mosquitto{port}.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nlog_type none\nmax_queued_messages 0\n")
    return ["mosquitto", "-c", config]


SERVERS = {
    "raw, TCP": ("tcp", raw("tcp")),
    "raw, WebSocket": ("ws", raw("ws")),
    "lapwing, TCP": ("lapwing tcp", lapwing("tcp")),
    "lapwing, WebSocket": ("lapwing ws", lapwing("ws")),
    "redis": ("redis", redis),
    "nats": ("nats", nats),
    "mosquitto": ("mqtt", mosquitto),
    "tokio-tungstenite": ("ws", peer("ws_tokio", "--rbuf", "4096")),
    "tokio-tungstenite, feed": ("ws", peer("ws_tokio", "--rbuf", "4096", "--batch", "1")),
    "async-tungstenite on smol": ("ws", peer("ws_smol", "--rbuf", "4096")),
    "fastwebsockets": ("ws", peer("ws_fast")),
    "socketioxide": ("sio", lambda port, ping: peer("sio")(port, ping or 25)),
    "node-ws": ("ws", node("ws.js")),
    "node-socket.io": ("sio", lambda port, ping: node("sio.js")(port, ping or 25)),
}


def protocol(name, row):
    kind, _, transport = SERVERS[name][0].partition(" ")
    return compare.script("lapwing", transport, row, TMP) if kind == "lapwing" else kind


def measure(name, row, secs):
    port = compare.free_port()
    result = compare.run(name, SERVERS[name][1](port, row.ping), protocol(name, row), port, row, secs)
    if name in SILENT:
        result.pop("pings", None)
    why = compare.fault(result, row.figure[0])
    if why:
        raise ValueError(why)
    return result[row.figure[0]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--secs", type=float, default=0.8)
    parser.add_argument("--servers", default=";".join(SERVERS), help="names, with ; between")
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(12_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    compare.build()
    subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path", HERE / "Cargo.toml", "--target-dir", PEERS], check=True)
    names, rows = options.servers.split(";"), options.rows.split(",")
    for name in [name for name in names if not shutil.which(str(SERVERS[name][1](1, 0)[0]))]:
        print(f"{name} is not installed", file=sys.stderr)
        names.remove(name)
    figures, faults = {}, 0
    for rep in range(options.reps):
        for row in (row for row in rows if rep == 0 or row not in LONG):
            for name in (name for name in names if row != "keep-alive" or name not in SILENT):
                try:
                    figures.setdefault((name, row), []).append(measure(name, compare.ROWS[row], options.secs))
                except (subprocess.SubprocessError, ValueError) as error:
                    print(f"{row} {name}: {error} {getattr(error, 'stderr', '')}", file=sys.stderr)
                    faults += 1
    print("| | " + " | ".join(rows) + " |\n|---|" + "---:|" * len(rows))
    for name in names:
        medians = [statistics.median(figures[name, row]) if figures.get((name, row)) else None for row in rows]
        print(f"| {name} | " + " | ".join("–" if cell is None else f"{cell:,.0f}" if cell >= 100 else f"{cell:.3g}" for cell in medians) + " |")
    if faults:
        sys.exit(f"{faults} runs do not count")


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(TMP, ignore_errors=True)
