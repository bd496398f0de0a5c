#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""policy.d and security contexts on a whole node: loaded at start, again on SIGHUP and on demand, a bad set refused
with its place; what runs goes over to the new set, over a kill too; the verbs of `aegis policy`."""

import json
import os
import signal
import subprocess
import sys
import time

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine"]
import model
import node as nodes
import tap

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: 1.0.0}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Wait."}
  security: {filesystem: {read: [/workspace], write: [/workspace]}}
  tools: ["fs.read", "fs.write"]
  security_context: %s
"""
CONTEXTS = """  security_contexts:
    - name: reader
      capabilities: [{tool_pattern: "fs.*", path_allowlist: [/workspace/in]}]
      deny_list: [fs.write]
    - name: all
      capabilities: [{tool_pattern: "*"}]
"""
KEYS = '@id("no-keys")\nforbid (principal, action in Action::"fs", resource)\nwhen { resource.name like "*.key" };\n'
WEB = 'action "tool:web.fetch" in ["tool"] appliesTo { principal: Execution, resource: Tool, context: ToolCall };\n'
USE = '@id("web")\npermit (principal, action == Action::"tool:web.fetch", resource);\n'


def answer(messages):
    time.sleep(30)
    return "done"


node = nodes.Node(model.serve(answer))
folder = node.dir + "/policy.d"


def write(name, text):
    path = f"{node.dir}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def run(name, arguments, code, out="", err=""):
    done = subprocess.run([nodes.program("aegis"), "--config", node.config, *arguments], capture_output=True, text=True,
                          timeout=120)
    good = done.returncode == code and out in done.stdout and err in done.stderr and "Sanitizer" not in done.stderr
    tap.ok(name, good, f"exit {done.returncode}, wanted {code}\nstdout: {done.stdout[:1500]}\nstderr: {done.stderr[:1500]}")
    return done.stdout


def policies(member="items"):
    return node.call("GET", "/v1/policy")[1][member]


def ids():
    return [p["id"] for p in policies()]


def offline():
    manifest = write("agent.yaml", MANIFEST % ("worker", *sys.version_info[:2], "reader"))
    run("check", ["policy", "check"], 0, out="1 policies, 2 security contexts")
    run("check of a folder that is not there", ["policy", "check", node.dir + "/none"], 1, err="none")
    run("a context within another", ["policy", "check", "--context", "reader", "--within", "all"], 0, out="is within")
    run("and the other way", ["policy", "check", "--context", "all", "--within", "reader"], 3, out="not within reader: *")
    with_agent = ["--manifest", manifest]
    run("a path below the context", ["policy", "authorize", *with_agent, "--action", "fs:read", "--path", "in/a"], 0,
        out="allow")
    run("a path that only the manifest allows", ["policy", "authorize", *with_agent, "--action", "fs:read", "--path",
        "/workspace/a"], 3, out="allowed: /workspace/in")
    run("a path beside the folder", ["policy", "authorize", *with_agent, "--action", "fs:read", "--path",
        "/workspace/inx"], 3)
    run("a path that goes up", ["policy", "authorize", *with_agent, "--action", "fs:read", "--path",
        "/workspace/in/../../etc/passwd"], 2, err="'..'")
    run("a key", ["policy", "explain", *with_agent, "--action", "fs:read", "--path", "in/a.key"], 3, out="* forbid no-keys")
    run("explain: the part that is false", ["policy", "explain", *with_agent, "--action", "fs:read", "--path", "in/a"], 0,
        out='its condition is false: resource.name like "*.key"')
    cases = write("cases.json", json.dumps({"policies": "policy.d", "manifest": "agent.yaml", "tests": [
        {"name": "in", "request": {"action": "fs:read", "paths": ["in/x"]}, "expect": {"decision": "allow"}},
        {"name": "key", "request": {"action": "fs:read", "paths": ["in/x.key"]},
         "expect": {"decision": "deny", "code": 2002, "policy": "no-keys"}}]}))
    run("test", ["policy", "test", cases], 0, out="2 passed, 0 failed")
    failing = write("failing.json", json.dumps({"tests": [
        {"request": {"action": "fs:read", "paths": ["x"]}, "expect": {"decision": "allow"}}]}))
    run("test that fails", ["policy", "test", failing], 3, out="0 passed, 1 failed")
    run("no test at all", ["policy", "test", write("empty.json", '{"tests":[]}')], 2, err="no test in")
    typo = '{"tests":[{"request":{"action":"fs:wriet","paths":["/workspace/a"]},"expect":{"decision":"deny"}}]}'
    run("test of a misspelt action", ["policy", "test", write("typo.json", typo)], 2, err='did you mean "fs:write"?')
    for verb in ("authorize", "explain"):
        run(f"{verb}: a misspelt action", ["policy", verb, "--action", "fs:raed", "--path", "/workspace/a"], 2,
            err='did you mean "fs:read"?')
    for name, accepted in (("fs.raed", "fs.read, fs.write"), ("read", "SERVER.TOOL")):
        run(f"a misspelt tool: {name}", ["policy", "authorize", "--action", "tool:" + name], 2, err=accepted)
    run("a tool of a tool server", ["policy", "authorize", "--action", "tool:web.fetch"], 3)
    run("test that is none", ["policy", "test", write("none.json", '{"tests":[{"expect":{"decision":"yes"}}]}')], 2,
        err='"allow" or "deny"')
    run("validate", ["policy", "validate", folder + "/10-keys.cedar"], 0, out="valid")
    wrong = write("wrong.cedar", 'permit (principal, action == Action::"fs:read", resource)\nwhen { resource.size > 1 };\n')
    run("validate what is not", ["policy", "validate", wrong], 2, out="wrong.cedar:2:8: ")
    run("format --check", ["policy", "format", "--check", folder + "/10-keys.cedar"], 2)
    run("format", ["policy", "format", folder + "/10-keys.cedar"], 0, out="  action in Action::")
    run("the schema", ["schema", "policy"], 0, out="entity Execution in [Agent, Tenant]")


