# SPDX-License-Identifier: MIT
"""What the Python tests of the program share: cases as TAP, and the program run as a person runs it."""
import os
import subprocess
import sys

cases, failures = 0, 0


def check(title, good, why=""):
    """One case."""
    global cases, failures
    cases += 1
    if not good:
        failures += 1
        print(*(f"# {line[:600]}" for line in str(why).splitlines()), sep="\n")
    print(f"{'ok' if good else 'not ok'} {cases} - {title}", flush=True)


def done():
    print(f"1..{cases}")
    sys.exit(1 if failures else 0)


def skip(title, reason):
    """One case that cannot be run here."""
    global cases
    cases += 1
    print(f"ok {cases} - {title} # SKIP {reason}", flush=True)


def skip_all(reason):
    skip("all cases", reason)
    done()


def run(*words, env=None):
    """Status, standard output and standard error; after ten minutes it counts as hung."""
    ended = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=600, stdin=subprocess.DEVNULL, check=False,
                           env={**os.environ, **(env or {})})
    return ended.returncode, ended.stdout, ended.stderr
