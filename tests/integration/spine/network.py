#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Agents with network on a whole node: what a manifest and an operator's policy say is what the
kernel lets through, and what it denied is in the journal. A web server and a resolver
stand outside."""

import http.client
import http.server
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests", os.path.dirname(os.path.abspath(__file__))]
import model
import node as nodes
import outside
import tap

WEB, NAMES = ("93.184.216.2", 8080), ("93.184.216.2", 53)
visits = []
ran = []  # executions
on_visit = {}  # path: what happens before the answer


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        visits.append(self.path)
        on_visit.get(self.path, lambda: None)()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from outside")

    def log_message(self, *_):
        pass


def serve_names(s):
    """Every name of example.test is the web server's; the rest does not exist."""
    while True:
        q, peer = s.recvfrom(2048)
        end = q.index(b"\0", 12) + 5
        known = q[12:end - 4].lower().endswith(b"\x07example\x04test\x00")
        is_a = q[end - 4:end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 60, 4) + socket.inet_aton(WEB[0])
        s.sendto(q[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, known and is_a, 0, 0)
                 + q[12:end] + (answer if known and is_a else b""), peer)


def open_outside(fd):
    web = outside.in_outside(fd, lambda: http.server.ThreadingHTTPServer(WEB, Web))
    names = outside.in_outside(fd, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    names.bind(NAMES)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    threading.Thread(target=serve_names, args=(names,), daemon=True).start()


FETCH = """import sys, urllib.request
for path in sys.argv[2:]:
    try:
        print(urllib.request.urlopen(f"http://{sys.argv[1]}:8080/{path}", timeout=4).read().decode())
    except OSError as e:
        print("failed:", getattr(e, "reason", e))
"""
# Each connect is denied once, and at once.
DENIALS = 5000
FLOOD = """import socket
for i in range(%d):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("203.0.113.9", 9))
        except PermissionError:
            pass
""" % DENIALS
HOSTS = ["93.184.216.2 address", "www.example.test name", "secret.example.test secret",
         "elsewhere.test elsewhere", "10.231.0.1 gateway"]

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Fetch."}
  security:
    network: %s
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 1200s}
  tools: [fs.read, fs.list, fs.write, cmd.run]
"""
# A tool server that goes out before it answers: by an address, which is not on its list, and by a name.
SERVER = """import json, sys, urllib.request
for url in ("http://93.184.216.2:8080/server-address", "http://www.example.test:8080/server-name"):
    try:
        urllib.request.urlopen(url, timeout=4).read()
    except OSError:
        pass
for line in sys.stdin:
    q = json.loads(line)
    results = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {}}}
    if "id" in q:
        print(json.dumps({"jsonrpc": "2.0", "id": q["id"], "result": results.get(q["method"], {})}), flush=True)
"""
SERVERS = [{"name": "goes-out", "executable": "python", "args": ["-c", SERVER],
            "network_allowlist": ["www.example.test:8080"]}]
NOT_8080 = """@id("no-web")
forbid (principal, action == Action::"net:connect", resource) when { context.port == 8080 };
"""
NO_READ = """@id("no-read")
forbid (principal, action == Action::"tool:fs.read", resource);
"""


def answer(messages):
    turn = model.turns(messages)
    if turn == 0:
        return [("fs.write", {"path": "/workspace/fetch.py", "content": FETCH}),
                ("fs.write", {"path": "/workspace/flood.py", "content": FLOOD})]
    if turn <= len(HOSTS) and HOSTS[turn - 1] in on_visit:
        on_visit[HOSTS[turn - 1]]()
        return [("fs.list", {"path": "/workspace"})]
    if turn <= len(HOSTS) and HOSTS[turn - 1].startswith("!"):
        return [("cmd.run", {"command": HOSTS[turn - 1][1:]})]
    if turn <= len(HOSTS) and HOSTS[turn - 1] == "READ":
        return [("fs.read", {"path": "/workspace/fetch.py"})]
    if turn <= len(HOSTS) and HOSTS[turn - 1] == "FLOOD":
        return [("cmd.run", {"command": "python3 flood.py"})]
    if turn <= len(HOSTS):
        return [("cmd.run", {"command": "python3 fetch.py " + HOSTS[turn - 1]})]
    return "done"


def status_of(node, execution):
    """None while nobody answers."""
    try:
        return node.call("GET", f"/v1/executions/{execution}")[1]["status"]
    except (OSError, http.client.HTTPException):
        return None


def run(node, name, network):
    """Runs an agent that asks for each host in turn, and returns what reached the web server, how the
    execution ended, and the kernel's records of it."""
    visits.clear()
    status, body = node.call("POST", "/v1/agents", MANIFEST % (name, *sys.version_info[:2], network))
    if status not in (200, 201):
        raise RuntimeError(f"deploy {status} {body}\n{node.logs()}")
    status, body = node.call("POST", "/v1/executions", {"agent_id": name, "input": {}})
    if status not in (200, 201, 202):
        raise RuntimeError(f"execute {status} {body}\n{node.logs()}")
    execution = body["execution_id"]
    ran.append(execution)
    node.wait_for("the execution's end", lambda: status_of(node, execution)
                  in ("completed", "failed", "cancelled"), seconds=240)
    end = node.call("GET", f"/v1/executions/{execution}")[1]["status"]
    kernel = [r for r in node.journal_of(execution) if r["source"] == "kernel"]
    return list(visits), end, kernel


