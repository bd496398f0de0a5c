#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Runs test programs of this build in the systemd guest: the oldest supported kernel, nothing but cgroup v2,
systemd as process 1. Every case of theirs is a case here.

    suite.py [--timeout SECONDS] [--needs PATH]... COMMAND...

Each COMMAND is one line for the guest's shell. It finds the tree in $AEGIS_SOURCE and the build in
$AEGIS_BUILD, as every test does: the programs, the tests' scripts, and what --needs names (a path of the tree,
or of the build as build:PATH).
"""

import argparse
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["AEGIS_SOURCE"], "tests"))
import run
import tap

SOURCE, BUILD = os.environ["AEGIS_SOURCE"], os.environ["AEGIS_BUILD"]
VM = os.path.join(SOURCE, "tools/vm")
BOOT_S = 120
MARK = "@@ "  # begins a line that is ours
DIED, LOCKED_UP = 125, "softlockup: hung tasks"  # tools/vm's exit status, and the kernel's word for it


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--timeout", type=int, default=600)
    parser.add_argument("--memory", type=int, default=2048)
    parser.add_argument("--needs", action="append", default=[])
    parser.add_argument("commands", nargs="+")
    return parser.parse_args()


def prepare_or_skip():
    prepared = subprocess.run([VM, "prepare", "--image", "systemd"], capture_output=True, text=True, check=False)
    if prepared.returncode == 77:
        tap.skip_all(prepared.stderr.strip().splitlines()[-1])
    if prepared.returncode != 0:
        sys.exit(f"Bail out! tools/vm prepare: {prepared.stdout}{prepared.stderr}")


def additions(needs):
    """Directories and files for the guest, as options of tools/vm."""
    pairs = [(os.path.join(BUILD, "bin"), "/build/bin"), (os.path.join(SOURCE, "tests"), "/source/tests")]
    for path in needs:
        inside = path.removeprefix("build:")
        pairs.append((os.path.join(SOURCE, path), "/source/" + path) if inside == path
                     else (os.path.join(BUILD, inside), "/build/" + inside))
    return [word for source, place in pairs for word in ("--add", f"{source}:{place}")]


def script(commands):
    lines = [f'echo "{MARK}begin {i}"; {{ {command}\n}} 2>&1; echo "{MARK}end $?"'
             for i, command in enumerate(commands)]
    return "\n".join(lines)


def forward(command, text, status):
    """One program's cases as ours."""
    name = os.path.basename(command.split()[0])
    out = run.parse_tap(text)
    for case in out.passes:
        tap.ok(f"{name}: {case}", True)
    for case, reason in out.skips:
        tap.skip(f"{name}: {case}", reason)
    for case in out.failures:
        tap.ok(f"{name}: {case}", False, "\n".join(out.details.get(case, [])))
    if not tap.equal(f"{name}: exit status", status, 0) or out.failures:
        print("".join(f"# {line}\n" for line in text.splitlines()[-run.SHOWN_LINES:]), end="")


def run_guest(options, environment):
    """Once more if the guest's kernel locks up: with several processors under emulation it now and then does, while
    its own code is patched. It is said, with the kernel's words, which name what ran."""
    for again in (False, True):
        guest = subprocess.run(
            [VM, "run", "--image", "systemd", "--memory", str(options.memory),
             "--timeout", str(options.timeout + BOOT_S), "--build", "/nonexistent",
             *(word for pair in environment.items() for word in ("--env", "=".join(pair))),
             *additions(options.needs), script(options.commands)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        sys.stderr.write(guest.stderr)
        if again or guest.returncode != DIED or LOCKED_UP not in guest.stderr:
            return guest
        print("".join(f"# {line}\n" for line in guest.stderr.splitlines()[-80:]) + "# the guest's kernel locked up: once more",
              flush=True)


def main():
    options = parse_arguments()
    prepare_or_skip()
    environment = {"AEGIS_SOURCE": "/source", "AEGIS_BUILD": "/build", "PYTHONPATH": "/source/tests",
                   "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    for name in ("AEGIS_TEST_LEVEL", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
        environment[name] = os.environ.get(name, "")
    guest = run_guest(options, environment)
    tap.equal("the guest ran to its end", guest.returncode, 0)
    blocks = guest.stdout.split(f"{MARK}begin ")[1:]
    tap.equal("every program ran", len(blocks), len(options.commands))
    for command, block in zip(options.commands, blocks):
        text, _, end = block.partition(f"{MARK}end ")
        forward(command, text.partition("\n")[2], int(end.strip() or 1))
    tap.done()


if __name__ == "__main__":
    main()
