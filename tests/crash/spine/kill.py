#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Kills aegisd, the helper and sandboxes at random points of running executions, restarts what died,
and compares what is on record with what was acknowledged (decisions, [1] and [4]).

    kill.py [ROUNDS]

AEGIS_CRASH_ROUNDS  how many kills, instead (100, at full length 1000)
AEGIS_CRASH_KEEP    leaves the node's directory
AEGIS_CRASH_SEED    repeats the choices of a run; the moments they meet stay the machine's
"""

import collections
import http.client
import itertools
import json
import os
import random
import re
import signal
import sqlite3
import sys
import threading
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine"]
import model
import node as nodes
import tap

LEVEL = os.environ.get("AEGIS_TEST_LEVEL", "short")
ROUNDS = int(os.environ.get("AEGIS_CRASH_ROUNDS",
                            sys.argv[1] if len(sys.argv) > 1 else 1000 if LEVEL == "long" else 100))
SEED = int(os.environ.get("AEGIS_CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
AT_ONCE = 4
PATIENCE_S = int(os.environ.get("AEGIS_CRASH_PATIENCE", 300))  # for what runs to end after the last kill
ENDS = ("completed", "failed", "cancelled")

AGENT = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: victim, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Leave a mark."}
  execution:
    mode: iterative
    max_iterations: 4
    iteration_timeout: 3600s
    validation: [{type: exit_code}, {type: regex, pattern: done}]
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 3600s}
  tools: [fs.read, fs.write, fs.list, cmd.run]
""" % sys.version_info[:2]

# What a command does leaves a line in the workspace: the line is there as often as it ran.
EFFECT = """import sys, time
with open("/workspace/effects", "a") as f:
    f.write(sys.argv[1] + "\\n")
time.sleep(float(sys.argv[2]))
print("effect", sys.argv[1])
"""

MARK = re.compile(r"mark-\d+")
marks = itertools.count(1)
dice = random.Random(SEED)
model_dice = random.Random(SEED + 1)


def effect():
    return ("cmd.run", {"command": f"python3 effect.py mark-{next(marks)} {model_dice.random() * 0.3:.2f}"})


def answer(messages):
    time.sleep(model_dice.random() * 0.15)
    turn = model.turns(messages)
    if turn == 0:
        return [("fs.write", {"path": "/workspace/effect.py", "content": EFFECT})]
    if turn == 1:
        return [effect(), ("fs.read", {"path": "/etc/passwd"})]
    if turn == 2:
        return [("fs.list", {"path": "/workspace"}), effect()]
    return "done" if model_dice.random() < 0.7 else "not yet"


class Follower(threading.Thread):
    """Follows a stream over restarts, each time from the last number it saw."""

    def __init__(self, node, path, last_types=()):
        super().__init__(daemon=True)
        self.node, self.path, self.last_types = node, path, last_types
        self.seen = []  # (number, event)
        self.ended = False
        self.stopping = False
        self.start()

    def run(self):
        while not self.ended and not self.stopping:
            try:
                after = self.seen[-1][0] if self.seen else 0
                for number, data in self.node.events(self.path, after):
                    event = json.loads(data)
                    self.seen.append((number, event))
                    self.ended = event["type"] in self.last_types
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)


