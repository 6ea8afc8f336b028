#!/usr/bin/env python3
"""Plants each bug beside this script in a copy of lapwing, and lets the simulation look for it.

Usage: planted/run.py [--seeds 2000] [--threads 1] [name ...]

A bug is a patch; names select some of them by any part of their names. The copy is of the last commit, in a temporary
folder; what is built goes to CARGO_TARGET_DIR/planted, so that each bug costs one incremental build. Prints a row for
each bug, and fails when one is not found.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "planted"
FOUND = re.compile(r"seed (\d+) finds ([\w-]+): (.*)")


def git(copy, *arguments):
    subprocess.run(["git", *arguments], cwd=copy, check=True, stdout=subprocess.DEVNULL)


def build(copy):
    """The program of the simulation; none when the bug does not build."""
    command = ["cargo", "test", "--quiet", "--release", "-p", "lapwing", "--all-features", "--test", "simulation"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "CARGO_INCREMENTAL": "1"}
    built = subprocess.run([*command, "--no-run", "--message-format", "json"], cwd=copy, env=environment, capture_output=True, text=True)
    programs = re.findall(r'"executable":"([^"]*simulation[^"]*)"', built.stdout)
    return (programs or [None])[-1], built.stderr


def look(program, seeds, threads):
    """The seed and the check that found something; none when nothing did."""
    environment = {**os.environ, "SEEDS": str(seeds), "THREADS": str(threads)}
    command = [program, "nothing_is_lost_in_silence"]
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    except subprocess.TimeoutExpired:
        return None
    found = FOUND.search(run.stdout + run.stderr)
    return found and found.groups()


def row(*cells):
    print("| {:<36} | {:>6} | {:<10} | {}".format(*cells), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    patches = [one for one in sorted(HERE.glob("*.patch")) if not asked.names or any(name in one.name for name in asked.names)]
    row("bug", "seed", "check", "what it says")
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "lapwing"
        git(ROOT, "clone", "--quiet", "--local", str(ROOT), str(copy))
        for patch in patches:
            git(copy, "reset", "--quiet", "--hard")
            git(copy, "apply", "-C1", "--recount", str(patch))
            program, errors = build(copy)
            found = look(program, asked.seeds, asked.threads) if program else ("-", "build", errors[-200:])
            if not program or not found:
                missed.append(patch.stem)
            row(patch.stem, *(found or ("-", "-", f"not found in {asked.seeds} seeds")))
    print(f"{len(patches) - len(missed)} of {len(patches)} found")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
