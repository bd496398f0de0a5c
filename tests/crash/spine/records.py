#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What the kernel saw an agent's programs do, on a whole node: the tree of a call's processes is in
the journal, attributed to execution, iteration and call, and what happened is what is recorded and
what is counted as lost, also over the deaths of the daemon and the helper.

    records.py [emulated]    less of everything, and no ring is filled: that takes too long there
"""

import glob
import hashlib
import json
import os
import signal
import sys
import time

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine"]
import model
import node as nodes
import tap

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: recorded, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Work."}
  security:
    network: {mode: none}
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 1000, memory: 256Mi, timeout: 3600s}
  execution: {iteration_timeout: 3600s}
  tools: [fs.write, cmd.run]
""" % sys.version_info[:2]

# A child that executes, with a grandchild that outlives it and is killed by nobody; one that kills itself.
TREE = """import os, signal, sys
child = os.fork()
if child == 0:
    if os.fork() == 0:
        os._exit(3)
    os.wait()
    os.execv(sys.executable, [sys.executable, "-c", "raise SystemExit(7)", "mark\\u00e9", "x" * 2000])
status = os.waitpid(child, 0)[1]
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGUSR1)
os.wait()
sys.exit(os.WEXITSTATUS(status))
"""
FLOOD = """import os
n = 0
while n < FLOOD_ROUNDS or (n % 100 == 0 and not os.path.exists("/workspace/stop")):
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    n += 1
    if n % 100 == 0 and n >= FLOOD_ROUNDS and not os.path.exists("/workspace/stop"):
        n -= 100
"""
EMULATED = sys.argv[1:] == ["emulated"]
ROUNDS = 500 if EMULATED else 2000
DAEMON, HELPER = ("aegisd", "start_aegisd"), ("helper", "start_helper")
DEATHS = [DAEMON, HELPER] + [DAEMON] * (1 if EMULATED else 6)


# Programs with long arguments until one of them is no more; what is left in the ring then are ends.
STRICT = """import os, sys
for n in range(100000):
    pid = os.posix_spawn("/bin/true", ["true", "y" * 600], {})
    if os.waitpid(pid, 0)[1]:
        os.posix_spawn("/bin/true", ["true"], {})
sys.exit(5)
"""


def answer(messages):
    turn = model.turns(messages)
    if "Work strictly." in json.dumps(messages):
        return [[("fs.write", {"path": "/workspace/strict.py", "content": STRICT})],
                [("cmd.run", {"command": "python3 strict.py"})], "done"][min(turn, 2)]
    return [
        [("fs.write", {"path": "/workspace/tree.py", "content": TREE}),
         ("fs.write", {"path": "/workspace/flood.py", "content": FLOOD.replace("FLOOD_ROUNDS", str(ROUNDS))})],
        [("cmd.run", {"command": "python3 tree.py"})],
        [("cmd.run", {"command": "python3 flood.py"})],
        "done"][min(turn, 3)]


class Journal:
    def __init__(self, node):
        lines = node.audit("export").stdout.splitlines()
        self.records = [json.loads(line) for line in lines]

    def of(self, execution, *kinds):
        return [r for r in self.records if r.get("execution_id") == execution and (not kinds or r["kind"] in kinds)]


def begin(node, agent="recorded"):
    status, body = node.call("POST", "/v1/executions", {"agent_id": agent, "input": {}})
    if status not in (200, 201, 202):
        raise RuntimeError(f"execute {status} {body}\n{node.logs()}")
    return body["execution_id"]


def newest(node, execution):
    tail = node.audit("tail", "-n", "1000", "--execution", execution, "--output", "json").stdout
    return [json.loads(line)["kind"] for line in tail.splitlines()]


def floods(node, execution, after_ns=0):
    """Waits until the journal has processes that ended behind that time."""
    def ended():
        tail = node.audit("tail", "-n", "1000", "--execution", execution, "--output", "json").stdout
        return sum(r["kind"] == "ProcessExited" and r["payload"]["boot_time_ns"] > after_ns
                   for r in map(json.loads, tail.splitlines())) > 200
    node.wait_for("the flood in the journal", ended, seconds=300)


