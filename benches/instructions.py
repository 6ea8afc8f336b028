#!/usr/bin/env python3
"""What operations cost in instructions of the program itself: the same on every quiet or busy machine of one kind.

  benches/instructions.py            prints a table beside the stored figures
  benches/instructions.py --check    the same, and ends with 1 when a figure is more than 5 % above the stored one
  benches/instructions.py --store    stores what it measures

Each case runs under callgrind for two numbers of rounds: the difference of their counts by the difference of rounds is the
cost of a round. Figures are stored with the compiler, the lock file and the C library that they hold for; with others they are only printed.
"""
import argparse, hashlib, json, os, pathlib, platform, re, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = TARGET / "release/bench-instructions"
STORED = HERE / "instructions.json"
ROUNDS = (200, 1200)
WORSE_MAX = 1.05


def output(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)


def cases():
    """Name and operations of a round."""
    lines = output(PROGRAM, "cases").stdout.splitlines()
    return {name: int(operations) for operations, name in (line.split("\t") for line in lines)}


def count(name, rounds):
    said = output("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, name, rounds).stderr
    return int(re.search(r"Collected : (\d+)", said)[1])


def cost(name, operations):
    few, many = (count(name, rounds) for rounds in ROUNDS)
    return round((many - few) / (ROUNDS[1] - ROUNDS[0]) / operations, 1)


def holds_for():
    lock = hashlib.sha256((ROOT / "Cargo.lock").read_bytes()).hexdigest()
    compiler, valgrind = output("rustc", "-vV").stdout.strip(), output("valgrind", "--version").stdout.strip()
    # Allocations and copies are the system's.
    return {"compiler": compiler, "lock": lock, "system": f"{platform.machine()} {' '.join(platform.libc_ver())} {valgrind}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "lapwing-benches", "--bin", "bench-instructions"], check=True, cwd=ROOT)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        known = cases()
        costs = dict(zip(known, pool.map(lambda name: cost(name, known[name]), known)))
    if options.store:
        STORED.write_text(json.dumps({**holds_for(), "instructions": costs}, indent=1) + "\n")
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    figures = stored.get("instructions", {})
    print("| operation | instructions | stored |\n|---|---:|---:|")
    for name, now in costs.items():
        print(f"| {name} | {now} | {figures.get(name, '-')} |")
    comparable = all(stored.get(key) == value for key, value in holds_for().items())
    if not comparable:
        print("\nThe stored figures are those of another compiler, other dependencies or another system.")
    worse = [name for name, now in costs.items() if now > figures.get(name, 0) * WORSE_MAX]
    if options.check and comparable and worse:
        sys.exit("more than 5 % above what is stored: " + "; ".join(worse))


if __name__ == "__main__":
    main()
