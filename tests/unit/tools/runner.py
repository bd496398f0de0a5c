#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The test runner must not take for a pass what is none: each way a program can lie or die, once."""

import run
import tap


def counts(out):
    return len(out.passes), len(out.failures), len(out.skips)


def program(script, timeout=20.0):
    return run.run_program(run.Test("t", ["sh", "-c", script], "unit"), "short", timeout)[0]


CMOCKA = """1..4
ok 1 - a
not ok 2 - b
# 0x1 != 0x2
# unit.c:3: error: Failure!
# SKIP no kvm here
not ok 3 # SKIP c
not ok 4 - d Could not run test: Test setup failed
# not ok - group
1..1
ok 1 - e
# ok - second group
"""
out = run.parse_tap(CMOCKA)
tap.equal("cmocka's groups and skips are understood", counts(out), (2, 2, 1))
tap.equal("a cmocka skip has its name and reason", out.skips, [("c", "no kvm here")])

out = run.parse_tap("1..2\nnot ok 1 # SKIP c\nok 2 - d\n")
tap.equal("a skip without a reason fails", counts(out), (1, 1, 0))
out = run.parse_tap("ok 1 - a # SKIP it rains\nok 2 - b\n1..2\n")
tap.equal("a plan may come last", counts(out), (1, 0, 1))
out = run.parse_tap("1..0 # SKIP needs root\n")
tap.equal("a program may skip as a whole", counts(out), (0, 0, 1))
out = run.parse_tap("not ok 1 - a\n# got 1\n# want 2\n# SKIP it rains\nok 2 # SKIP b\n# of nothing\n1..2\n")
tap.equal("what a failed case said stays with it", out.details, {"a": ["got 1", "want 2"]})
tap.equal("and a reason to skip with the next", out.skips, [("b", "it rains")])
tap.equal("a plan of nothing fails", counts(run.parse_tap("1..0\n")), (0, 1, 0))
tap.equal("no plan fails", counts(run.parse_tap("ok 1 - a\n")), (1, 1, 0))
tap.equal("a missing case fails", counts(run.parse_tap("1..3\nok 1 - a\n")), (1, 1, 0))
tap.equal("a case too many fails", counts(run.parse_tap("1..1\nok 1 - a\nok 1 - a\n")), (2, 1, 0))
tap.equal("cmocka's failed group setup fails", len(run.parse_tap("1..1\nnot ok 0 - g [  FAILED  ] GROUP SETUP\n").failures), 1)

tap.equal("a program that passes", counts(program("echo 1..1; echo ok 1 - a")), (1, 0, 0))
tap.equal("an exit status fails though all cases passed", counts(program("echo 1..1; echo ok 1; exit 3")), (1, 1, 0))
out = program("echo 1..1; echo ok 1; kill -SEGV $$")
tap.ok("a signal fails and is named", any("SIGSEGV" in what for what in out.failures), out.failures)
out = program("echo 1..1; echo ok 1; sleep 60", timeout=0.5)
tap.ok("an overrun fails", any("longer" in what for what in out.failures), out.failures)
out = program("echo 1..1; echo ok 1; sleep 60 &")
tap.ok("a process left behind fails", any("left processes" in what for what in out.failures), out.failures)
out, _ = run.run_program(run.Test("t", ["/nonexistent"], "unit"), "short", 1.0)
tap.ok("a program that is not there fails", out.failures)

for given, name, want in (("unit/a", "unit/a/b", True), ("unit/a", "unit/ab", False), ("tests/unit/", "unit/a", True),
                          ("*json*", "unit/daemon/base/json", True), ("json", "unit/json", False)):
    tap.equal(f"filter {given} on {name}", run.matches(name, [given]), want)
tap.done()