def reload(node, text):
    """The operator's policies become `text`, at once."""
    with open(node.dir + "/policy.d/one.cedar", "w") as f:
        f.write(text)
    status, body = node.call("POST", "/v1/policy/reload")
    if status != 200:
        raise RuntimeError(f"reload {status} {body}")


def running(node):
    """Policies that change while a sandbox runs: each answer of the web server comes after a change."""
    on_visit["/tighten"] = lambda: reload(node, NOT_8080 + NO_READ)
    on_visit["/last"] = lambda: reload(node, "")
    hosts = list(HOSTS)
    HOSTS[:] = ["93.184.216.2 address tighten tightened", "READ", "LOOSEN", "93.184.216.2 loosened last"]
    on_visit["LOOSEN"] = lambda: reload(node, NO_READ)
    seen, end, kernel = run(node, "running", '{mode: allow, allowlist: ["93.184.216.2:8080"]}')
    HOSTS[:] = hosts
    tap.equal("a policy that is tightened holds from the next connection on, and one that is loosened, too",
              (seen, end), (["/address", "/tighten", "/loosened", "/last"], "completed"))
    tap.ok("the denial names the policy", any(r["kind"] == "NetworkDenied" and r["payload"]["policy_id"] == "no-web"
           for r in kernel), kernel)
    lines = node.audit("tail", "-n", "1000", "--output", "json").stdout.splitlines()
    events = [e for e in map(json.loads, lines) if e["kind"] in ("ExecutionPolicyChanged", "ToolPolicyViolation")]
    kinds = [e["kind"] for e in events]
    tap.equal("each change of the execution's set is on record", kinds.count("ExecutionPolicyChanged"), 3)
    tap.ok("and the file tool was denied by it", any(e["kind"] == "ToolPolicyViolation" and "no-read" in json.dumps(e)
           for e in events), events)


def leased(node):
    """What one call may reach, and only it; its lease is on record with the call's id."""
    hosts = list(HOSTS)
    HOSTS[:] = ["93.184.216.2 leased", "!env python3 fetch.py 93.184.216.2 other-program",
                "www.example.test name", "!env python3 fetch.py www.example.test other-program"]
    seen, end, kernel = run(node, "leased", """{mode: none}
    leases: [{programs: [python3], destinations: ["93.184.216.2:8080", "www.example.test:8080"]}]""")
    HOSTS[:] = hosts
    tap.equal("calls of the program that has a lease reach its destinations, other calls reach nothing", (seen, end),
              (["/leased", "/name"], "completed"))
    opened, ended = ([r for r in kernel if r["kind"] == k] for k in ("LeaseOpened", "LeaseEnded"))
    tap.equal("each call has the rules of its own on record, and their end",
              [[r["payload"]["call_program"] for r in opened], [r["payload"]["reason"] for r in ended]],
              [["python3", "env", "python3", "env"], ["its result came"] * 4])
    tap.equal("with the call's id", [r.get("call_id") for r in opened], [r.get("call_id") for r in ended])
    commands = [r for r in node.journal_of(ran[-1]) if r["kind"].startswith("Command")]
    tap.ok("which is that of its dispatch", len({r.get("call_id") for r in opened}) == 4
           and all(any(r["call_id"] in json.dumps(c) for c in commands) for r in opened), opened)
    tap.ok("what is permitted is permitted in the program's calls alone",
           [r["payload"]["permits"] > 0 for r in opened] == [True, False] * 2, opened)
    tap.ok("denials name the call's program", any(r["kind"] == "NetworkDenied" and
           r["payload"].get("call_program") == "env" for r in kernel), kernel)


