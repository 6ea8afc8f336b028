#!/usr/bin/env python3
"""lapwing beside the floor: what the server spends, as ratios within one run.

  benches/compare.py [--reps 5] [--secs 1.0] [--rows fanout-1000,idle] [--runtimes tokio,smol,tokio-2]
                     [--transports tcp,ws]

Builds lapwing's bench-server and the ruler (a load generator and a raw server without topics, policies or liveness),
then runs every row with each of them on one core and the load on another, repetitions outermost, and prints medians.
A run that loses a message, measures none or drops a connection is told, does not count, and ends this with 1.
Loopback only, bounded in count and time. Needs Linux, two cores and `ulimit -n` of 12,000.
"""
import argparse, json, math, os, pathlib, resource, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
RULER = TARGET / "ruler"

# The load has the first, servers the last.
CORES = sorted(map(str, os.sched_getaffinity(0)))
CPU = ("srv_us_msg", "µs of CPU a delivery")
TCP_ONLY = ("tcp",)


class Row:
    """Arguments of the load generator, the figure that counts, and how many times the raw server's it may be."""

    def __init__(self, load, must, figure=CPU, payload=128, ping=0, server="", script="", one_core=False, transports=("tcp", "ws")):
        self.load, self.figure, self.payload, self.ping = load.split(), figure, payload, ping
        self.server, self.script, self.one_core, self.transports = server.split(), script.split(), one_core, transports
        # One for all, or by transport or runtime.
        self.must = must

    def goal(self, transport, runtime):
        if not isinstance(self.must, dict):
            return self.must
        return next((self.must[key] for key in (f"{transport} {runtime}", transport, runtime) if key in self.must), None)


FAN_OUT = {"tcp": 1.6, "ws": 1.8}
MEMORY = ("bytes_conn_end", "bytes a connection")
ROWS = {
    "fanout-100": Row("fanout --subs 100 --window 64", FAN_OUT),
    "fanout-1000": Row("fanout --subs 1000 --window 64", FAN_OUT),
    "stopped-reader": Row("fanout --subs 100 --window 64 --stopped 1", FAN_OUT, ping=2),
    "topics": Row("fanout --subs 1000 --window 64 --each 10", FAN_OUT, server="--each 10", script="--each 10", transports=TCP_ONLY),
    "publishers-16": Row("fanout --subs 100 --window 1 --pubs 16", 0.5),
    "one-100": Row("fanout --subs 100 --window 1", {"tokio": 1.2, "smol": 1.4}),
    "one-1000": Row("fanout --subs 1000 --window 1", 1.3),
    "pipe": Row("fanout --subs 1 --window 512", {"tcp": 2.0, "ws": 2.8}, payload=64),
    "round-trip": Row("rtt", {"tokio": 1.25, "smol": 1.6}, ("p50_us", "µs, median, on one core"), payload=64, one_core=True),
    # Bytes, not ratios.
    "idle": Row("idle --conns 5000 --secs 11 --keepalive 5", {"tcp smol": 1280, "tcp tokio": 1536, "ws": 3072}, MEMORY, payload=64, ping=5),
    "keep-alive": Row("idle --conns 5000 --secs 21 --keepalive 5", 2.0, ("us_per_ping", "µs of CPU a ping"), payload=64, ping=5),
    "storm": Row("storm --conns 4000 --conc 64", {"ws": 2.0}, ("srv_us_conn", "µs of CPU a connection"), payload=64),
}


def build():
    run = lambda *command, **more: subprocess.run(command, check=True, **more)
    run("cargo", "build", "--quiet", "--release", "-p", "lapwing-benches", cwd=HERE.parent)
    run("cargo", "build", "--quiet", "--release", "--manifest-path", HERE / "ruler/Cargo.toml", "--target-dir", RULER)


def server(name, transport, port, row):
    if name == "raw":
        return [RULER / "release/raw", "--proto", transport, "--mode", "batch", "--port", port, "--ping", row.ping, *row.server]
    runtime, threads = threads_of(name)
    return [TARGET / "release/bench-server", "--transport", transport, "--port", port, "--ping-secs", row.ping, "--runtime", runtime, "--threads", threads]


