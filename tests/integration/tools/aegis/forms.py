#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""--output text|table|json|yaml of every verb that prints, against a whole node. A verb that is in neither list below
is a failure: it was added and forgotten here.
"""

import json
import os
import re
import signal
import subprocess
import sys

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine", SOURCE + "/tests/integration/daemon/api"]
import doors
import model
import node as nodes
import tap

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "%s"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Say it."}
"""
# What they print has a form of its own, or they change the host; the other scripts of this folder run them.
ELSEWHERE = {"task cancel", "task diff", "daemon start", "daemon stop", "daemon install", "daemon uninstall", "config generate", "nfs serve", "schema",
             "completion", "help", "policy format", "smcp revoke", "smcp rotate", "policy reload"}
FORMS = ("text", "table", "json", "yaml")

node = doors.Node(model.serve(lambda messages: "done"))


def write(name, text):
    path = f"{node.dir}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def manifest(version="1.0.0", name="worker"):
    return write(f"{name}-{version}.yaml", MANIFEST % (name, version, *sys.version_info[:2]))


def aegis(*arguments):
    done = subprocess.run([nodes.program("aegis"), "--config", node.config, *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    return done.returncode, done.stdout, done.stderr


def parsed(text):
    """As JSON, or as lines of JSON (events)."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def is_form(form, text):
    """Whether that is what the form looks like; for YAML a part that needs no parser."""
    if form == "json":
        try:
            parsed(text)
            return True
        except ValueError:
            return False
    if form == "yaml":
        return text.strip() != "" and not text.lstrip().startswith("{") and "\t" not in text
    return text.strip() != ""


def each_form(verb, code, *arguments):
    """`arguments` may hold a function of the form's number: what cannot be done twice."""
    seen = {}
    for i, form in enumerate(FORMS):
        given = [a(i) if callable(a) else a for a in arguments]
        got, out, err = aegis(*verb.split(), *given, "--output", form)
        seen[form] = out
        tap.ok(f"{verb} --output {form}", got == code and is_form(form, out) and "Sanitizer" not in err,
               f"exit {got}, wanted {code}\nstdout: {out[:600]}\nstderr: {err[:600]}")
    got, _, err = aegis(*verb.split(), *[a(4) if callable(a) else a for a in arguments], "--output", "xml")
    tap.ok(f"{verb} --output xml", got == 2 and "xml" in err, f"exit {got}: {err[:300]}")
    return seen


def made(*arguments):
    """What a verb that makes something says of it."""
    code, out, err = aegis(*arguments, "--output", "json")
    if code != 0:
        sys.exit(f"{arguments}: {err}")
    return json.loads(out)


def volume(_):
    volume.count += 1
    return made("volume", "create", f"made{volume.count}")["id"]


volume.count = 0


def execution(_=None):
    return made("agent", "run", "worker", "--input", "{}")["execution_id"]


def another_agent(i):
    made("agent", "deploy", manifest(name=f"other{i}"))
    return f"other{i}"


def rows(ended):
    folder = node.dir + "/rules"
    other = os.path.dirname(write("others/2.cedar", '@id("none") forbid (principal, action, resource);\n'))
    cases = write("cases.json", json.dumps({"policies": folder, "tests": [
        {"name": "t", "request": {"action": "fs:read", "paths": ["/workspace"]}, "expect": {"decision": "allow"}}]}))
    read = ("--action", "fs:read", "--path", "/workspace/x")
    return [
        ("daemon status", 0), ("agent list", 0), ("agent show", 0, "worker"),
        ("agent deploy", 0, lambda i: manifest(f"1.1.{i}")), ("agent update", 0, "worker", lambda i: manifest(f"1.2.{i}")),
        ("agent run", 0, "worker", "--input", "{}"), ("agent logs", 0, "worker"), ("agent validate", 0, manifest()),
        ("agent pause", 0, "worker"), ("agent resume", 0, "worker"), ("agent remove", 0, another_agent),
        ("task list", 0), ("task status", 0, ended), ("task logs", 0, ended),
        ("task execute", 0, "worker", "--input", "{}"), ("task remove", 0, execution),
        ("volume create", 0, lambda i: f"v{i}"), ("volume list", 0), ("volume show", 0, volume), ("volume usage", 0, volume),
        ("volume delete", 0, volume),
        ("config show", 0), ("config validate", 0, node.config), ("doctor", 0), ("version", 0),
        ("policy list", 0), ("policy show", 0, "current"), ("policy diff", 1, other), ("policy check", 0, folder),
        ("policy validate", 0, folder + "/1.cedar"), ("policy authorize", 0, "--policies", folder, *read),
        ("policy explain", 0, "--policies", folder, *read), ("policy test", 0, cases),
        ("tool list", 0), ("tool servers", 0), ("smcp sessions", 0),
    ]


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    os.mkdir(node.dir + "/rules")
    os.mkdir(node.dir + "/others")
    try:
        os.chmod(node.dir + "/rules", 0o755)
        write("rules/1.cedar", '@id("read") permit (principal, action == Action::"fs:read", resource);\n')
        node.configure("  llm_providers:", f"  policy: {{dir: {node.dir}/rules}}\n  llm_providers:")
        node.start()
        aegis("agent", "deploy", manifest())
        table = rows(execution())
        for verb, code, *arguments in table:
            each_form(verb, code, *arguments)
        known = set(re.findall(r"^  ((?:[a-z]+ )?[a-z]+)  +\S", aegis("help")[1].split("Global options")[0], re.M))
        tap.equal("every verb is tried here or elsewhere", known - {verb for verb, *_ in table} - ELSEWHERE, set())
    finally:
        node.stop()
        node.remove()
        node.remove_cgroups()
    tap.done()


main()
