#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The helper is away while an execution is to end: it is not said to have ended before its sandbox has, and
aegisd stops when it is told to, whatever it waits for."""

import http.client
import os
import signal
import sys
import threading
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine"]
import model
import node as nodes
import tap

AGENT = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: busy, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Stay at work."}
  execution: {mode: one-shot, iteration_timeout: 3000s}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 3000s}
  tools: [cmd.run]
""" % sys.version_info[:2]


def answer(messages):
    return [("cmd.run", {"command": "python3 -c 'import time; time.sleep(3000)'"})]


def at_work(node):
    """The commands of executions; prepared sandboxes wait beside them."""
    return [pid for pid, inside in node.sandbox_processes()
            if inside != 1 and "time.sleep" in nodes.read(f"/proc/{pid}/cmdline")]


def begin(node):
    status, body = node.call("POST", "/v1/executions", {"agent_id": "busy"})
    if status != 202:
        raise RuntimeError(f"start: {status} {body}")
    node.wait_for("the command", lambda: at_work(node))
    return body["execution_id"]


def status_of(node, id):
    return node.call("GET", f"/v1/executions/{id}")[1]["status"]


def cancel(node, id, answers):
    def ask():
        try:
            answers.append(node.call("POST", f"/v1/executions/{id}/cancel?force=true", {}, timeout=600)[0])
        except (OSError, http.client.HTTPException):
            answers.append(None)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def comes_back(node):
    """A cancellation waits for the helper."""
    id = begin(node)
    node.kill("helper")
    answers = []
    asked = cancel(node, id, answers)
    time.sleep(2)
    tap.equal("nothing is said to be cancelled that runs", status_of(node, id), "running")
    tap.ok("and it does run", at_work(node))
    node.start_helper()
    node.wait_for("the end", lambda: status_of(node, id) == "cancelled")
    asked.join()
    tap.ok("it is cancelled when the helper is back", 200 in answers or 504 in answers, answers)
    tap.equal("and nothing of it runs", at_work(node), [])
    tap.equal("it ends once", [r["kind"] for r in node.journal_of(id) if r["kind"] in nodes.ENDS],
              ["ExecutionCancelled"])


def stops(node):
    """The daemon is told to stop meanwhile; a reload waits, too."""
    id = begin(node)
    node.kill("helper")
    answers = []
    asked = cancel(node, id, answers)
    node.aegisd.send_signal(signal.SIGHUP)
    time.sleep(1)
    node.aegisd.send_signal(signal.SIGTERM)
    node.wait_for("aegisd's end", lambda: node.aegisd.poll() is not None, seconds=300)
    tap.equal("aegisd stops while the helper is away", node.aegisd.returncode, 0)
    asked.join()
    tap.ok("the cancellation was not confirmed", 200 not in answers, answers)
    node.start_helper()
    node.start_aegisd()
    tap.equal("the execution is taken up", status_of(node, id), "running")
    tap.equal("and can be cancelled", node.call(
        "POST", f"/v1/executions/{id}/cancel?force=true", {}, timeout=300)[0], 200)
    tap.equal("then nothing of it runs", at_work(node), [])


def main():
    nodes.as_root_or_skip()
    node = nodes.Node(model.serve(answer))
    try:
        node.start()
        status, body = node.call("POST", "/v1/agents", AGENT)
        tap.equal("the agent is deployed", status, 201) or print(f"# {body}")
        comes_back(node)
        stops(node)
        tap.equal("both end with status 0", node.stop(), [0, 0])
        left = node.footprint()
        for name in ("processes", "mounts", "cgroups", "sockets"):
            tap.equal(f"no {name} are left", left[name], node.before[name])
    finally:
        for name in ("aegisd", "helper"):
            if getattr(node, name) and getattr(node, name).poll() is None:
                node.kill(name)
        if tap._failed:
            print("# " + node.logs().replace("\n", "\n# "))
        node.remove_cgroups()
        node.remove()
    tap.done()


if __name__ == "__main__":
    main()
