#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The verbs of agents and executions against a whole node: exit codes, forms of output, messages."""

import json
import os
import signal
import subprocess
import sys
import time

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine", SOURCE + "/tests/integration/daemon/api"]
import doors
import model
import node as nodes
import tap

FILES = {False: "neither decided nor recorded per operation", True: "decided and recorded"}  # where mediated
NOBODY = "00000000-0000-4000-8000-000000000000"
MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: worker, version: "%s"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Say %s."}
  input_schema: {type: object}
"""


def answer(messages):
    if "wait" in str(messages):
        time.sleep(20)
    if "scribble" in str(messages) and model.turns(messages) == 0:
        return [("fs.write", {"path": "/workspace/note.txt", "content": "12345"})]
    return "fail not" if "fail" not in str(messages) else "done"


node = doors.Node(model.serve(answer))


def write(name, text):
    path = f"{node.dir}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def manifest(version="1.0.0", word="done", more=""):
    return write("agent.yaml", MANIFEST % (version, *sys.version_info[:2], word) + more)


def run(name, arguments, code, out="", err="", where=()):
    """One command; one test: its exit code, and words of what it prints. Its standard output."""
    where = where or ("--config", node.config)
    done = subprocess.run([nodes.program("aegis"), *where, *arguments], capture_output=True, text=True, timeout=120)
    good = done.returncode == code and out in done.stdout and err in done.stderr
    good = good and (code == 0 or done.stderr.strip()) and "Sanitizer" not in done.stderr
    tap.ok(name, good, f"exit {done.returncode}, wanted {code}\nstdout: {done.stdout[:800]}\nstderr: {done.stderr[:800]}")
    return done.stdout


def forms(verb, arguments, word):
    """Every form of output carries the word, and JSON is JSON."""
    for form in ("text", "table", "json", "yaml"):
        text = run(f"{verb} --output {form}", [*arguments, "--output", form], 0, out=word)
        if form == "json":
            try:
                json.loads(text)
                tap.ok(f"{verb}: it is JSON", True)
            except ValueError as e:
                tap.ok(f"{verb}: it is JSON", False, f"{e}\n{text[:400]}")
    run(f"{verb} --output xml", [*arguments, "--output", "xml"], 2, err="xml")


def agents():
    run("deploy", ["agent", "deploy", manifest()], 0, out="worker")
    run("deploy again", ["agent", "deploy", manifest()], 0, out="unchanged")
    run("the version with other content", ["agent", "deploy", manifest(word="more")], 4, err="1.0.0")
    run("with --force", ["agent", "deploy", manifest(word="more"), "--force"], 0)
    run("a mistyped key", ["agent", "deploy", write("bad.yaml", "apiVersion: 100monkeys.ai/v1\nkynd: Agent\n")], 2, err="kynd")
    run("a file that is not there", ["agent", "deploy", node.dir + "/none.yaml"], 1, err="none.yaml")
    run("update", ["agent", "update", "worker", manifest("1.1.0")], 0)
    run("nobody", ["agent", "show", "nobody"], 1, err="nobody")
    forms("agent list", ["agent", "list"], "worker")
    forms("agent show", ["agent", "show", "worker"], "worker")
    run("pause", ["agent", "pause", "worker"], 0)
    run("a paused agent", ["agent", "run", "worker"], 4)
    run("resume", ["agent", "resume", "worker"], 0)


def tasks():
    text = run("run", ["agent", "run", "worker", "--input", "{}"], 0)
    tap.ok("its output is the run's", "fail not" in text, text)
    run("run --follow", ["agent", "run", "worker", "--input", "{}", "--follow"], 0, out="ompleted")
    run("input that the schema refuses", ["agent", "run", "worker", "--input", "3"], 2)
    started = json.loads(run("execute", ["task", "execute", "worker", "--input", "{}", "--output", "json"], 0))
    id = started["execution_id"]
    run("logs --follow ends", ["task", "logs", id, "--follow"], 0, out="ompleted")
    run("logs --follow again", ["task", "logs", id, "--follow"], 0, out="ompleted")
    forms("task status", ["task", "status", id], "completed")
    run("task status tells how files are reached", ["task", "status", id], 0, out=FILES[node.mediates()])
    forms("task list", ["task", "list"], "completed")
    run("cancel of what has ended", ["task", "cancel", id], 4)
    run("cancel of nobody", ["task", "cancel", NOBODY], 1)
    waiting = json.loads(run("execute", ["task", "execute", "worker", "--input", '{"wait": 1}', "--output", "json"], 0))
    run("remove of a run", ["task", "remove", waiting["execution_id"]], 4)
    run("cancel", ["task", "cancel", waiting["execution_id"]], 0)
    run("remove", ["task", "remove", id], 0)
    run("it is gone", ["task", "status", id], 1, err=id)
    tap.ok("from the list, too", id not in run("list", ["task", "list", "--output", "json"], 0))
    run("remove of what is gone", ["task", "remove", id], 1)
    kinds = [r["kind"] for r in node.journal_of(id, ("ExecutionRemoved",))]
    tap.ok("what it did stays in the journal, and the removal", "ExecutionStarted" in kinds
           and kinds.count("ExecutionRemoved") == 1, kinds)
    run("status of nobody", ["task", "status", NOBODY], 1)


def changes():
    tools = ("  security: {filesystem: {read: [/workspace], write: [/workspace]}}\n"
             "  tools: [fs.write]\n")
    text = run("a run that writes", ["agent", "run", manifest("1.2.0", "scribble", tools), "--input", "{}",
                                     "--output", "json"], 0)
    id = json.loads(text)["execution_id"]
    run("task diff", ["task", "diff", id], 0, out="A  note.txt  5 bytes\n")
    run("task diff since what it left", ["task", "diff", id, "--since", "1"], 0)
    forms("task diff", ["task", "diff", id], "note.txt")
    run("task diff since no iteration", ["task", "diff", id, "--since", "x"], 2, err="--since x")
    run("task diff of nobody", ["task", "diff", NOBODY], 1)


def volumes():
    """A volume below /workspace, and what is said of the agent that names it."""
    made = json.loads(run("a volume", ["volume", "create", "models", "--output", "json"], 0))
    text = manifest("1.3.0", "scribble", "  security: {filesystem: {read: [/workspace], write: [/workspace]}}\n"
                    "  tools: [fs.write]\n  volumes: [{name: models, storage_class: persistent, mount_path: /workspace/models, access_mode: read-write, "
                    f"source: {{volume_id: {made['id']}}}}}]\n")
    id = json.loads(run("a run with a volume", ["agent", "run", text, "--input", "{}", "--output", "json"], 0))["execution_id"]
    tap.equal("task diff leaves the place of the volume out", run("task diff", ["task", "diff", id], 0), "A  note.txt  5 bytes\n")
    for name in ("models", made["id"]):
        run("a volume that a deployed agent names is kept", ["volume", "delete", name], 4, err="worker")
    run("unless it is meant", ["volume", "delete", "models", "--force"], 0)
    run("then it is gone", ["volume", "show", "models"], 1)


def names():
    """What is not there may be misspelt or cut off."""
    id = json.loads(run("list", ["task", "list", "--limit", "1", "--output", "json"], 0))[0]["id"]
    run("task list names the agent", ["task", "list", "--limit", "1"], 0, out="worker")
    run("task status, too", ["task", "status", id], 0, out="agent_name     worker\n")
    for verb in (["agent", "show"], ["agent", "run"], ["agent", "logs"], ["task", "execute"]):
        run(" ".join(verb) + " of a slip", [*verb, "wroker"], 1, err="did you mean worker?")
    run("task list of a slip", ["task", "list", "--agent", "wroker"], 1, err="did you mean worker?")
    run("agent show of nothing like it", ["agent", "show", "zzzzzzzz"], 1, err="see: aegis agent list")
    run("a size that is none", ["volume", "create", "models", "--size", "10X"], 2, err="accepted: a number of bytes, or one such as 512Mi")
    run("a volume", ["volume", "create", "models", "--size", "64Mi"], 0)
    run("has its size", ["volume", "usage", "models"], 0, out="67108864")
    run("volume show of a slip", ["volume", "show", "modles"], 1, err="did you mean models?")
    for verb in (["task", "status"], ["task", "logs"], ["task", "diff"], ["task", "cancel"]):
        run(" ".join(verb) + " of the beginning of an id", [*verb, id[:13]], 1, err=f"{id}")
    run("task status of nobody", ["task", "status", NOBODY], 1, err="see: aegis task list")
    run("volume delete", ["volume", "delete", "models"], 0)


def levels():
    """What a manifest requires of the host, and how files are reached, is said and obeyed."""
    strict = manifest("2.0.0", more="  require: {files.mediation: prevent}\n")
    if node.mediates():
        run("require: mediated files", ["agent", "run", strict, "--input", "{}"], 0)
    else:
        run("require: what this host does not do", ["agent", "run", strict, "--input", "{}"], 4,
            err="files.mediation must be prevented")
    strict = manifest("2.0.1", more="  require: {no.such.probe: detect}\n")
    run("require: no probe", ["agent", "run", strict, "--input", "{}"], 4, err="no.such.probe")
    able = manifest("2.0.2", more="  require: {sandbox.seccomp: prevent, sandbox.user_namespace: prevent}\n")
    run("require: what is there", ["agent", "run", able, "--input", "{}"], 0)
    run("the node says how files are reached", ["daemon", "status"], 0, out="" if node.mediates() else FILES[False])
    run("and the doctor", ["doctor", "--daemon"], 0, out="files.mediation")
    recording = nodes.read(node.data + "/recording-scripted.jsonl").splitlines()
    tap.ok("record: true keeps the conversations", recording and all(json.loads(line) for line in recording))
    events = node.audit("tail", "-n", "50", "--kind", "InstanceSpawned", "--output", "json").stdout
    tap.ok("and the journal", FILES[node.mediates()] in events, events[-800:])


def ways():
    tcp = ("--host", "127.0.0.1", "--port", str(node.port))
    os.environ["AEGIS_CONFIG_PATH"] = write("other.yaml", nodes.read(node.config).replace(node.data, node.dir + "/other"))
    run("over TCP without the key", ["agent", "list"], 3, where=tcp)
    del os.environ["AEGIS_CONFIG_PATH"]
    run("over TCP with it", ["agent", "list"], 0, out="worker", where=(*tcp, "--config", node.config))
    run("an unknown verb", ["agent", "dance"], 2, err="dance")
    run("an unknown option", ["agent", "list", "--dance"], 2, err="--dance")
    node.stop()
    run("without a daemon", ["agent", "list"], 5)
    run("a server that is none", ["agent", "list"], 10, where=("--host", "127.0.0.1", "--port", str(other), "--config", node.config))


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        node.configure("enabled: true", "enabled: true\n      record: true")
        node.configure("  llm_providers:", "  database: {url: postgresql://u@h/d}\n  llm_providers:")
        node.start()
        node.wait_for("the name of what has no effect yet", lambda: "without effect: spec.database (line " in
                      nodes.read(node.dir + "/aegisd.log"), node.aegisd, 60)
        agents()
        tasks()
        changes()
        volumes()
        names()
        levels()
        ways()
    finally:
        node.stop()
        if tap._failed or sys.exc_info()[0]:
            print("\n".join("# " + line for line in node.logs().splitlines()))
        node.remove()
        node.remove_cgroups()
    tap.done()


other = model.serve(answer)  # answers GET with 501 and a page of its own
if __name__ == "__main__":
    main()
