# SPDX-License-Identifier: AGPL-3.0-only
"""Builds the tree and runs its tests; tools/test is the command.

Every test is a program that prints TAP. The unit of counting is the case, so a program that crashes,
stops early, prints no plan, overruns its time or leaves a process behind counts as a failed case beside
those it reported. Which programs exist, with their kinds, locks and time limits, is known to CMake
alone and read from `ctest --show-only`.
"""

import argparse
import collections
import difflib
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# In this order; the second row runs with --all and --long, or when a filter names it.
QUICK = ["unit", "prop", "sim", "conformance", "bpf", "fuzz", "integration"]
THOROUGH = ["vm", "crash", "peer"]

ALL_BUDGET_S = 40 * 60
FUZZ_TOTAL_S = {"short": 40, "all": 120, "long": 3600}
SHOWN_LINES = 200
SUMMED_LINES, SUMMED_COLUMNS = 8, 300  # of what a failed case said, in the list at the end
LONG_FACTOR = 30


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tools/test",
        description="Builds with ASan and UBSan and runs the unit, property, simulation, conformance, BPF, "
        "fuzz and short integration tests.",
        epilog="A FILTER is the start of a test's path (unit/daemon/base) or a pattern (*json*).",
    )
    parser.add_argument("filters", metavar="FILTER", nargs="*")
    parser.add_argument("--all", action="store_true", help="also guest, crash and peer tests; at most 40 minutes")
    parser.add_argument("--long", action="store_true", help="as --all, every test at full length, without a bound")
    parser.add_argument("--list", action="store_true", help="name the tests and run none")
    parser.add_argument("--preset", default="debug", help="the build to test: debug, tsan, release or coverage")
    parser.add_argument("--no-build", action="store_true", help="test what the last build left")
    parser.add_argument("--no-fuzz", action="store_true", help="replay the corpora, but do not fuzz")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-v", "--verbose", action="store_true", help="show the output of tests that pass, too")
    return parser.parse_args()


class Test:
    def __init__(self, name, command, kind, timeout=120.0, locks=(), env=None, cwd=TOP, alone=False):
        self.name = name
        self.command = command
        self.kind = kind
        self.timeout = timeout
        self.locks = set(locks)
        self.env = env or {}
        self.cwd = cwd
        self.alone = alone
        self.seconds = 0.0


class Outcome:
    """What one program reported: cases passed and failed by name, skips as (case, reason).

    details: what a failed case printed behind its line, by its name."""

    def __init__(self):
        self.passes = []
        self.failures = []
        self.details = {}
        self.skips = []
        self.planned = None


PLAN = re.compile(r"^\s*1\.\.(\d+)\s*(?:#\s*skip\S*\s*(.*))?$", re.IGNORECASE)
CASE = re.compile(r"^\s*(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*?)\s*$")
DIRECTIVE = re.compile(r"(?:^|\s)#\s*skip\S*\s*(.*)$", re.IGNORECASE)
PROGRESS = re.compile(r"^\[\d+/\d+\] ")
REASON = re.compile(r"^\s*# SKIP (.+)$")


def parse_tap(text):
    """Reads TAP as our helpers and cmocka 1.1 print it.

    cmocka prints one plan per group, "not ok N # SKIP name" for a skipped case, where the directive carries
    the case's name, and leaves the reason to a line before it (tests/tap.h prints "# SKIP reason" there).
    """
    out = Outcome()
    seen = 0
    reason = None
    explained = None  # the lines of the failed case that the next lines may explain
    for line in text.splitlines():
        if explained is not None and line.startswith("# ") and not REASON.match(line):
            explained.append(line[2:])
            continue
        explained = None
        plan = PLAN.match(line)
        if plan:
            out.planned = (out.planned or 0) + int(plan.group(1))
            if int(plan.group(1)) == 0 and plan.group(2) is not None:
                out.skips.append(("all of it", plan.group(2).strip()))
            continue
        given = REASON.match(line)
        if given:
            reason = given.group(1).strip()
            continue
        case = CASE.match(line)
        if not case:
            continue
        seen += 1
        failed, rest = case.group(1), case.group(3)
        directive = DIRECTIVE.search(rest)
        if directive:
            name, why = rest[: directive.start()].strip(), directive.group(1).strip()
            if not name:
                name, why = why, reason
            out.skips.append((name, why))
        elif failed:
            out.failures.append(rest)
            explained = out.details.setdefault(rest, [])
        else:
            out.passes.append(rest)
        reason = None
    for name, why in out.skips:
        if not why:
            out.failures.append(f"{name}: skipped without a reason")
    out.skips = [skip for skip in out.skips if skip[1]]
    if out.planned is None:
        out.failures.append("printed no TAP plan")
    elif out.planned == 0 and not out.skips:
        out.failures.append("planned no case and gave no reason")
    elif seen < out.planned:
        out.failures.append(f"{out.planned - seen} of {out.planned} planned cases never reported")
    elif seen > out.planned:
        out.failures.append(f"reported {seen} cases but planned {out.planned}")
    return out