class Crash:
    def __init__(self):
        self.node = nodes.Node(model.serve(answer))
        self.acknowledged = {}  # execution id -> Follower
        self.unfinished = set()
        self.kills = collections.Counter()
        self.trouble = []
        self.namespaces = set()  # of sandboxes that were seen

    # ---- work ----

    def deploy(self):
        status, body = self.node.call("POST", "/v1/agents", AGENT)
        if status != 201:
            raise RuntimeError(f"deploy: {status} {body}")
        self.agent = body["id"]
        self.whole = Follower(self.node, f"/v1/agents/{self.agent}/events?follow=true")

    def submit(self):
        try:
            status, body = self.node.call("POST", "/v1/executions", {"agent_id": "victim"})
        except (OSError, http.client.HTTPException):
            return  # not acknowledged: it may be there or not
        if status == 202:
            id = body["execution_id"]
            self.unfinished.add(id)
            self.acknowledged[id] = Follower(
                self.node, f"/v1/executions/{id}/events?follow=true",
                ("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled", "ExecutionTimedOut"))
        elif status not in (503, 504):
            self.trouble.append(f"POST /v1/executions: {status} {body}")

    def refresh(self):
        for id in list(self.unfinished):
            if self.acknowledged[id].ended:
                self.unfinished.discard(id)

    def top_up(self):
        self.refresh()
        while len(self.unfinished) < AT_ONCE:
            before = len(self.unfinished)
            self.submit()
            if len(self.unfinished) == before:
                break

    # ---- kills ----

    def strike_aegisd(self):
        self.node.kill("aegisd")
        while dice.random() < 0.15:  # also while it starts
            self.node.start_aegisd(wait=False)
            time.sleep(dice.random() * 0.5)
            self.node.kill("aegisd")
        time.sleep(dice.choice((0, 0, 0.3)))
        self.node.start_aegisd()

    def strike_helper(self):
        self.node.kill("helper")
        time.sleep(dice.choice((0, 0, 0.3)))
        self.node.start_helper()

    def strike_both(self):
        self.node.kill("helper")
        self.node.kill("aegisd")
        self.node.start_helper()
        self.node.start_aegisd()

    def strike_sandbox(self, first):
        victims = sorted(pid for pid, inside in self.node.sandbox_processes()
                         if (inside == 1) == first)
        if victims:
            try:
                os.kill(dice.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def strike(self):
        what = dice.choices(("aegisd", "helper", "both", "pid 1", "process"), (40, 25, 10, 15, 10))[0]
        self.kills[what] += 1
        if what == "pid 1" or what == "process":
            self.strike_sandbox(what == "pid 1")
        else:
            getattr(self, "strike_" + what)()

    def rounds(self):
        for number in range(ROUNDS):
            self.top_up()
            time.sleep(dice.random() * 1.0)
            self.namespaces |= self.node.namespaces()
            self.strike()
            if number % 25 == 24:
                print(f"# {number + 1} kills, {len(self.acknowledged)} executions", flush=True)

    def settle(self):
        self.namespaces |= self.node.namespaces()
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.refresh()
            status, body = self.node.call("GET", "/v1/executions?limit=1000")
            rows = body["items"] if status == 200 else []
            if rows and all(row["status"] in ENDS for row in rows) and not self.unfinished:
                break
            time.sleep(0.2)
        self.whole.stopping = True

    # ---- what must be true ----

    def check_executions(self):
        if self.unfinished:
            self.node.aegisd.send_signal(signal.SIGUSR1)  # what its fibers wait for goes into its log
        rows, offset = {}, 0
        while True:
            status, body = self.node.call("GET", f"/v1/executions?limit=100&offset={offset}")
            if status != 200 or not body["items"]:
                break
            rows.update((row["execution_id"], row) for row in body["items"])
            offset += len(body["items"])
        lost = [id for id in self.acknowledged if id not in rows]
        tap.ok("every acknowledged execution is there", not lost, lost)
        open_ones = [f"{id}: {row['status']}\n{self.story(id)}" for id, row in rows.items()
                     if row["status"] not in ENDS]
        tap.ok("nothing was answered but success or come again", not self.trouble, self.trouble[:5])
        tap.ok("every execution has ended", not open_ones, "\n".join(open_ones))
        silent = [id for id, row in rows.items() if row["status"] == "failed" and not row["error"]]
        tap.ok("every failure has a reason", not silent, silent)
        count = collections.Counter(row["status"] for row in rows.values())
        reasons = collections.Counter(row["error"] for row in rows.values() if row["error"])
        print(f"# {dict(count)}")
        for reason, n in reasons.most_common(20):
            print(f"# {n} x {reason!r:.200}")
        tap.ok("some execution completed", count["completed"], reasons)
        expected = re.compile(r"interrupted|daemon was away|signal 9|validat", re.IGNORECASE)
        strange = [f"{id}: {row['error']}\n{self.story(id)}" for id, row in rows.items()
                   if row["error"] and not expected.search(row["error"])]
        tap.ok("none failed for a reason of our own", not strange, "\n".join(strange))
        self.rows = rows

    def story(self, id):
        """The newest events of an execution that ended oddly or not at all, and what runs of any."""
        follower = self.acknowledged.get(id)
        seen = [f"{n} {event['timestamp']} {event['type']} {json.dumps(event['details']):.200}"
                for n, event in (follower.seen if follower else [])[-12:]]
        inside = [f"{pid} (inside {number}): {nodes.read(f'/proc/{pid}/cmdline')!r} {nodes.read(f'/proc/{pid}/wchan')}"
                  for pid, number in self.node.sandbox_processes()]
        return "\n".join(seen + inside + [f"aegisd: {nodes.read(f'/proc/{self.node.aegisd.pid}/wchan')}"])

    def check_store(self):
        db = sqlite3.connect(f"file:{self.node.data}/aegis.db?mode=ro", uri=True)
        self.table = {n: (type, execution, json.loads(data)) for n, type, execution, data in db.execute(
            "SELECT number, event_type, execution_id, event_data FROM domain_events ORDER BY number")}
        numbers = sorted(self.table)
        tap.equal("event numbers have no gap", numbers, list(range(1, len(numbers) + 1)))
        per = collections.defaultdict(list)
        for n, (type, execution, _) in self.table.items():
            if type != "ExecutionRemoved":  # by us, when all else was over
                per[execution].append((n, type))
        ends = {id: [t for _, t in list_ if t in ("ExecutionCompleted", "ExecutionFailed",
                                                  "ExecutionCancelled", "ExecutionTimedOut")]
                for id, list_ in per.items() if id in self.rows}
        wrong = {id: e for id, e in ends.items() if len(e) != 1 or per[id][-1][1] != e[0]}
        tap.ok("every execution ends once, with its last event", not wrong, wrong)
        self.per = per
        died = [data["error"]["message"] for type, _, data in self.table.values()
                if type == "IterationFailed" and data["error"]["kind"] in ("agent", "interrupted")]
        tap.ok("no sandbox died that nobody killed", len(died) <= self.kills["pid 1"],
               "\n".join(died))

    def check_streams(self):
        bad = []
        for id, follower in [*self.acknowledged.items(), (None, self.whole)]:
            got = [n for n, _ in follower.seen]
            want = [n for n, _ in self.per[id]] if id else got
            if got != want:
                bad.append(f"{id}: got {got}\nwant {want}")
            if got != sorted(set(got)):
                bad.append(f"{follower.path}: out of order or doubled: {got}")
            for n, event in follower.seen:
                kept = self.table.get(n)
                if not kept or kept[0] != event["type"] or kept[2] != event["details"]:
                    bad.append(f"event {n}: streamed {event!r:.300}\nstored {kept!r:.300}")
        whole = [n for n, _ in self.whole.seen]
        started = [n for n, (type, execution, _) in self.table.items()
                   if execution and type != "ExecutionRemoved"]
        missing = set(started) - set(whole)
        if missing:
            bad.append(f"the agent's stream lacks {sorted(missing)[:20]}")
        tap.ok("streams carried what is stored, in order, once", not bad, "\n".join(bad[:10]))

    def check_journal(self):
        verify = self.node.audit("verify")
        tap.equal("aegis-audit verify is content", verify.returncode, 0)
        print("# " + (verify.stdout + verify.stderr).strip().replace("\n", "\n# "))
        events = self.node.journal(self.rows)
        tap.equal("the journal holds each event once, in order",
                  [r["event_number"] for r in events], sorted(self.table))
        wrong = [r for r in events if self.table.get(r["event_number"], ("?",))[0] != r["kind"]]
        tap.ok("and under its name", not wrong, wrong[:3])

    def read_effects(self):
        self.ran = collections.Counter()
        for id in self.rows:
            for mark in nodes.read(f"{self.node.state}/workspaces/{id}/effects").split():
                self.ran[(id, mark)] += 1

    def check_effects(self):
        """A command that ran twice is recorded as repeated; one that succeeded ran."""
        said = collections.Counter()
        started, succeeded = set(), set()
        for type, execution, data in self.table.values():
            for mark in MARK.findall(data.get("arguments", "") + data.get("result", "")):
                if type == "InvocationStarted":
                    started.add((execution, mark))
                    said[(execution, mark)] += data.get("repeated", False)
                elif type == "InvocationCompleted" and f"effect {mark}" in data["result"]:
                    succeeded.add((execution, mark))
        unsaid = [k for k, n in self.ran.items() if n > 1 + said[k]]
        tap.ok("a command that ran again is recorded as repeated", not unsaid, unsaid)
        unknown = set(self.ran) - started
        tap.ok("nothing ran that is not on record", not unknown, unknown)
        without = succeeded - set(self.ran)
        tap.ok("every command that succeeded had its effect", succeeded and not without, without)
        print(f"# {len(self.ran)} commands ran, {sum(n > 1 for n in self.ran.values())} of them again, "
              f"{sum(said.values())} repetitions recorded")

    def check_nothing_left(self):
        undone = []
        for id in self.rows:
            status, body = self.node.call("DELETE", f"/v1/executions/{id}")
            if status != 200:
                undone.append((id, status, body))
        tap.ok("what has ended can be removed", not undone, undone[:3])
        left = self.node.footprint()
        tap.equal("no workspace is left", left["workspaces"], self.node.before["workspaces"])

    def check_host(self):
        time.sleep(0.5)
        left = self.node.footprint()
        for name in ("processes", "mounts", "cgroups", "sockets"):
            tap.equal(f"no {name} are left", left[name], self.node.before[name])
        left = self.namespaces & nodes.namespaces_pinned()
        tap.ok("no network namespace is left", self.namespaces and not left, left)

    def run(self):
        self.node.start()
        self.deploy()
        self.rounds()
        self.top_up()
        self.settle()
        print(f"# {dict(self.kills)}")
        self.check_executions()
        self.read_effects()
        self.check_nothing_left()
        codes = self.node.stop()
        tap.equal("both end with status 0", codes, [0, 0])
        self.check_store()
        self.check_streams()
        self.check_journal()
        self.check_effects()
        self.check_host()


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    print(f"# seed {SEED} (AEGIS_CRASH_SEED), {ROUNDS} kills (AEGIS_CRASH_ROUNDS)", flush=True)
    crash = Crash()
    try:
        crash.run()
    finally:
        for name in ("aegisd", "helper"):
            if getattr(crash.node, name) and getattr(crash.node, name).poll() is None:
                crash.node.kill(name)
    if tap._failed or os.environ.get("AEGIS_CRASH_KEEP"):
        print(f"# kept: {crash.node.dir}\n" + "\n".join("# " + l for l in crash.node.logs(400).splitlines()))
    else:
        crash.node.remove()
    crash.node.remove_cgroups()
    tap.done()


if __name__ == "__main__":
    main()
