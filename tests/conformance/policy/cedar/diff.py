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


def logic(op, left, right):
    """The reference decides literals when it reads JSON, but not when it reads text."""
    values = [side.get("Value") for side in (left, right)]
    if all(isinstance(v, bool) for v in values):
        return {"Value": all(values) if op == "&&" else any(values)}
    return {op: {"left": left, "right": right}}


def both(left, right):
    return logic("&&", left, right)


def negated(e):
    return {"!": {"arg": e}}


def plain_value(v):
    """A value in JSON as the expression that it stands for."""
    if isinstance(v, list):
        return {"Set": [plain_value(i) for i in v]}
    if isinstance(v, dict) and not ("__entity" in v and len(v) == 1 and {"type", "id"} <= set(v["__entity"])):
        if "__extn" in v and len(v) == 1 and "fn" in v["__extn"]:
            call = v["__extn"]
            args = [call["arg"]] if "arg" in call else call["args"]
            return {call["fn"]: [plain_value(a) for a in args]}
        return {"Record": {k: plain_value(i) for k, i in v.items()}}
    if isinstance(v, dict):
        return {"Value": {"__entity": {k: v["__entity"][k] for k in ("type", "id")}}}
    return {"Value": v}


def plain_pattern(pieces):
    text = "".join("*" if p == "Wildcard" else p["Literal"].replace("*", "\\*") for p in pieces)
    return text


def plain(e):
    """An expression in JSON with fewer operators: the reference prints no others."""
    if not isinstance(e, dict):
        return [plain(i) for i in e] if isinstance(e, list) else e
    if len(e) != 1:
        return {k: plain(v) for k, v in e.items()}
    (op, v), = e.items()
    if op == "Value":
        return plain_value(v)
    if op == "like":
        return {op: {"left": plain(v["left"]), "pattern": plain_pattern(v["pattern"])}}
    if op == "Record":
        return {op: {k: plain(i) for k, i in v.items()}}
    v = plain(v)
    if op in ("!=", ">", ">="):
        return negated({{"!=": "==", ">": "<=", ">=": "<"}[op]: v})
    if op in ("&&", "||"):
        return logic(op, v["left"], v["right"])
    if op == "is" and "in" in v:
        return both({"is": {k: v[k] for k in ("left", "entity_type")}}, {"in": {"left": v["left"], "right": v["in"]}})
    return {op: v}


def plain_policy(p):
    if not isinstance(p, dict):
        return p
    condition = None
    for c in reversed(p["conditions"]):
        e = plain(c["body"])
        e = negated(e) if c["kind"] == "unless" else e
        condition = both(e, condition) if condition else e
    annotations = {k: v or "" for k, v in p.get("annotations", {}).items()}
    return {**p, "conditions": condition, "annotations": annotations}


def joined(case):
    return {**case, "policies": "\n".join(case["policies"])} if "policies" in case else case


def comparable(answer):
    if isinstance(answer.get("again"), dict):
        answer["again"] = {k: plain_policy(v) for k, v in answer["again"].items()}
    return answer


def only_printable(ours, theirs):
    """JSON may hold what the reference reads and can print as no text that it reads: calls of methods
    without a receiver, or of functions that do not exist, names in `has a.b` that are no identifiers."""
    if isinstance(ours.get("again"), dict) and isinstance(theirs.get("again"), dict):
        for name in [k for k, v in theirs["again"].items() if v is None]:
            theirs["again"].pop(name)
            ours["again"].pop(name, None)


def differing(ours, theirs):
    return sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))


def compare(us, oracle, case):
    whole = joined(case)
    ours, theirs = comparable(us.ask(whole)), comparable(oracle.ask(whole))
    only_printable(ours, theirs)
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
        print(f"  ours   {key}: {json.dumps(ours.get(key))[:100000]}")
        print(f"  theirs {key}: {json.dumps(theirs.get(key))[:100000]}")
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
        case = generate.case(rng)
        answer = r.compare(f"{seed}/{i}", case)
        if answer.get("est") and rng.random() < 0.3:
            est = generate.damage_json(rng, answer["est"])
            r.compare(f"{seed}/{i} est", {**case, "policies": [], "links": [], "est": est})
        if answer.get("schema_json") and rng.random() < 0.3:
            form = generate.damage_json(rng, answer["schema_json"])
            r.compare(f"{seed}/{i} schema", {"schema_json": form})
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
            ours = comparable(us.ask(kept["case"]))
            only_printable(ours, kept["answer"])
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
