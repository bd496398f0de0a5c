#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Two agents side by side, each under policies of its own: each reaches the port that its manifest names and not the
other's, and executes what is forbidden to the other and not to it. Both are at it at the same time, in a whole node;
what was sent is looked for outside. Without BPF LSM nothing is said of programs."""

import json
import os
import socket
import sys
import threading

sys.path[:0] = [os.path.join(os.environ["AEGIS_SOURCE"], "tests", d) for d in ("", "integration/spine")]
import model
import node as nodes
import outside
import tap

nodes.as_root_or_skip()
HERE = os.path.dirname(os.path.abspath(__file__))
with open(HERE + "/two_inside.py", encoding="utf-8") as source:
    SCRIPT = source.read()
ADDRESS = "93.184.216.2"
PORTS = {"one": 8080, "two": 8081}
FORBIDDEN = {"one": "/usr/bin/wc", "two": "/usr/bin/nl"}
MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Be agent %s."}
  security:
    network: {mode: allow, allowlist: ["%s:%d"]}
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 1000, memory: 256Mi, timeout: 900s}
  tools: [fs.write, cmd.run]
"""
arrived = set()
output = {}


def answer(messages):
    name = next(n for n in PORTS if f"Be agent {n}." in json.dumps(messages))
    turn = model.turns(messages)
    if turn == 0:
        return [("fs.write", {"path": "/workspace/inside.py", "content": SCRIPT})]
    if turn == 1:
        ports = " ".join(str(p) for p in PORTS.values())
        return [("cmd.run", {"command": f"python3 inside.py {name} {ADDRESS} {ports}"})]
    if turn == 2:
        output[name] = messages[-1].get("content", "")
    return "done"


def listen(fd, port):
    listener = outside.in_outside(fd, lambda: socket.create_server((ADDRESS, port)))

    def serve():
        while True:
            c, _ = listener.accept()
            with c:
                text = b""
                while part := c.recv(100):
                    text += part
                arrived.update(t for t in text.decode("ascii", "replace").split(";") if t)
    threading.Thread(target=serve, daemon=True).start()


def said_by(name):
    text = output.get(name, "")
    try:
        text = json.loads(text).get("stdout", text)
    except ValueError:
        pass
    return next((json.loads(line) for line in text.splitlines() if line.startswith("{")), {})


def start_agent(node, name):
    status, body = node.call("POST", "/v1/agents", MANIFEST % (name, *sys.version_info[:2], name, ADDRESS, PORTS[name]))
    tap.ok(f"{name} is deployed", status in (200, 201), body)
    status, body = node.call("POST", "/v1/executions", {"agent_id": name, "input": {}})
    tap.ok(f"{name} begins", status in (200, 201, 202), body)
    return body["execution_id"]


def check(node, executions, prevented):
    def place(name, file):
        return f"{node.state}/workspaces/{executions[name]}/{file}"

    def all_have(file):
        return lambda: all(os.path.exists(place(n, file)) for n in executions)

    def tell(file):
        for name in executions:
            with open(place(name, file), "w", encoding="ascii"):
                pass
    node.wait_for("both agents", all_have("ready"), seconds=600)
    tell("go")
    node.wait_for("what both do", all_have("done"), seconds=600)
    tell("end")
    for name, execution in executions.items():
        node.wait_for(f"the end of {name}", lambda e=execution: node.call("GET", f"/v1/executions/{e}")[1]["status"]
                      in ("completed", "failed", "cancelled", "timed_out"), seconds=300)
    node.wait_for("what was sent", lambda: {f"{n} at {p}" for n, p in PORTS.items()} <= arrived)
    tap.equal("each reaches its own port, and no other", arrived, {f"{n} at {p}" for n, p in PORTS.items()})
    for name in executions:
        said = said_by(name)
        if not prevented:
            tap.skip(f"{name} executes what is forbidden to the other alone", "no BPF LSM on this kernel")
            continue
        tap.equal(f"{name} executes what is forbidden to the other alone", said,
                  {path: [path != FORBIDDEN[name]] for path in FORBIDDEN.values()})


def main():
    fd = outside.make_node()
    for port in PORTS.values():
        listen(fd, port)
    node = nodes.Node(model.serve(answer), helper_options=["--network-range", "10.232.0.0/19"])
    os.mkdir(node.dir + "/policy.d", 0o755)
    with open(node.dir + "/policy.d/two.cedar", "w", encoding="utf-8") as f:
        for name, path in FORBIDDEN.items():
            f.write(f'@id("not-{name}") forbid (principal in Agent::"{name}", action == Action::"exec", '
                    f'resource == Path::"{path}");\n')
    try:
        node.start()
        findings = {f["id"]: f for f in node.call("GET", "/v1/doctor")[1]["findings"]}
        prevented = findings["rules.programs"]["level"] == "prevented"
        if os.environ.get("AEGIS_GUEST"):
            tap.ok("in the guest programs are prevented", prevented, findings["rules.programs"])
        check(node, {name: start_agent(node, name) for name in PORTS}, prevented)
        tap.equal("both daemons end well", node.stop(), [0, 0])
    finally:
        node.stop()
        node.remove_cgroups()
        node.remove()
    tap.done()


if __name__ == "__main__":
    main()
