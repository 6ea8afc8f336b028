#!/usr/bin/env python3
"""lapwing beside the floor: server CPU per delivered message, as ratios within one run.

  benches/compare.py [--reps 3] [--secs 1.0] [--rows fanout-1000,idle] [--runtimes tokio,smol]
                     [--transports tcp,ws]

Builds lapwing's bench-server and the ruler (a load generator and a raw server without topics, policies or liveness),
then runs every row with each of them on core 1 and the load on core 0, repetitions outermost, and prints medians.
Loopback only, bounded in count and time. Needs Linux, two cores and `ulimit -n` of 12,000.
"""
import argparse, json, os, pathlib, resource, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
RULER = TARGET / "ruler"

# row: (arguments of the load generator, payload bytes, seconds between pings, figure, unit)
ROWS = {
    "fanout-100": (["fanout", "--subs", "100", "--window", "64"], 128, 0, "srv_us_msg", "µs of CPU a delivery"),
    "fanout-1000": (["fanout", "--subs", "1000", "--window", "64"], 128, 0, "srv_us_msg", "µs of CPU a delivery"),
    "one-100": (["fanout", "--subs", "100", "--window", "1"], 128, 0, "srv_us_msg", "µs of CPU a delivery"),
    "one-1000": (["fanout", "--subs", "1000", "--window", "1"], 128, 0, "srv_us_msg", "µs of CPU a delivery"),
    "pipe": (["fanout", "--subs", "1", "--window", "512"], 64, 0, "srv_us_msg", "µs of CPU a delivery"),
    "idle": (["idle", "--conns", "5000", "--secs", "11", "--keepalive", "5"], 64, 5, "bytes_conn_end", "bytes a connection"),
    "storm": (["storm", "--conns", "4000", "--conc", "64"], 64, 0, "srv_us_conn", "µs of CPU a connection"),
}


def build():
    run = lambda *command, **more: subprocess.run(command, check=True, **more)
    run("cargo", "build", "--quiet", "--release", "-p", "lapwing-benches", cwd=HERE.parent)
    run("cargo", "build", "--quiet", "--release", "--manifest-path", HERE / "ruler/Cargo.toml", "--target-dir", RULER)


def server(name, transport, port, ping):
    if name == "raw":
        return [RULER / "release/raw", "--proto", transport, "--mode", "batch", "--port", port, "--ping", ping]
    return [TARGET / "release/bench-server", "--transport", transport, "--port", port, "--ping-secs", ping, "--runtime", name]


def script(name, transport, payload, folder):
    if name == "raw":
        return transport
    path = folder / f"{transport}-{payload}.script"
    text = subprocess.run([TARGET / "release/bench-server", "script", "--transport", transport, "--payload", str(payload)],
                          check=True, capture_output=True, text=True).stdout
    path.write_text(text)
    return f"script:{path}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    for _ in range(500):
        if process.poll() is not None:
            sys.exit("the server has ended")
        try:
            return socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
    sys.exit("the server does not listen")


def measure(name, transport, row, secs, folder):
    load, payload, ping, *_ = ROWS[row]
    port = free_port()
    command = ["taskset", "-c", "1", *map(str, server(name, transport, port, ping))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        timing = ["--secs", str(secs), "--warm", "0.3"] if load[0] == "fanout" else []
        command = ["taskset", "-c", "0", RULER / "release/bench-load", *load, *timing, "--name", name, "--proto",
                   script(name, transport, payload, folder), "--port", port, "--payload", payload, "--pid", process.pid]
        result = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, timeout=90)
        return json.loads(result.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--secs", type=float, default=1.0)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--runtimes", default="tokio,smol")
    parser.add_argument("--transports", default="tcp,ws")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(12_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    build()
    names = ["raw", *options.runtimes.split(",")]
    rows = [(transport, row) for transport in options.transports.split(",") for row in options.rows.split(",")]
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.reps):
            for transport, row in rows:
                for name in names:
                    result = measure(name, transport, row, options.secs, pathlib.Path(folder))
                    if result.get("stalled") or result.get("closed"):
                        print(f"{transport} {row} {name}: stalled or closed, does not count: {result}", file=sys.stderr)
                        continue
                    figures.setdefault((transport, row, name), []).append(result[ROWS[row][3]])
    print("| row | " + " | ".join(names) + " | unit |\n|---|" + "---|" * (len(names) + 1))
    for transport, row in rows:
        medians = {name: statistics.median(figures[transport, row, name]) for name in names if (transport, row, name) in figures}
        floor = medians.get("raw")
        cell = lambda name: f"{medians[name]:.3f} ({medians[name] / floor:.2f})" if name in medians and floor else "-"
        print(f"| {transport} {row} | " + " | ".join(map(cell, names)) + f" | {ROWS[row][4]} (ratio to raw) |")


if __name__ == "__main__":
    main()
