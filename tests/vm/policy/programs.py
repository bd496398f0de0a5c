#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What an operator's policy says of programs and files, in a whole node, by effect: what is forbidden does not come
about by any way, the record names the policy, doctor and status say the same, a stricter policy holds in a running
sandbox, and one that the kernel cannot check lets no execution begin. On a kernel without BPF LSM the doctor must
say that none of it is prevented, and the status, too."""

import json
import os
import sys

sys.path[:0] = [os.path.join(os.environ["AEGIS_SOURCE"], "tests", d) for d in ("", "integration/spine")]
import model
import node as nodes
import tap

nodes.as_root_or_skip()
HERE = os.path.dirname(os.path.abspath(__file__))
with open(HERE + "/inside.py", encoding="utf-8") as source:
    SCRIPT = source.read()
MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: programs, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Try."}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 1000, memory: 256Mi, timeout: 600s}
  tools: [fs.write, cmd.run]
""" % sys.version_info[:2]
NAMED = """@id("no-wc") forbid (principal, action == Action::"exec", resource == Path::"/usr/bin/wc");
@id("no-tac") forbid (principal, action == Action::"exec", resource) when { resource in Path::"/bin/tac" };
@id("no-release") forbid (principal, action == Action::"fs:read", resource) when { resource.path like "/usr/lib/os-rel*" };
@id("wordy") forbid (principal, action == Action::"exec", resource) when { context.command.args.contains("--wordy") };
"""
LISTED = """@id("the-list") forbid (principal, action == Action::"exec", resource)
unless { resource in [Path::"/usr/bin/python3", Path::"/usr/bin/head"] };
"""
STRICTER = """@id("no-nl") forbid (principal, action == Action::"exec", resource == Path::"/usr/bin/nl");
@id("no-debconf") forbid (principal, action == Action::"fs:read", resource in Path::"/usr/share/debconf");
"""
BEYOND = """
@id("tmp") forbid (principal, action == Action::"exec", resource in Path::"/tmp");
"""
# What comes about under NAMED; the rest does not.
HARMLESS = {"another program runs", "a copy of another program runs", "another file is read"}

part = ["named"]
output = []
paths = {}  # of denials: the number of a record about each


def answer(messages):
    turn = model.turns(messages)
    if turn == 0:
        return [("fs.write", {"path": "/workspace/inside.py", "content": SCRIPT})]
    if turn == 1:
        return [("cmd.run", {"command": f"python3 inside.py {part[0]}"})]
    if turn == 2:
        output.append(messages[-1].get("content", ""))
    return "done"


def write_policy(node, name, text):
    with open(f"{node.dir}/policy.d/{name}.cedar", "w", encoding="utf-8") as f:
        f.write(text)


def reload(node):
    status, body = node.call("POST", "/v1/policy/reload", timeout=120)
    tap.equal("the policies are read again", status, 200) or print(f"# {body}")


def begin(node, which):
    part[0] = which
    del output[:]
    status, body = node.call("POST", "/v1/executions", {"agent_id": "programs", "input": {}})
    tap.ok(f"{which}: an execution begins", status in (200, 201, 202), body)
    return body["execution_id"]


def end(node, execution):
    """Its status, and what the script said."""
    found = []

    def over():
        found[:] = [node.call("GET", f"/v1/executions/{execution}")[1]]
        return found[0]["status"] in ("completed", "failed", "cancelled", "timed_out")
    node.wait_for("the end of the execution", over, seconds=600)
    text = output[0] if output else ""
    try:
        text = json.loads(text).get("stdout", text)
    except ValueError:
        pass
    said = {}
    for line in text.splitlines():
        if line.startswith("{"):
            said.update(json.loads(line))
    if not said:
        print("# " + (text + node.logs()).replace("\n", "\n# "))
    return found[0], said


def denials(node, execution):
    """{policy: hooks} of the journal's records, once it has the end; paths holds what they are about."""
    found = {}
    paths.clear()
    node.journal_of(execution)
    records = node.audit("tail", "-n", "1000", "--execution", execution, "--kind", "KernelDenied", "--output", "json")
    for r in map(json.loads, records.stdout.splitlines()):
        found.setdefault(r["payload"]["policy_id"], set()).add(r["payload"]["hook"])
        paths.setdefault(r["payload"].get("path"), r["number"])
    return found