def while_it_writes(node):
    """Returns when the journal has just grown: what it grew by is on its way to the disk, and the kernel
    still has it. The flood sees to it that it grows; a moment that was missed is no harm."""
    newest = max(glob.glob(f"{node.data}/audit/*.journal"))
    size, until = os.stat(newest).st_size, time.monotonic() + 5
    while os.stat(newest).st_size == size and time.monotonic() < until:
        time.sleep(0.0001)


def finish(node, execution):
    """Lets the flood end, and waits for all that is to come of the execution."""
    with open(f"{node.state}/workspaces/{execution}/stop", "w"):
        pass
    node.wait_for("the kernel's count in the journal", lambda: "KernelCounted" in newest(node, execution), seconds=600)
    return Journal(node)


def tree(execution, journal):
    calls = {r["payload"]["arguments"][-1]: r for r in journal.of(execution, "ProcessExecuted")
             if r["payload"]["path"].startswith("/") and r["payload"]["arguments"]}
    command = calls.get("tree.py")
    tap.ok("the command of a call is on record, with its arguments", command, list(calls))
    if not command:
        return
    call, top = command["call_id"], command["payload"]
    mine = [r for r in journal.of(execution) if r.get("call_id") == call and r["source"] == "kernel"]
    tap.ok("under the id of the call that the store knows", call and any(
        r["source"] == "event" and call in json.dumps(r) for r in journal.of(execution)), command)
    tap.equal("and its iteration", {r["iteration"] for r in mine}, {1})

    def kids(process):
        return [r for r in mine if r["kind"] == "ProcessForked" and r["payload"]["parent_pid"] == process["pid"]
                and r["payload"]["parent_start_ns"] == process["start_ns"]]

    def after(fork, kind):
        return [r["payload"] for r in mine if r["kind"] == kind and r["payload"]["pid"] == fork["payload"]["pid"]
                and r["payload"]["start_ns"] == fork["payload"]["start_ns"]]
    children = kids(top)
    tap.equal("its two children are", len(children), 2)
    executed = after(children[0], "ProcessExecuted")
    tap.equal("the first executed a program", len(executed), 1)
    arguments = executed[0]["arguments"]
    tap.equal("whose arguments are on record", arguments[1:4], ["-c", "raise SystemExit(7)", "mark\u00e9"])
    tap.ok("as far as there is room, and it is said", executed[0]["arguments_cut"]
           and executed[0]["arguments_bytes"] > 2000 and arguments[4].strip("x") == "", arguments)
    tap.ok("with the file that was executed", executed[0]["inode"] == os.stat("/usr/bin/python3").st_ino,
           executed)
    with open("/usr/bin/python3", "rb") as f:
        tap.equal("and its hash, which was read after the fact", (executed[0].get("hash"), executed[0].get("hash_of")),
                  (hashlib.blake2b(f.read(), digest_size=32).hexdigest(), "after"))
    tap.equal("it ended with 7", [e["status"] for e in after(children[0], "ProcessExited")], [7])
    grandchildren = kids(children[0]["payload"])
    tap.equal("its child ended with 3", [[e["status"] for e in after(g, "ProcessExited")] for g in grandchildren], [[3]])
    tap.equal("the second child was killed by its signal",
              [e.get("signal") for e in after(children[1], "ProcessExited")], [signal.SIGUSR1])


def running(script):
    """Processes that run a script of that name."""
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and nodes.read(f"/proc/{pid}/cmdline").endswith(
        f"\0{script}\0")]


