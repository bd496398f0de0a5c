# SPDX-License-Identifier: AGPL-3.0-only
"""TAP for Python tests.

    import tap
    tap.ok("name", condition, "shown when it fails")
    tap.equal("name", got, want)
    tap.skip("name", "what this machine lacks")
    tap.skip_all("what this machine lacks")     # ends the program
    tap.done()                                  # last line: prints the plan and exits
"""

import sys

_count = 0
_failed = 0


def _result(passed, name, detail=""):
    global _count, _failed
    _count += 1
    print(f"{'ok' if passed else 'not ok'} {_count} - {name}")
    if not passed:
        _failed += 1
        for line in str(detail).splitlines():
            print("# " + line)
    sys.stdout.flush()
    return passed


def ok(name, condition, detail=""):
    return _result(bool(condition), name, detail)


def equal(name, got, want):
    return _result(got == want, name, f"got:  {got!r}\nwant: {want!r}")


def skip(name, reason):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {reason}", flush=True)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def done():
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed else 0)