def reloading():
    run("list", ["policy", "list"], 0, out="no-keys")
    run("contexts", ["policy", "list", "--contexts"], 0, out="reader")
    first = node.call("GET", "/v1/policy")[1]["policy_set"]
    write("policy.d/20-web.cedar", USE)
    run("a tool that no schema names", ["policy", "reload"], 2, err="20-web.cedar:2:")
    tap.ok("the old set holds", node.call("GET", "/v1/policy")[1]["policy_set"] == first)
    write("policy.d/20-web.cedarschema", WEB)
    run("with its schema", ["policy", "reload"], 0, out="2 policies")
    tap.ok("the new set holds", ids() == ["no-keys", "web"], str(ids()))
    run("diff", ["policy", "diff", first], 1, out="added web")
    run("show one", ["policy", "show", "current", "web"], 0, out="tool:web.fetch")
    run("show the old one by its hash", ["policy", "show", first], 0, out="no-keys")
    run("show of nothing", ["policy", "show", "0" * 64], 1)
    write("policy.d/20-web.cedar", "permit (")
    node.aegisd.send_signal(signal.SIGHUP)
    node.wait_for("the refusal, with the place",
                  lambda: "20-web.cedar: line 1 column" in nodes.read(node.dir + "/aegisd.log"))
    tap.ok("and keeps the set", ids() == ["no-keys", "web"], str(ids()))
    os.unlink(folder + "/20-web.cedar")
    node.aegisd.send_signal(signal.SIGHUP)
    node.wait_for("the new set", lambda: ids() == ["no-keys"])


def running_set(id):
    return next((r["policy_set"] for r in policies("running") if r["execution_id"] == id), None)


def running():
    run("deploy", ["agent", "deploy", node.dir + "/agent.yaml"], 0)
    started = json.loads(run("execute", ["task", "execute", "worker", "--input", "{}", "--output", "json"], 0))
    id = started["execution_id"]
    mine = running_set(id)
    tap.ok("a running execution has a set of its own", mine and mine != node.call("GET", "/v1/policy")[1]["policy_set"])
    text = run("whose text is kept", ["policy", "show", mine], 0, out="spec.security_contexts.reader")
    tap.ok("with the node's policies and the manifest's", "no-keys" in text and "spec.tools[0]" in text, text)
    write("policy.d/30.cedar", '@id("thirty") forbid (principal, action == Action::"exec", resource);\n')
    run("reload", ["policy", "reload"], 0, out="2 policies")
    then = running_set(id)
    text = run("and what it goes over to", ["policy", "show", then], 0, out="spec.security_contexts.reader")
    tap.ok("is the new policies with the manifest's", then != mine and "thirty" in text and "spec.tools[0]" in text, text)
    node.kill("aegisd")
    node.start_aegisd()
    tap.ok("which it keeps over a kill", running_set(id) == then, str(policies("running")))
    node.kill("aegisd")
    write("policy.d/30.cedar", '@id("thirty-one") forbid (principal, action == Action::"exec", resource);\n')
    node.start_aegisd()
    node.wait_for("the policies that were changed meanwhile", lambda: "thirty-one" in run(
        "show", ["policy", "show", running_set(id)], 0), seconds=30)
    tap.ok("what starts anew has the new set", ids() == ["no-keys", "thirty-one"], str(ids()))
    run("cancel", ["task", "cancel", id, "--force"], 0)
    unknown = write("unknown.yaml", MANIFEST % ("other", *sys.version_info[:2], "nobody"))
    run("a context that the node has not", ["agent", "run", unknown, "--input", "{}"], 4,
        err="no security context 'nobody'")


def bad_start():
    node.stop()
    write("policy.d/40.cedar", "nonsense")
    node.start_helper()
    node.start_aegisd(wait=False)
    try:
        code = node.aegisd.wait(60)
    except subprocess.TimeoutExpired:
        code = None
    tap.ok("no start with bad policies", code == 1 and "40.cedar: line 1 column 1" in nodes.read(node.dir + "/aegisd.log"),
           f"exit {code}\n" + node.logs())


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    os.mkdir(folder, 0o755)
    write("policy.d/10-keys.cedar", KEYS)
    with open(node.config, "a") as f:
        f.write(CONTEXTS)
    try:
        node.start()
        offline()
        reloading()
        running()
        bad_start()
    finally:
        node.stop()
        if tap._failed or sys.exc_info()[0]:
            print("\n".join("# " + line for line in node.logs().splitlines()))
        node.remove()
        node.remove_cgroups()
    tap.done()


if __name__ == "__main__":
    main()