def strict(node):
    """The daemon stands still, so nobody empties the ring: who makes what cannot be recorded is killed."""
    status, body = node.call("POST", "/v1/agents", MANIFEST.replace("name: recorded", "name: strictly").replace(
        '"Work."', '"Work strictly."').replace("security:", "security:\n    recording: strict"))
    if status not in (200, 201):
        raise RuntimeError(f"deploy {status} {body}")
    execution = begin(node, "strictly")
    node.wait_for("the program", lambda: running("strict.py"), seconds=300)
    node.aegisd.send_signal(signal.SIGSTOP)
    try:
        node.wait_for("the end of who cannot be recorded", lambda: not running("strict.py"), seconds=600)
    finally:
        node.aegisd.send_signal(signal.SIGCONT)
    node.wait_for("the kernel's count in the journal", lambda: "KernelCounted" in newest(node, execution), seconds=600)
    journal = Journal(node)
    tap.equal("strict: nothing is twice", counts("strict", execution, journal, 1), 0)
    counted = journal.of(execution, "KernelCounted")[0]["payload"]
    tap.ok("strict: the count says so", counted["strict"] and counted["killed"] > 0, counted)
    tap.ok("strict: what was lost is what was under way, on a processor each",
           0 < counted["lost"] <= counted["killed"] <= 2 * os.cpu_count(), counted)
    starts = [r["payload"] for r in journal.of(execution, "ProcessExecuted")
              if r["payload"]["arguments"][-1:] == ["strict.py"]]
    ends = [r["payload"] for r in journal.of(execution, "ProcessExited") if starts
            and r["payload"]["pid"] == starts[-1]["pid"] and r["payload"]["start_ns"] == starts[-1]["start_ns"]]
    tap.equal("strict: it was killed, and that is on record", [e.get("signal") for e in ends], [signal.SIGKILL])
    tap.ok("strict: the gap says why", all("who did it was killed" in r["payload"]["reason"]
                                           for r in journal.of(execution, "Gap")), journal.of(execution, "Gap"))


def counts(what, execution, journal, least=ROUNDS):
    """Everything that happened is recorded or lost, and no loss is without a gap."""
    kinds = {"fork": "ProcessForked", "exec": "ProcessExecuted", "exit": "ProcessExited", "ring": "RingCreated",
             "request": "RingRequest"}
    counted = [r["payload"] for r in journal.of(execution, "KernelCounted")]
    tap.equal(f"{what}: one count of all that happened", len(counted), 1)
    happened = counted[0]["happened"]
    recorded, twice, seen = dict.fromkeys(kinds, 0), 0, set()
    for kind, name in kinds.items():
        for record in journal.of(execution, name):
            number = tuple(record["payload"][k] for k in ("cpu", "sequence", "boot_time_ns"))
            twice += number in seen
            recorded[kind] += number not in seen
            seen.add(number)
    gaps = sum(r["payload"]["lost"] for r in journal.of(execution, "Gap"))
    print(f"# happened {happened}, recorded {recorded}, gaps {gaps}")
    tap.equal(f"{what}: recorded + lost = happened", sum(recorded.values()) + gaps, sum(happened.values()))
    tap.equal(f"{what}: the gaps are what the kernel says was lost", gaps, counted[0]["lost"])
    tap.ok(f"{what}: the count is whole", counted[0]["whole"], counted)
    tap.ok(f"{what}: the flood is in it", happened["fork"] >= least and happened["exit"] >= least, happened)
    return twice

def main():
    nodes.as_root_or_skip()
    node = nodes.Node(model.serve(answer))
    try:
        node.start()
        finding = [f for f in node.call("GET", "/v1/doctor")[1]["findings"] if f["id"] == "bpf.tracing"]
        if not finding or finding[0]["level"] == "not_covered":
            tap.skip_all(f"this kernel does not record: {finding}")
        status, body = node.call("POST", "/v1/agents", MANIFEST)
        if status not in (200, 201):
            raise RuntimeError(f"deploy {status} {body}\n{node.logs()}")
        execution = begin(node)
        floods(node, execution)
        journal = finish(node, execution)
        tree(execution, journal)
        tap.equal("no record is there twice", counts("undisturbed", execution, journal), 0)

        execution = begin(node)
        floods(node, execution)
        for victim, start in DEATHS:
            while_it_writes(node)
            node.kill(victim)
            time.sleep(0.3)  # meanwhile the flood goes on, however far
            getattr(node, start)()
            floods(node, execution, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        tap.equal("nor over many deaths", counts("over many deaths", execution, finish(node, execution)), 0)
        if EMULATED:
            tap.skip("strict", "to fill the ring takes too long in an emulated guest; bpf/record tries it there")
        else:
            strict(node)
        tap.equal("the journal holds", node.audit("verify").returncode, 0)
    finally:
        codes = node.stop()
        if tap._failed:
            print("# " + node.logs(200).replace("\n", "\n# "))
    tap.equal("both end politely", codes, [0, 0])
    node.remove_cgroups()
    node.remove()
    tap.done()


main()
