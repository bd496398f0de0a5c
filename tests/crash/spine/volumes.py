#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Kills aegisd, the helper or both while executions, one after the other, work in a named persistent volume, by file
tools and by commands. Nothing of what was acknowledged is lost, what is told of the volume is what is there, and no
process, mount, cgroup or loan is left.

    volumes.py [KILLS]      (12; at full length 100)

AEGIS_CRASH_SEED repeats the choices of a run; the moments they meet stay the machine's.
"""

import contextlib
import http.client
import itertools
import json
import os
import random
import re
import signal
import sqlite3
import sys
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine"]
import model
import node as nodes
import tap

LONG = os.environ.get("AEGIS_TEST_LEVEL") == "long"
KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 100 if LONG else 12
SEED = int(os.environ.get("AEGIS_CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
PATIENCE_S = 300
FILES = 6  # written by each execution

AGENT = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: keeper, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Keep."}
  volumes:
    - {name: work, storage_class: persistent, mount_path: /workspace, access_mode: read-write,
       source: {volume_id: "%s"}}
  execution: {mode: iterative, max_iterations: 8, iteration_timeout: 3600s}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 3600s}
  tools: [fs.write, cmd.run]
"""
COMMAND = ("python3 -c \"import os; f = open('/workspace/c-%d', 'w'); f.write('%d' * 500); f.flush(); "
           "os.fsync(f.fileno())\"")

dice = random.Random(SEED)
numbers = itertools.count(1)


def answer(messages):
    time.sleep(0.05)
    turn = model.turns(messages)
    if turn >= FILES:
        return "done"
    n = next(numbers)
    if turn % 2:
        return [("cmd.run", {"command": COMMAND % (n, n)})]
    return [("fs.write", {"path": f"/workspace/t-{n}", "content": f"{n}" * 500})]


node = nodes.Node(model.serve(answer))


def patient(method, path, body=None):
    """Asks until somebody answers."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            status, got = node.call(method, path, body)
            if status not in (503, 504):
                return status, got
        except (OSError, http.client.HTTPException, ValueError):
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"{method} {path}: nobody answers\n" + node.logs())
        time.sleep(0.05)


def strike():
    what = dice.choices(("aegisd", "helper", "both"), (45, 30, 25))[0]
    for name in ("helper", "aegisd"):
        if what in (name, "both"):
            node.kill(name)
    time.sleep(dice.choice((0, 0, 0.3)))
    if what != "aegisd":
        node.start_helper()
    if what != "helper":
        node.start_aegisd()
    return what


def is_free(id):
    """Of an execution that has ended the volume is taken back a moment later."""
    return patient("GET", f"/v1/volumes/{id}")[1]["status"] in ("available", "detached")


def work(volume):
    """Executions, until there were enough kills and the last one has ended."""
    executions, kills = [], []
    running = None
    end = time.monotonic() + PATIENCE_S + 20 * KILLS
    while time.monotonic() < end:
        if not running and len(kills) < KILLS and is_free(volume):
            status, body = patient("POST", "/v1/executions", {"agent_id": "keeper"})
            if status == 202:
                running = body["execution_id"]
                executions.append(running)
        if len(kills) < KILLS:
            time.sleep(dice.random() * 1.2)
            kills.append(strike())
        if running:
            status, body = patient("GET", f"/v1/executions/{running}")
            if status == 200 and body["status"] not in ("pending", "running"):
                running = None
        elif len(kills) >= KILLS:
            break
        time.sleep(0.05)
    tap.ok("the last execution has ended", not running, node.logs(40))
    print(f"# {len(executions)} executions, kills: {', '.join(kills)}")
    return executions


def succeeded():
    """Names of files whose writing was acknowledged, by the events in the store."""
    written = set()
    with contextlib.closing(sqlite3.connect(f"file:{node.data}/aegis.db?mode=ro", uri=True)) as db:
        started = {}
        for kind, text in db.execute("SELECT event_type, event_data FROM domain_events ORDER BY number"):
            data = json.loads(text)
            if kind == "InvocationStarted":
                found = re.search(r"/workspace/([ct]-\d+)", data.get("arguments", ""))
                if found:
                    started[data.get("invocation_id")] = found[1]
            elif kind == "InvocationCompleted" and data.get("invocation_id") in started:
                result = data.get("result", "")
                if "error" not in result.lower() and "exit_code\":1" not in result.replace(" ", ""):
                    written.add(started[data["invocation_id"]])
    return written


def check(id, executions):
    node.wait_for("that the volume is free", lambda: is_free(id))
    tap.ok("the volume is free", True)
    root = f"{node.state}/workspaces/{id}"
    there = {}
    for name in os.listdir(root):
        with open(f"{root}/{name}", encoding="utf-8") as f:
            there[name] = f.read()
    acknowledged = succeeded()
    lost = [n for n in acknowledged if there.get(n) != n[2:] * 500]
    tap.ok(f"of {len(acknowledged)} files that were acknowledged none is lost", acknowledged and not lost, lost)
    used = sum(os.stat(f"{root}/{name}").st_blocks * 512 for name in there)
    status, told = patient("GET", f"/v1/volumes/{id}")
    counted = told["used_bytes"]
    tap.ok("what it uses is what is there", used <= counted <= used + 64 * 1024, (used, counted))
    rows = [patient("GET", f"/v1/executions/{e}")[1] for e in executions]
    tap.ok("some execution completed", any(r["status"] == "completed" for r in rows), rows[:3])
    strange = [r["error"] for r in rows if r["status"] == "failed"
               and not re.search("interrupted|daemon was away|signal 9", r["error"] or "")]
    tap.ok("none failed for a reason of our own", not strange, strange[:3])
    for e in executions:
        patient("DELETE", f"/v1/executions/{e}")
    tap.equal("it can be deleted", patient("DELETE", f"/v1/volumes/{id}")[0], 200)


def run():
    node.start()
    status, volume = node.call("POST", "/v1/volumes", {"label": "kept"})
    tap.equal("a volume is made", status, 201)
    status, _ = node.call("POST", "/v1/agents", AGENT % (*sys.version_info[:2], volume["id"]))
    tap.equal("an agent is deployed", status, 201)
    executions = work(volume["id"])
    check(volume["id"], executions)
    tap.equal("both end with status 0", node.stop(), [0, 0])
    node.wait_for("that nothing is left on the host", lambda: all(
        node.footprint()[k] == node.before[k] for k in ("processes", "mounts", "cgroups", "workspaces")), seconds=60)
    tap.ok("no process, mount, cgroup or workspace is left", True)


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    print(f"# seed {SEED} (AEGIS_CRASH_SEED)", flush=True)
    try:
        run()
    finally:
        for name in ("aegisd", "helper"):
            if getattr(node, name) and getattr(node, name).poll() is None:
                node.kill(name)
    if tap._failed:
        print(f"# kept: {node.dir}")
    else:
        node.remove()
    node.remove_cgroups()
    tap.done()


if __name__ == "__main__":
    main()
