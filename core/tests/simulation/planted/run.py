#!/usr/bin/env python3
"""Plants each bug beside this script in a copy of lapwing, and lets the simulation look for it.

Usage: run.py [--seeds 2000] [--check] [name ...]

A bug is a patch; names select some of them by any part of their names. The copy is of the last commit, in the target folder,
and all bugs are built there one after the other, so that each costs one incremental build. Prints a row for each bug: the
seed that finds it, what the check says, and the seconds that building and looking took. A seed that finds something without
the bug, too, finds no bug. Fails when one is not found or does not apply. With --check nothing is built: it says whether all
of them apply.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
COPY = TARGET / "planted"
SOUND = TARGET / "planted-nothing"
FOUND = re.compile(r"seed (\d+) finds (.*)")
ROW = "| {:<34} | {:>5} | {:>5} | {:>5} | {}"


def run(command, folder, **environment):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def git(folder, *arguments):
    done = run(["git", *arguments], folder)
    if done.returncode:
        sys.exit(f"git {' '.join(arguments)}: {done.stderr}")


def applies(patch, folder):
    return run(["git", "apply", "--check", str(patch)], folder).returncode == 0


def refresh():
    """The copy, as of the last commit: only what has changed is new."""
    if not COPY.exists():
        git(ROOT, "clone", "--quiet", "--local", str(ROOT), str(COPY))
    git(COPY, "fetch", "--quiet", str(ROOT), "HEAD")
    git(COPY, "reset", "--quiet", "--hard", "FETCH_HEAD")


def build():
    """The program of the simulation; none, and why, when the bug does not build."""
    command = "cargo test --release -p lapwing --all-features --test simulation --no-run --message-format short"
    built = run(command.split(), COPY, CARGO_INCREMENTAL="1")
    program = re.search(r"\((\S*/simulation-\w+)\)", built.stderr)
    return (program and program[1]), built.stderr


def look(program, seeds, first=0):
    """The seed that finds something, and what it says; none when nothing is found."""
    which = {"FIRST_SEED": str(first), "SEEDS": str(seeds), "THREADS": "1"}
    looked = run([program, "nothing_is_lost_in_silence"], COPY, **which)
    found = FOUND.search(looked.stdout + looked.stderr)
    return found and found.groups()


def look_for_bug(program, seeds):
    """As `look`, for what the sound program does not find."""
    found = look(program, seeds)
    while found and look(SOUND, 1, int(found[0])):
        first = int(found[0]) + 1
        found = look(program, seeds - first, first)
    return found


def plant(patch, seeds):
    """Prints the row of one bug; whether it was found."""
    git(COPY, "reset", "--quiet", "--hard")
    if not applies(patch, COPY):
        print(ROW.format(patch.stem, "-", "-", "-", "does not apply"), flush=True)
        return False
    git(COPY, "apply", str(patch))
    began = time.monotonic()
    program, errors = build()
    built = time.monotonic()
    found = program and look_for_bug(program, seeds)
    seed, what = found or ("-", "nothing" if program else errors[-400:])
    print(ROW.format(patch.stem, seed, round(built - began), round(time.monotonic() - built), what[:120]), flush=True)
    return bool(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    wanted = lambda patch: not asked.names or any(name in patch.name for name in asked.names)
    patches = [patch for patch in sorted(HERE.glob("*.patch")) if wanted(patch)]
    if asked.check:
        stale = [patch.name for patch in patches if not applies(patch, ROOT)]
        sys.exit(f"do not apply any more: {', '.join(stale)}" if stale else 0)
    refresh()
    program, errors = build()
    if not program:
        sys.exit(errors)
    shutil.copy(program, SOUND)
    print(ROW.format("bug", "seed", "build", "look", "what the check says"))
    print(ROW.format("---", "---:", "---:", "---:", "---"), flush=True)
    found = [plant(patch, asked.seeds) for patch in patches]
    print(f"{sum(found)} of {len(patches)} found")
    sys.exit(0 if all(found) else 1)


if __name__ == "__main__":
    main()
