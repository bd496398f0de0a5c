# SPDX-License-Identifier: AGPL-3.0-only
"""Runs the benchmarks of tests/bench and shows their figures; tools/bench is the command.

A benchmark is a program that CMake knows (aegis_bench) or an executable script tests/bench/AREA/*.sh or *.py.
It prints one JSON object per line and figure, and whatever else it likes on stderr:

    area, name    what was measured
    value, unit   how much
    peer          what it is compared with, measured in the same run: a program, a limit; null if none is here
    peer_value    the peer's figure, in the same unit
    ratio         value / peer_value
    target        a text such as "<= 0.6", about the ratio if there is a peer, else about the value
    met           true or false; null without a target, or without the peer it speaks of

What a benchmark leaves out of ratio and met is worked out here. Figures pass or fail nothing: on a busy machine
they would fail at random. Exit status 1 means that a benchmark did not run, or printed what is no figure.
"""

import argparse
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = f"{TOP}/build/release"
TIMEOUT_S = 1800
KEYS = ("area", "name", "value", "unit", "peer", "peer_value", "ratio", "target", "met")
NUMBERS = ("value", "peer_value", "ratio")


def build():
    for step in (["cmake", "--preset", "release"],
                 ["cmake", "--build", BUILD, "-j", str(os.cpu_count() or 1), "--target", "programs", "bench_targets"]):
        result = subprocess.run(step, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            sys.exit(result.stdout + "tools/bench: the release build failed")


def benches():
    """(area, name, program) of every benchmark."""
    found = []
    with open(f"{BUILD}/bench.list", encoding="utf-8") as file:
        found += [tuple(line.split(None, 2)) for line in file.read().splitlines() if line]
    root = f"{TOP}/tests/bench"
    for area in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        folder = f"{root}/{area}"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.endswith((".sh", ".py")) and os.access(f"{folder}/{name}", os.X_OK):
                found.append((area, os.path.splitext(name)[0], f"{folder}/{name}"))
    return sorted(found)


def complete(figure):
    """Fills in what follows from the rest; raises ValueError for what is no figure."""
    if not isinstance(figure, dict):
        raise ValueError("not an object")
    unknown = set(figure) - set(KEYS)
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]}; keys are {', '.join(KEYS)}")
    for key in ("area", "name", "value", "unit"):
        if key not in figure:
            raise ValueError(f"no {key}")
    for key in NUMBERS:
        number = figure.get(key)
        if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float))):
            raise ValueError(f"{key} is no number")
    figure = {key: figure.get(key) for key in KEYS}
    if figure["ratio"] is None and figure["value"] is not None and figure["peer_value"]:
        figure["ratio"] = round(figure["value"] / figure["peer_value"], 4)
    target = re.fullmatch(r"\s*(<=|>=)\s*([0-9.]+)\s*", figure["target"] or "")
    measured = figure["ratio"] if figure["peer"] is not None else figure["value"]
    if figure["met"] is None and target and measured is not None:
        bound = float(target.group(2))
        figure["met"] = measured <= bound if target.group(1) == "<=" else measured >= bound
    return figure


def run(area, name, program):
    """The figures of one benchmark, and what is wrong with it (None if nothing)."""
    env = dict(os.environ, AEGIS_SOURCE=TOP, AEGIS_BUILD=BUILD)
    try:
        result = subprocess.run([program], cwd=TOP, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except OSError as error:
        return [], f"could not be started: {error}"
    except subprocess.TimeoutExpired:
        return [], f"ran longer than {TIMEOUT_S} s"
    figures = []
    for line in result.stdout.splitlines():
        try:
            figures.append(complete(json.loads(line)))
        except ValueError as error:
            return figures, f"printed what is no figure ({error}): {line[:200]}"
    if result.returncode != 0:
        return figures, f"exit status {result.returncode}"
    if not figures:
        return [], "printed no figure"
    return figures, None


def number(value):
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3g}"


def table(figures):
    rows = [("area", "name", "value", "unit", "peer", "peer value", "ratio", "target", "met")]
    for f in figures:
        met = {True: "yes", False: "NO", None: "-"}[f["met"]]
        rows.append((f["area"], f["name"], number(f["value"]), f["unit"], f["peer"] or "-", number(f["peer_value"]),
                     number(f["ratio"]), f["target"] or "-", met))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {2, 5, 6}
    for row in rows:
        cells = (cell.rjust(width) if column in right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths)))
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(prog="tools/bench", description="Runs the benchmarks of tests/bench.")
    parser.add_argument("areas", metavar="AREA", nargs="*", help="only these areas (a folder of tests/bench), or AREA/NAME")
    parser.add_argument("--json", action="store_true", help="the figures as JSON lines, not as a table")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and run none")
    options = parser.parse_args()
    build()
    known = benches()
    chosen = [b for b in known if not options.areas or {b[0], f"{b[0]}/{b[1]}"} & set(options.areas)]
    if options.list:
        print("\n".join(f"{area}/{name}" for area, name, _ in chosen))
        return 0
    if not chosen:
        print(f"tools/bench: no such benchmark; areas: {', '.join(sorted({b[0] for b in known})) or 'none'}", file=sys.stderr)
        return 1
    every, failed = [], 0
    for area, name, program in chosen:
        print(f"running {area}/{name}", file=sys.stderr, flush=True)
        figures, wrong = run(area, name, program)
        every += figures
        if options.json:
            for figure in figures:
                print(json.dumps(figure), flush=True)
        if wrong:
            failed += 1
            print(f"tools/bench: {area}/{name} {wrong}", file=sys.stderr, flush=True)
    if not options.json and every:
        table(every)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