def threads_of(name):
    """`tokio-2` is tokio with two threads."""
    runtime, _, threads = name.partition("-")
    return runtime, int(threads or 1)


def script(name, transport, row, folder):
    if name == "raw":
        return transport
    path = folder / f"{transport}.script"
    command = [TARGET / "release/bench-server", "script", "--transport", transport, "--payload", str(row.payload), *row.script]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
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
    port = free_port()
    # Those with several threads have all cores, and share the first with the load generator.
    core = None if threads_of(name)[1] == 1 else ",".join(CORES)
    return run(name, server(name, transport, port, row), script(name, transport, row, folder), port, row, secs, core)


def run(name, server, protocol, port, row, secs, core=None):
    """What the load generator says of a server on a core."""
    core = CORES[0] if row.one_core else core or CORES[-1]
    command = ["taskset", "-c", core, *map(str, server)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        timing = ["--secs", str(secs), "--warm", "0.3"] if row.load[0] in ("fanout", "rtt") else []
        command = ["taskset", "-c", CORES[0], RULER / "release/bench-load", *row.load, *timing, "--name", name, "--proto",
                   protocol, "--port", port, "--payload", row.payload, "--pid", process.pid]
        result = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, timeout=90)
        return json.loads(result.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def fault(result, figure):
    """Why a run does not count, if so."""
    if result.get("stalled"):
        return "it stalled"
    if result.get("closed"):
        return f"{result['closed']} connections were closed"
    if result.get("lost"):
        return f"{result['lost']} messages were lost"
    # What was under way at the end is seen or not.
    if abs(result.get("seen0", 0) - result.get("count0", 0)) > 1:
        return f"{result['count0']} messages were counted and {result['seen0']} seen"
    if result.get("pings") == 0 or not result.get(figure) or not math.isfinite(result[figure]):
        return "nothing was measured"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--secs", type=float, default=1.0)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--runtimes", default="tokio,smol")
    parser.add_argument("--transports", default="tcp,ws")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(12_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    build()
    names = ["raw", *options.runtimes.split(",")]
    rows = [(transport, row) for transport in options.transports.split(",") for row in options.rows.split(",")
            if transport in ROWS[row].transports]
    figures, faults = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.reps):
            for transport, row in rows:
                for name in names:
                    figure = ROWS[row].figure[0]
                    try:
                        result = measure(name, transport, ROWS[row], options.secs, pathlib.Path(folder))
                        why = fault(result, figure)
                    except (subprocess.SubprocessError, ValueError) as error:
                        why = f"{error} {getattr(error, 'stderr', '')}"
                    if why:
                        faults.append(f"{transport} {row} {name}: {why}")
                        print(faults[-1], file=sys.stderr)
                        continue
                    figures.setdefault((transport, row, name), []).append(result[figure])
    print("| row | " + " | ".join(names) + " | unit |\n|---|" + "---|" * (len(names) + 1))
    for transport, row in rows:
        medians = {name: statistics.median(figures[transport, row, name]) for name in names if (transport, row, name) in figures}
        cells = (cell(medians, name, ROWS[row], transport) for name in names)
        print(f"| {transport} {row} | " + " | ".join(cells) + f" | {ROWS[row].figure[1]} |")
    if faults:
        sys.exit(f"{len(faults)} runs do not count")


def cell(medians, name, row, transport):
    """A median, its ratio to the raw server's, and whether the goal is met."""
    if name not in medians:
        return "-"
    floor, goal = medians.get("raw"), row.goal(transport, name)
    if name == "raw" or not floor:
        return f"{medians[name]:.3f}"
    ratio = medians[name] / floor
    reached = medians[name] if row.figure == MEMORY else ratio
    mark = "" if goal is None else f", goal {goal}" + ("" if reached <= goal else " **missed**")
    return f"{medians[name]:.3f} ({ratio:.2f}{mark})"


if __name__ == "__main__":
    main()