def check_named(node, prevented):
    execution = begin(node, "named")
    status, said = end(node, execution)
    tap.equal("all was tried", len(said), 15)
    for name, came_about in said.items():
        if name in HARMLESS or prevented:
            tap.equal(f"named: {name}", came_about, name in HARMLESS)
    tap.equal("the status says how programs are confined", status["program_access"].split(":")[0],
              "decided" if prevented else "confined to the sandbox's mounts")
    if prevented:
        found = denials(node, execution)
        tap.ok("the record names the policy of a program", "exec" in found.get("no-wc", ()), found)
        tap.ok("that it may not be read either is on record", "open" in found.get("no-wc", ()), found)
        tap.ok("and of one that it names by a link", "exec" in found.get("no-tac", ()), found)
        tap.equal("and of a file", found.get("no-release"), {"open"})
        tap.ok("with the path of the file", {"/usr/bin/wc", "/usr/lib/os-release"} <= set(paths), paths)
        why = node.audit("why", str(paths.get("/usr/bin/wc", 0)))
        tap.ok("aegis-audit says why", why.returncode == 0 and "no-wc" in why.stdout, why.stdout + why.stderr)
    else:
        tap.ok("what nothing prevents comes about", said.get("a forbidden program runs"), said)


def check_listed(node):
    write_policy(node, "list", LISTED)
    reload(node)
    execution = begin(node, "listed")
    _, said = end(node, execution)
    tap.equal("what comes about under a list", said, {
        "what is on the list runs": True, "the agent's interpreter runs": True, "what is not on the list runs": False,
        "a copy of what is on the list runs": False, "by the loader": False, "from memory": False,
        "a script of its own runs": False})
    found = denials(node, execution)
    tap.ok("the record names the policy that made the list", "exec" in found.get("the-list", ()), found)
    os.unlink(node.dir + "/policy.d/list.cedar")
    reload(node)


def check_tightened(node):
    execution = begin(node, "tightened")
    node.wait_for("the program that is permitted",
                  lambda: os.path.exists(f"{node.state}/workspaces/{execution}/ready"), seconds=300)
    node.kill("aegisd")  # what holds goes on to hold, and the next ones take the sandbox up with it
    node.kill("helper")
    node.start()
    write_policy(node, "stricter", STRICTER)
    reload(node)
    _, said = end(node, execution)
    tap.equal("a stricter policy holds in a sandbox that runs, over the death of both daemons", said,
              {"it runs before": True, "it runs again": False, "what was forbidden before runs meanwhile": False,
               "the file is read after": False})
    found = denials(node, execution)
    tap.ok("and is on record", "no-nl" in found and "no-debconf" in found, found)


def check_beyond(node):
    write_policy(node, "beyond", BEYOND)
    reload(node)
    status, _ = end(node, begin(node, "named"))
    tap.equal("what the kernel cannot check lets no execution begin", status["status"], "failed")
    text = json.dumps(status)
    tap.ok("the reason names policy, file and line", "policy 'tmp' of" in text and "beyond.cedar:2" in text, text)
    tap.ok("and why", "cannot foresee" in text, text)


def main():
    node = nodes.Node(model.serve(answer))
    os.mkdir(node.dir + "/policy.d", 0o755)
    write_policy(node, "named", NAMED)
    try:
        node.start()
        findings = {f["id"]: f for f in node.call("GET", "/v1/doctor")[1]["findings"]}
        lsm, programs = findings["bpf.lsm"]["level"], findings["rules.programs"]["level"]
        tap.equal("the doctor claims what BPF LSM gives", programs, lsm)
        prevented = programs == "prevented"
        if os.environ.get("AEGIS_GUEST"):
            tap.ok("in the guest it is prevented", prevented, findings["rules.programs"])
        status, body = node.call("POST", "/v1/agents", MANIFEST)
        tap.ok("the agent is deployed", status in (200, 201), body)
        check_named(node, prevented)
        if prevented:
            check_listed(node)
            check_tightened(node)
            check_beyond(node)
        tap.equal("both end well", node.stop(), [0, 0])
    finally:
        node.stop()
        node.remove_cgroups()
        node.remove()
    tap.done()


if __name__ == "__main__":
    main()
