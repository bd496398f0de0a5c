#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""This implementation of Cedar against the reference, on generated cases.

    diff.py run ORACLE [--seed N] [--seconds S] [--cases N] [--save FILE]
    diff.py replay FILE

ORACLE is the program made from oracle/, AEGIS_BUILD names our build. `run` prints its seed, shortens what
differs, and appends it with the reference's answer to FILE; `replay` needs no oracle: it compares our
answers with those kept. Both end with "N cases, M differ".
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time

import generate

SHOWN = 10


class Peer:
    """A long-lived program that answers a JSON line by a JSON line."""

    def __init__(self, path):
        self.path = path
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, case):
        try:
            self.process.stdin.write(json.dumps(case).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            status = self.process.wait()
            self.start()
            return {"died": status}
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def joined(case):
    return {**case, "policies": "\n".join(case["policies"])} if "policies" in case else case


def differing(ours, theirs):
    return sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))


def compare(us, oracle, case):
    whole = joined(case)
    ours, theirs = us.ask(whole), oracle.ask(whole)
    return differing(ours, theirs), ours, theirs


def without(case, key, i):
    return {**case, key: case[key][:i] + case[key][i + 1:]}


def shorten(us, oracle, case, keys):
    """Drops whatever the difference does not need."""
    for key in ("requests", "entities", "links", "policies"):
        i = 0
        while isinstance(case.get(key), list) and i < len(case[key]):
            smaller = without(case, key, i)
            if set(compare(us, oracle, smaller)[0]) & set(keys):
                case = smaller
            else:
                i += 1
    return case


def report(case, keys, ours, theirs):
    print(f"differs in {', '.join(keys)}:")
    print(f"  {json.dumps(case, ensure_ascii=False)}")
    for key in keys:
        print(f"  ours   {key}: {json.dumps(ours.get(key))[:2000]}")
        print(f"  theirs {key}: {json.dumps(theirs.get(key))[:2000]}")
    sys.stdout.flush()


class Run:
    def __init__(self, args):
        self.args, self.us, self.oracle = args, Peer(ours_path()), Peer(args.oracle)
        self.count = self.bad = self.valid = 0

    def compare(self, name, case):
        """The reference's answer, after differences have been told."""
        keys, ours, theirs = compare(self.us, self.oracle, case)
        self.count += 1
        self.valid += theirs.get("valid") is True
        if not keys:
            return theirs
        self.bad += 1
        if self.bad <= SHOWN:
            print(f"case {name}")
            smaller = shorten(self.us, self.oracle, case, keys)
            keys, ours, answer = compare(self.us, self.oracle, smaller)
            report(joined(smaller), keys, ours, answer)
            if self.args.save:
                with open(self.args.save, "a", encoding="utf-8") as f:
                    f.write(json.dumps({"case": joined(smaller), "answer": answer}) + "\n")
        return theirs


def run(args):
    r = Run(args)
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"seed {seed}", flush=True)
    until = time.monotonic() + args.seconds
    i = 0
    while time.monotonic() < until and (args.cases is None or i < args.cases):
        rng = random.Random(f"{seed}/{i}")
        answer = r.compare(f"{seed}/{i}", generate.case(rng))
        if answer.get("est") and rng.random() < 0.3:
            r.compare(f"{seed}/{i} est", {"est": generate.damage_json(rng, answer["est"])})
        i += 1
    r.us.close()
    r.oracle.close()
    print(f"{r.valid} of the policy sets validate")
    print(f"{r.count} cases, {r.bad} differ")
    return r.bad


def replay(args):
    us = Peer(ours_path())
    count = bad = 0
    with open(args.file, encoding="utf-8") as f:
        for line in f:
            kept = json.loads(line)
            ours = us.ask(kept["case"])
            keys = differing(ours, kept["answer"])
            count += 1
            if keys:
                bad += 1
                report(kept["case"], keys, ours, kept["answer"])
    us.close()
    print(f"{count} cases, {bad} differ")
    return bad


def ours_path():
    return os.path.join(os.environ["AEGIS_BUILD"], "tests", "conformance", "cedar_answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("oracle")
    runs.add_argument("--seed", type=int)
    runs.add_argument("--seconds", type=float, default=60)
    runs.add_argument("--cases", type=int)
    runs.add_argument("--save")
    replays = commands.add_parser("replay")
    replays.add_argument("file")
    args = parser.parse_args()
    sys.exit(1 if (run if args.command == "run" else replay)(args) else 0)


if __name__ == "__main__":
    main()
