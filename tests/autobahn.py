#!/usr/bin/env python3
"""Autobahn's cases of RFC 6455 against the example `echo`, at either end of a connection.

Usage: autobahn.py server|http|client ECHO KOSOKU REPORTS

ECHO is the example, built for release; KOSOKU runs the cases and writes what it saw to the folder REPORTS. Groups 12 and 13
are about compression, which lapwing does not offer.
"""

import collections
import contextlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys

CASES = 301
SUITE = ["-x", "12.*", "-x", "13.*"]
# Group 9 sends 16 MiB in one message, and 4 MiB in 65,536 fragments.
LIMITS = ["--message-max", str(16 * 1024 * 1024), "--fragments-max", "65536"]
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
# The suite takes 20 seconds or so; one case waits for 100 at most.
SECONDS_MAX = 300


@contextlib.contextmanager
def running(command, **streams):
    """A process that ends with us, however we end."""
    process = subprocess.Popen(command, text=True, **streams)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def address(lines):
    """Where a program says that it listens."""
    for line in lines:
        if listening := re.search(r"listening on (?:ws|http)://([^/\s]+)", line):
            return listening[1]
    sys.exit("it ended before it listened")


def try_server(echo, kosoku, reports, door="--ws"):
    with running([echo, door, "127.0.0.1:0", *LIMITS], stdout=subprocess.PIPE) as server:
        suite = [kosoku, address(server.stdout), *SUITE, "-p", "4", "-o", reports]
        with running(suite) as suite:
            return suite.wait()


def try_http(echo, kosoku, reports):
    return try_server(echo, kosoku, reports, "--http")


def try_client(echo, kosoku, reports):
    suite = [kosoku, "-m", "fuzzingserver", "127.0.0.1:0", *SUITE, "-o", reports]
    with running(suite, stderr=subprocess.PIPE) as suite:
        url = f"ws://{address(suite.stderr)}"
        cases = [f"{url}/runCase?case={case}&agent=lapwing" for case in range(1, CASES + 1)]
        visits = [*cases, f"{url}/updateReports?agent=lapwing"]
        to = [argument for visit in visits for argument in ("--to", visit)]
        with running([echo, *LIMITS, *to]) as client:
            if client.wait() != 0:
                return 1
        sys.stderr.write(suite.stderr.read())
        return suite.wait()


def tell(reports):
    """Counts the verdicts, names those that are not plain; whether all cases were run and passed."""
    index = json.loads(pathlib.Path(reports, "index.json").read_text())
    cases = [case for agent in index.values() for case in agent.items()]
    verdicts = collections.Counter()
    for number, case in cases:
        # The end of the connection is judged on its own.
        worse = next((case[key] for key in ("behavior", "behaviorClose") if case[key] not in PASSED), None)
        verdict = worse or case["behavior"]
        verdicts[verdict] += 1
        if verdict != "OK":
            print(f"{verdict}: {number}")
    print(f"{len(cases)} cases: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    return len(cases) == CASES and PASSED.issuperset(verdicts)


def stop(number, _frame):
    raise SystemExit(f"ended by {signal.Signals(number).name}; {SECONDS_MAX} seconds are the most")


def main(end, echo, kosoku, reports):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(SECONDS_MAX)
    # What a run before this one saw says nothing.
    shutil.rmtree(reports, ignore_errors=True)
    attempt = {"server": try_server, "http": try_http, "client": try_client}[end]
    status = attempt(echo, kosoku, reports)
    if not tell(reports) or status != 0:
        sys.exit(f"Autobahn, {end}: failed; see {reports}")


main(*sys.argv[1:])