def leased_over_a_kill(node):
    """aegisd is killed in the middle of a call that has a lease, which holds meanwhile; who comes back goes on with
    the time that is left."""
    alone = threading.Event()

    def back():
        alone.wait(10)  # where files are mounted, the program may wait for aegisd itself
        node.start_aegisd()

    def crash():
        node.kill("aegisd")
        threading.Thread(target=back, daemon=True).start()
    on_visit["/crash"] = crash
    on_visit["/alone"] = alone.set
    hosts = list(HOSTS)
    HOSTS[:] = ["93.184.216.2 crash alone", "!env python3 fetch.py 93.184.216.2 afterwards"]
    seen, end, kernel = run(node, "leased-over-a-kill", """{mode: none}
    leases: [{programs: [python3], destinations: ["93.184.216.2:8080"]}]""")
    HOSTS[:] = hosts
    tap.equal("a lease holds while aegisd is dead, and for that call alone afterwards", (seen, end),
              (["/crash", "/alone"], "completed"))
    times = [r["payload"]["lasts_ms"] for r in kernel if r["kind"] == "LeaseOpened"
             and r["payload"]["call_program"] == "python3"]
    tap.ok("a restart lengthens nothing", times and times == sorted(times, reverse=True), times)
    ended = [r["payload"]["call_program"] for r in kernel if r["kind"] == "LeaseEnded"]
    tap.equal("each ends once", ended, ["python3", "env"])


def flooded(node):
    """What an agent is denied thousands of times is on record, or counted as its loss, to the last one."""
    hosts = list(HOSTS)
    HOSTS[:] = ["FLOOD"]
    run(node, "flood", '{mode: allow, allowlist: ["93.184.216.2:8080"]}')
    HOSTS[:] = hosts
    execution = ran[-1]
    records = []

    def counted():
        records[:] = [r for r in map(json.loads, node.audit("export").stdout.splitlines())
                      if r.get("execution_id") == execution]
        # The sandbox's end comes behind the execution's.
        return any(r["kind"] == "KernelCounted" for r in records) or not records_processes(node)
    node.wait_for("the end of the flood's sandbox in the journal", counted)
    denied = [r for r in records if r["kind"] == "NetworkDenied" and r["payload"]["address"] == "203.0.113.9"]
    gaps = [r["payload"]["lost"] for r in records if r["kind"] == "Gap" and r["payload"]["source"] == "kernel"]
    print(f"# {len(denied)} denials on record, gaps {gaps}")
    if records_processes(node):
        tap.equal("denials on record and in the execution's gaps are all that happened", len(denied) + sum(gaps), DENIALS)
        calls = {r.get("call_id") for r in denied}
        tap.ok("each is attributed to the call that wanted it", len(calls) == 1 and any(
            r["source"] == "event" and c and c in json.dumps(r) for r in records for c in calls), calls)
    else:
        tap.skip("denials are counted and attributed", "this kernel does not record processes")
    tap.equal("and to its iteration", {r["iteration"] for r in denied}, {1})


def replayed(node, execution):
    """What a node decided, the journal alone can decide again, to the same end."""
    r = node.audit("what-if", "--policy", node.dir + "/policy.d", "--execution", execution)
    tap.ok("every decision of a run comes out the same once more", r.returncode == 0
           and " 0 would be denied, 0 would be allowed" in r.stdout and not r.stdout.startswith("0 "),
           f"{r.returncode} {r.stdout} {r.stderr}")
    r = node.audit("learn", "--execution", execution)
    tap.ok("a context is learned from it, and proved", r.returncode == 0 and
           "0 denied by the context below, alone and as the ceiling" in r.stdout, f"{r.returncode} {r.stdout} {r.stderr}")


def records_processes(node):
    findings = node.call("GET", "/v1/doctor")[1]["findings"]
    return any(f["id"] == "bpf.tracing" and f["level"] == "detected" for f in findings)