def ended(child, timeout):
    """Waits for the child's end without reaping it, so that its number cannot name another process meanwhile."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True


def alive_in_group(leader):
    """Whether a process of the group still runs: one that has ended and waits for its parent is no life."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                state, _, group = stat.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == leader and state not in "ZX":
            return True
    return False


def stop_group(leader):
    """Kills what is left of a test's process group; true if something was left after a moment's grace."""
    for _ in range(40):
        if not alive_in_group(leader):
            return False
        time.sleep(0.05)
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def run_program(test, level, timeout):
    """Runs one test; returns its outcome and all it printed."""
    env = dict(os.environ, **test.env, AEGIS_TEST_LEVEL=level)
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        try:
            child = subprocess.Popen(
                test.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=test.cwd, env=env, start_new_session=True,
            )
        except OSError as error:
            out = Outcome()
            out.failures.append(f"could not be started: {error}")
            return out, ""
        overrun = not ended(child, timeout)
        if overrun:
            os.killpg(child.pid, signal.SIGKILL)
        left = stop_group(child.pid)
        status = child.wait()
        test.seconds = time.monotonic() - start
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    out = parse_tap(text)
    if overrun:
        out.failures.append(f"ran longer than {timeout:.0f} s and was killed")
    elif status < 0:
        out.failures.append(f"died of signal {signal.Signals(-status).name}")
    elif status > 0 and not out.failures:
        out.failures.append(f"every case passed, but the exit status is {status}")
    if left and not out.failures:
        out.failures.append("left processes running")
    return out, text


class Runner:
    """Runs tests side by side, no two that hold the same lock, and adds up what they report."""

    def __init__(self, level, jobs, verbose, deadline):
        self.level = level
        self.jobs = jobs
        self.verbose = verbose
        self.deadline = deadline
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.changed = threading.Condition()
        self.held = set()
        self.running = 0
        self.alone = False

    def run(self, tests):
        pending = collections.deque(tests)
        threads = [threading.Thread(target=self.work, args=(pending,)) for _ in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def take(self, pending):
        """The next test that may start now; None when none is left."""
        with self.changed:
            while pending:
                for test in pending:
                    blocked = self.alone or test.locks & self.held or (test.alone and self.running)
                    if not blocked:
                        pending.remove(test)
                        self.held |= test.locks
                        self.running += 1
                        self.alone = test.alone
                        return test
                self.changed.wait()
        return None

    def work(self, pending):
        while True:
            test = self.take(pending)
            if test is None:
                return
            try:
                self.one(test)
            finally:
                with self.changed:
                    self.held -= test.locks
                    self.running -= 1
                    self.alone = False
                    self.changed.notify_all()

    def one(self, test):
        timeout = test.timeout * (LONG_FACTOR if self.level == "long" else 1)
        left = self.deadline - time.monotonic() if self.deadline else timeout
        if left <= 0:
            out, text = Outcome(), ""
            out.failures.append(f"not run: the {ALL_BUDGET_S // 60} minutes of --all were used up")
        else:
            out, text = run_program(test, self.level, min(timeout, left))
        with self.changed:
            self.report(test, out, text)

    def report(self, test, out, text):
        self.passed += len(out.passes)
        self.failed += [(test.name, what, out.details.get(what, [])) for what in out.failures]
        self.skipped += [(test.name, case, why) for case, why in out.skips]
        word = "FAIL" if out.failures else "ok  " if out.passes else "skip"
        print(f"{word} {test.seconds:7.2f} s {len(out.passes):5} passed  {test.name}", flush=True)
        if out.failures or self.verbose:
            lines = text.splitlines()
            if len(lines) > SHOWN_LINES:
                print(f"    ... {len(lines) - SHOWN_LINES} lines before these")
            for line in lines[-SHOWN_LINES:]:
                print("    " + line)
            for what in out.failures:
                print(f"    FAILED: {what}")
        sys.stdout.flush()

    def summary(self):
        if self.skipped:
            print("\nskipped:")
            for name, case, why in self.skipped:
                print(f"  {name}: {case}: {why}")
        if self.failed:
            print("\nfailed:")
            for name, what, details in self.failed:
                print(f"  {name}: {what}")
                for line in details[:SUMMED_LINES]:
                    print(f"    {line:.{SUMMED_COLUMNS}}")
        print(f"\n{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped", flush=True)


def build(preset, targets=()):
    """Configures and builds a preset, quietly unless it fails; true if it did not."""
    command = ["cmake", "--build", f"build/{preset}", "-j", str(os.cpu_count() or 1)]
    if targets:
        command += ["--target", *targets]
    start = time.monotonic()
    for step in (["cmake", "--preset", preset], command):
        result = subprocess.run(step, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", check=False)
        if result.returncode != 0:
            print("".join(line for line in result.stdout.splitlines(True) if not PROGRESS.match(line)), end="")
            print(f"tools/test: the {preset} build failed", flush=True)
            return False
    print(f"built {preset} in {time.monotonic() - start:.0f} s", flush=True)
    return True


def find_tests(preset):
    result = subprocess.run(["ctest", "--show-only=json-v1"], cwd=f"{TOP}/build/{preset}",
                            stdout=subprocess.PIPE, check=True)
    tests = []
    for entry in json.loads(result.stdout)["tests"]:
        properties = {p["name"]: p["value"] for p in entry.get("properties", [])}
        labels = properties.get("LABELS", [])
        kind = labels[0] if labels else ""
        if kind not in QUICK + THOROUGH:
            sys.exit(f"tools/test: {entry['name']} is of no known kind: {', '.join(QUICK + THOROUGH)}")
        tests.append(Test(
            entry["name"],
            entry.get("command", [f"{entry['name']} (not built)"]),
            kind,
            timeout=float(properties.get("TIMEOUT", 120)),
            locks=properties.get("RESOURCE_LOCK", []),
            env=dict(pair.split("=", 1) for pair in properties.get("ENVIRONMENT", [])),
            cwd=properties.get("WORKING_DIRECTORY", TOP),
            alone=properties.get("RUN_SERIAL", False),
        ))
    return tests


def fuzz_runs(tests, level):
    """A bounded run of each libFuzzer target, as tests named fuzz/run/TARGET; each has a replay test, too."""
    targets = [test.name[len("fuzz/"):] for test in tests if test.kind == "fuzz"]
    seconds = max(1, FUZZ_TOTAL_S[level] // max(1, len(targets)))
    return [Test(f"fuzz/run/{target}", [f"{TOP}/tools/fuzz", "--no-build", "--tap", target, str(seconds)],
                 "fuzz", timeout=seconds + 120) for target in targets]


def matches(name, filters):
    for given in filters:
        given = given.removeprefix("./").removeprefix("tests/").rstrip("/")
        if name == given or name.startswith(given + "/") or fnmatch.fnmatch(name, given):
            return True
    return False


def choose(tests, options):
    if options.filters:
        return [test for test in tests if matches(test.name, options.filters)]
    kinds = QUICK + THOROUGH if options.all or options.long else QUICK
    # Of the quick ones first those that keep others of their kind waiting: the rest fills in beside them.
    return sorted((test for test in tests if test.kind in kinds),
                  key=lambda test: (test.kind in THOROUGH, test.kind in QUICK and not test.locks, kinds.index(test.kind)))


def main():
    options = parse_arguments()
    start = time.monotonic()
    level = "long" if options.long else "all" if options.all else "short"
    if not options.no_build and not build(options.preset):
        print("\n0 passed, 1 failed, 0 skipped")
        return 1
    known = find_tests(options.preset)
    if options.preset == "debug" and not options.no_fuzz:
        known += fuzz_runs(known, level)
    tests = choose(known, options)
    if options.list:
        print("\n".join(test.name for test in tests))
        return 0
    runner = Runner(level, options.jobs, options.verbose, start + ALL_BUDGET_S if level == "all" else None)
    fuzzing = [test for test in tests if test.name.startswith("fuzz/run/")]
    if fuzzing and not subprocess.run(["which", "clang"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        tests = [test for test in tests if test not in fuzzing]
        runner.skipped += [(test.name, "all of it", "clang is not installed") for test in fuzzing]
    elif fuzzing and not options.no_build and not build("fuzz", ["fuzz_targets"]):
        tests = [test for test in tests if test not in fuzzing]
        runner.failed += [(test.name, "was not built", []) for test in fuzzing]
    runner.run(tests)
    if not tests:
        names = [test.name for test in known]
        near = [name for given in options.filters for name in difflib.get_close_matches(given, names, 5, 0.4)]
        print("tools/test: no test ran" + (f"; near: {', '.join(near)}" if near else ""))
    runner.summary()
    return 1 if runner.failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