def main():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    if not shutil.which("ip"):
        tap.skip_all("needs iproute2")
    fd = outside.make_node()
    open_outside(fd)
    outside.own_resolv_conf(NAMES[0])
    node = nodes.Node(model.serve(answer), helper_options=["--network-range", "10.231.0.0/19"])
    os.mkdir(node.dir + "/policy.d", 0o755)
    text = nodes.read(node.config)
    with open(node.config, "w") as f:
        f.write(text.replace("  llm_providers:", f"  mcp_servers: {json.dumps(SERVERS)}\n  llm_providers:"))
    try:
        node.start()
        node.wait_for("the tool server", lambda: node.call("GET", "/health")[1]["tool_servers"]["goes-out"] == "ready")
        tap.equal("a tool server reaches what its list names, and nothing else", visits, ["/server-name"])
        seen, end, kernel = run(node, "by-address", '{mode: allow, allowlist: ["93.184.216.2:8080"]}')
        tap.equal("an address on the list is reached, and nothing else", (seen, end), (["/address"], "completed"))
        denied = [r["payload"] for r in kernel if r["kind"] == "NameDenied"]
        tap.equal("each name that was asked for in vain is on record", sorted({d["name"] for d in denied}),
                  ["elsewhere.test", "secret.example.test", "www.example.test"])
        denied = [r["payload"] for r in kernel if r["kind"] == "NetworkDenied"]
        tap.ok("so is the address, with the command that wanted it",
               any(d["address"] == "10.231.0.1" and d["port"] == 8080 and d["hook"] == "connect"
                   and d["command"].startswith("python") for d in denied), denied)

        seen, end, kernel = run(node, "by-name", '{mode: allow, allowlist: ["www.example.test:8080"]}')
        tap.equal("a name on the list is reached, by its name alone", seen, ["/name"])
        if records_processes(node):  # the last of what the kernel tells of a sandbox
            kernel = node.journal_of(ran[-1], until=("KernelCounted",))
        flows = [r for r in kernel if r["kind"] == "NetworkFlow"]
        tap.equal("so is the conversation, with the name it came from, and how it ended",
                  [(f["payload"]["address"], f["payload"]["port"], f["payload"].get("name"), f["payload"]["end"])
                   for f in flows], [("93.184.216.2", 8080, "www.example.test", "closed")])
        tap.ok("and what was said in it", all(f["payload"]["sent_bytes"] > 100 and f["payload"]["received_bytes"] > 100
               and f["payload"]["sent_packets"] > 3 and f["payload"]["received_packets"] > 3 for f in flows), flows)
        if records_processes(node):
            tap.ok("by which call", all(any(r["source"] == "event" and f.get("call_id") and f["call_id"] in json.dumps(r)
                   for r in node.journal_of(ran[-1])) for f in flows), flows)
        tap.ok("what was resolved is on record", any(r["kind"] == "NameResolved" and r["payload"]["name"] ==
               "www.example.test" and r["payload"]["addresses"] == 1 for r in kernel), kernel)
        seen, _, _ = run(node, "by-pattern", '{mode: allow, allowlist: ["*.example.test", "93.184.216.7"]}')
        tap.equal("a pattern covers the names below it", seen, ["/name", "/secret"])
        seen, _, kernel = run(node, "denylist", '{mode: deny, denylist: ["secret.example.test"]}')
        tap.equal("a denylist leaves other names, and no address that no name gave", seen, ["/name"])
        tap.ok("the policy that forbade the name is named", any(
            r["kind"] == "NameDenied" and r["payload"]["name"] == "secret.example.test" and r["payload"]["policy_id"]
            for r in kernel), kernel)
        seen, _, _ = run(node, "none", "{mode: none}")
        tap.equal("mode none reaches nothing", seen, [])
        seen, _, _ = run(node, "empty", "{mode: allow, allowlist: []}")
        tap.equal("an empty allowlist allows nothing", seen, [])
        running(node)
        leased(node)
        leased_over_a_kill(node)
        flooded(node)
        tap.equal("the journal holds", node.audit("verify").returncode, 0)
        replayed(node, ran[0])
    finally:
        codes = node.stop()
        if tap._failed:
            print("# " + node.logs(200).replace("\n", "\n# "))
    tap.equal("both end politely", codes, [0, 0])
    left = subprocess.run("ip -br link | grep ags; nft list tables | grep aegis", shell=True, capture_output=True,
                          text=True).stdout
    tap.equal("no link and no table is left", left, "")
    node.remove_cgroups()
    node.remove()

    node = nodes.Node(model.serve(answer))
    try:
        node.start()
        seen, end, _ = run(node, "no-range", '{mode: allow, allowlist: ["93.184.216.2:8080"]}')
        tap.equal("a node without a range refuses what it cannot give", (seen, end), ([], "failed"))
        node.wait_for("the reason in the journal", lambda: "--network-range" in node.audit("tail", "-n", "20").stdout,
                      seconds=20)
        tap.ok("and says what is missing", True)
        seen, end, _ = run(node, "needs-none", "{mode: none}")
        tap.equal("who needs no network runs there", (seen, end), ([], "completed"))
    finally:
        node.stop()
        node.remove_cgroups()
        node.remove()
    tap.done()


main()
