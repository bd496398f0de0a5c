#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Tool servers on a whole node: started in sandboxes of their own, their tools decided like the built-in
ones, offered to MCP clients and to the model, started again when they end."""

import concurrent.futures
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests" + path
                for path in ("", "/integration/spine", "/integration/daemon/api", "/integration/daemon/toolserver")]
import doors
import mcpclient
import model
import node as nodes
import tap

HERE = os.path.dirname(os.path.abspath(__file__))
CODE = nodes.read(HERE + "/server.py")


def small(name, **more):
    return {"name": name, "executable": "python", "args": ["-c", CODE], **more}


SERVERS = [
    small("small", credentials={"SECRET_KEY": "env:AEGIS_TEST_SECRET"}, environment={"COLOUR": "red"},
          capabilities=[{"name": "small.*", "path_arguments": ["path", "paths"], "url_argument": "url"}]),
    # A machine that stands still may find this one ill at any time: it serves that case alone.
    small("ill", health_check={"interval_seconds": 1, "timeout_seconds": 2, "method": "ping"}, call_timeout_seconds=3600),
    small("other", capabilities=["echo", "other.look"]),
    {"name": "absent", "executable": "/no/such/program"},
    {"name": "broken", "executable": "python", "args": ["-c", "import sys; sys.exit('no configuration')"]},
    small("off", enabled=False),
    small("web", http_port=3001, environment={"HTTP_PORT": "3001"}, call_timeout_seconds=3600),
]
CONTEXTS = """  security_contexts:
    - name: all
      capabilities: [{tool_pattern: "small.*"}, {tool_pattern: "other.*"}, {tool_pattern: "ill.*"}, {tool_pattern: "broken.*"}, {tool_pattern: "web.*"}]
      deny_list: [small.fail]
    - name: judged
      capabilities:
        - {tool_pattern: "small.touch", path_allowlist: [/workspace/ok]}
        - {tool_pattern: "small.fetch", domain_allowlist: ["*.example.org"]}
    - name: narrow
      capabilities: [{tool_pattern: "small.large", max_response_size: 4000}, {tool_pattern: "small.echo", rate_limit: {calls: 1, per_seconds: 3600}}]
"""
AGENT = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: NAME, version: "1.0.0"}
spec:
  runtime: {language: python, version: "3", isolation: process}
  task: {instruction: do it}
  execution: {mode: one-shot}
  tools: TOOLS
"""


def answers(messages):
    """The model: calls the server's tool, then repeats what it was told."""
    told = [m["content"] for m in messages if m["role"] == "tool"]
    return told[-1] if told else [("small.echo", {"text": "from the model"})]


nodes.as_root_or_skip()
os.environ["AEGIS_TEST_SECRET"] = "hush-1234"
node = doors.Node(model.serve(answers))
OUTSIDE = node.dir + "/server.py"  # the sandbox's /tmp is another one
with open(OUTSIDE, "w") as script:
    script.write(CODE)
SERVERS.append({"name": "outside", "executable": "python", "args": [OUTSIDE]})
node.configure("  llm_providers:", f"  mcp_servers: {json.dumps(SERVERS)}\n{CONTEXTS}  llm_providers:")


def servers():
    return {s["name"]: s for s in node.call("GET", "/v1/tool-servers")[1]["items"]}


def wait_state(name, state, starts=0):
    node.wait_for(f"{name} being {state}", lambda: servers()[name]["state"] == state and
                  servers()[name]["starts"] >= starts, node.aegisd)


def events(type):
    with sqlite3.connect(f"file:{node.data}/aegis.db?mode=ro", uri=True) as db:
        return [json.loads(row[0]) for row in
                db.execute("SELECT event_data FROM domain_events WHERE event_type = ? ORDER BY number", (type,))]


def client(context="all"):
    return mcpclient.Client(node, context)


def offered():
    wait_state("small", "ready")
    wait_state("other", "ready")
    names = client().tools()
    tap.ok("the server's tools are offered under its name", "small.echo" in names and "small.die" in names, names)
    tap.ok("all pages of them", "small.grow" in names, names)
    tap.equal("one whose capabilities are listed offers those", sorted(n for n in names if n.startswith("other.")),
              ["other.echo", "other.look"])
    tap.ok("what has no acceptable name or schema is not", not [n for n in names if "such" in n or "no_schema" in n], names)
    tap.ok("what policy never allows is not", "small.fail" not in names, names)
    tap.equal("a narrow context sees its own", sorted(client("narrow").tools()), ["small.echo", "small.large"])


def called():
    c = client()
    tap.equal("a call is answered", c.call("small.echo", {"text": "h\u00e9llo"}), (False, "h\u00e9llo"))
    failed, text = c.call("small.echo", {"text": 7})
    tap.ok("arguments are held against its schema", failed and "/text" in text, text)
    failed, text = c.call("small.echo", {"text": "a", "other": 1})
    tap.ok("and unknown ones refused", failed and "other" in text, text)
    tap.equal("what policy denies is denied", c.call("small.fail")[0], True)
    failed, text = client("narrow").call("small.large")
    tap.ok("an answer is held to the context's size", failed and "OUTPUT_SIZE_EXCEEDED" in text, text[:200])
    n = client("narrow")
    n.call("small.echo", {"text": "a"})
    failed, text = n.call("small.echo", {"text": "a"})
    tap.ok("a rate holds for its tools", failed and "RATE_LIMIT" in text, text)
    done = [e for e in events("InvocationCompleted") if e["tool_name"] == "small.echo"]
    tap.ok("on record with its server and its decision", done and done[0]["server_id"] == "small" and
           done[0]["decision"]["policies"], done)


def confined():
    c = client()
    env = json.loads(c.call("small.environ")[1])
    tap.equal("its credentials and variables are in its environment", (env.get("SECRET_KEY"), env.get("COLOUR")),
              ("hush-1234", "red"))
    tap.ok("nothing of the daemon's is", "AEGIS_TEST_SECRET" not in env and "AEGIS_SOURCE" not in env, sorted(env))
    facts = json.loads(c.call("small.look")[1])
    tap.equal("it sees nothing of the host's secrets", (facts["/etc/shadow"], facts["/root"], facts["/var/lib"]),
              (False, False, False))
    other = json.loads(c.call("other.look")[1])
    tap.ok("another server does not share its workspace", other["lives"] == 1, other)
    everything = "".join(nodes.read(os.path.join(d, f)) for d, _, fs in os.walk(node.dir) for f in fs
                         if f.endswith(".log"))
    tap.ok("the credential is in no log", "hush-1234" not in everything)


def restarted():
    c = client()
    before = servers()["small"]["starts"]
    failed, text = c.call("small.die")
    tap.ok("a call that ends the server is answered", failed and "broke off" in text, text)
    wait_state("small", "ready", before + 1)
    tap.equal("it is started again", c.call("small.echo", {"text": "again"}), (False, "again"))
    tap.ok("in the same workspace", json.loads(c.call("small.look")[1])["lives"] == before + 1)
    gone = events("ServerFailed")
    tap.ok("on record with its last words", any("my last words" in e["error"] for e in gone if e["name"] == "small"), gone)
    wait_state("ill", "ready")
    before = servers()["ill"]["starts"]
    failed, text = c.call("ill.hang")
    tap.ok("one that is silent is found unhealthy and ended", failed and "did not answer" in text, text)
    wait_state("ill", "ready", before + 1)
    tap.ok("that too", [e for e in events("ServerUnhealthy") if e["name"] == "ill"])
    node.wait_for("its tools", lambda: c.call("ill.echo", {"text": "back"}) == (False, "back"), node.aegisd)
    tap.ok("its tools are back", True)
    c.call("small.grow")
    node.wait_for("a tool that was added", lambda: "small.grown" in client().tools(), node.aegisd)
    tap.ok("a list that changes is read again", True)


def judged():
    """Arguments that the operator names are judged, in canonical form; the server gets what was written."""
    c = client("judged")
    for what, arguments, allowed in (
            ("a path below the folder", {"path": "/workspace/ok/a"}, True),
            ("a path in another spelling", {"path": "/workspace//ok/./a"}, True),
            ("a relative path", {"path": "ok/a"}, True),
            ("a list of paths", {"paths": ["/workspace/ok/a", "/workspace/ok/b"]}, True),
            ("a neighbour of the folder", {"path": "/workspace/okay"}, False),
            ("a path outside", {"path": "/etc/passwd"}, False),
            ("a way out", {"path": "/workspace/ok/../../etc/passwd"}, False),
            ("a list with one outside", {"paths": ["/workspace/ok/a", "/etc/passwd"]}, False),
            ("one argument inside and one outside", {"path": "/workspace/ok/a", "paths": ["/etc/passwd"]}, False),
            ("no path", {"text": "/workspace/ok/a"}, False),
            ("a home directory", {"path": "~/ok"}, False),
            ("an address for a path", {"path": "file:///workspace/ok/a"}, False),
            ("a number for a path", {"path": 7}, False)):
        failed, text = c.call("small.touch", arguments)
        tap.ok(f"{what}: {'allowed' if allowed else 'refused'}", failed != allowed and (not allowed or
               text == "called with " + json.dumps(arguments, sort_keys=True)), text)
    for url, allowed in (("https://api.example.org/x?y", True), ("https://API.Example.ORG./", True), ("https://example.org/", False),
                         ("https://api.example.org.evil.net/", False), ("https://api.example.org@evil.net/", False),
                         ("http://192.0.2.7/", False), ("ftp://api.example.org/", False), ("api.example.org", False)):
        failed, text = c.call("small.fetch", {"url": url})
        tap.ok(f"{url}: {'allowed' if allowed else 'refused'}", failed != allowed, text)
    failed, text = c.call("small.touch", {"path": "/etc/passwd"})
    tap.ok("with the documented code", "PATH_NOT_ALLOWED (2002)" in text, text)
    failed, text = c.call("small.fetch", {"url": "https://evil.net/"})
    tap.ok("of domains, too", "DOMAIN_NOT_ALLOWED (2004)" in text, text)


def over_http():
    """A child that listens on its own loopback."""
    wait_state("web", "ready")
    c = client()
    tap.equal("a child that speaks HTTP is called", c.call("web.echo", {"text": "h\u00e9llo"}), (False, "h\u00e9llo"))
    tap.equal("with a long answer", c.call("web.large"), (False, "x" * 5000))
    s = servers()["web"]
    tap.ok("it is listed so", s["transport"] == "http" and s["confined"], s)
    look = json.loads(c.call("web.look")[1])
    tap.equal("it sees nothing of the host's secrets", (look["/etc/shadow"], look["/root"]), (False, False))
    texts = [str(n) * 1000 for n in range(16)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda t: client().call("web.echo", {"text": t}), texts))
    tap.equal("sixteen calls at once", said, [(False, t) for t in texts])
    failed, text = c.call("web.die")
    tap.ok("a call that ends it is answered", failed and "broke off" in text, text)
    wait_state("web", "ready", s["starts"] + 1)
    tap.equal("and it is started again", c.call("web.echo", {"text": "again"}), (False, "again"))
    waiting, answers_to = hanging("web")
    write_servers(SERVERS, [s for s in SERVERS if s["name"] != "web"])
    tap.equal("it is taken out", cli("policy", "reload").returncode, 0)
    waiting.join(120)
    tap.ok("a running call over HTTP ends with the reason", answers_to and answers_to[0][0] and
           "taken out" in answers_to[0][1], answers_to)
    write_servers([s for s in SERVERS if s["name"] != "web"], SERVERS)
    tap.equal("and put in again", cli("policy", "reload").returncode, 0)


def hanging(name):
    """A call that is under way, and what it will be answered."""
    answers_to = []
    waiting = threading.Thread(target=lambda: answers_to.append(client().call(name + ".hang")), daemon=True)
    waiting.start()
    node.wait_for("a call under way", lambda: servers()[name]["calls"] == 1, node.aegisd)
    return waiting, answers_to


def misconfigured():
    s = servers()
    tap.ok("a program that is not registered: failed, with what to do", s["absent"]["state"] == "failed" and
           "runtime registry" in s["absent"]["error"], s["absent"])
    wait_state("broken", "backing_off", 2)
    wait_state("outside", "backing_off", 1)
    error = servers()["outside"]["error"]
    tap.ok("a script of the host is told not to be seen in the sandbox",
           f"'{OUTSIDE}' is not seen in its sandbox" in error and "bind line" in error, error)
    tap.ok("one that ends at once is tried again, later", "no configuration" in servers()["broken"]["error"], servers()["broken"])
    tap.ok("one that is disabled is not there", "off" not in s)
    health = node.call("GET", "/health")[1]["tool_servers"]
    tap.equal("the node's health names their states", (health["absent"], health["small"]), ("failed", "ready"))
    for words, part in ((["servers"], "failed"), (["list"], "small.echo")):
        done = subprocess.run([nodes.program("aegis"), "--config", node.config, "tool", *words],
                              capture_output=True, text=True)
        tap.ok(f"aegis tool {words[0]}", done.returncode == 0 and part in done.stdout, done)


def cli(*words):
    return subprocess.run([nodes.program("aegis"), "--config", node.config, *words], capture_output=True, text=True)


def confinement():
    s = servers()
    tap.ok("what confines a server is said", s["small"]["confined"] and "seccomp" in s["small"]["confined_by"] and s["small"]["up"], s["small"])
    for words in (["doctor"], ["doctor", "--daemon"], ["daemon", "status"]):
        lines = [line for line in cli(*words).stdout.splitlines() if "tool server small" in line]
        tap.ok(f"by aegis {' '.join(words)}, too", lines and lines[0].startswith("ready") and "confined by a sandbox" in lines[0], lines)


def write_servers(old, new):
    node.configure(json.dumps(old), json.dumps(new))


def reloaded():
    """SIGHUP and `aegis policy reload` add, change and remove servers, and leave the others alone."""
    wait_state("web", "ready")
    before = servers()
    c = client()
    changed = [small("small", environment={"COLOUR": "blue"})] + [s for s in SERVERS if s["name"] in ("web", "absent")]
    changed += [small("late"), {"name": "away", "url": "http://127.0.0.1:9/mcp"}]
    waiting, answers_to = hanging("small")
    write_servers(SERVERS, changed)
    node.aegisd.send_signal(signal.SIGHUP)
    waiting.join(120)
    tap.ok("a running call to a changed server ends with the reason",
           answers_to and answers_to[0][0] and "its configuration has changed" in answers_to[0][1], answers_to)
    node.wait_for("the new list", lambda: set(servers()) == {"small", "web", "absent", "late", "away"}, node.aegisd)
    wait_state("small", "ready")
    wait_state("late", "ready")
    tap.equal("the changed one has its new environment", json.loads(c.call("small.environ")[1]).get("COLOUR"), "blue")
    tap.ok("and the old credential no more", "SECRET_KEY" not in json.loads(c.call("small.environ")[1]))
    tap.equal("one that did not change went on", servers()["web"]["starts"], before["web"]["starts"])
    tap.ok("the tools of the removed one are gone", "other.echo" not in c.tools(), c.tools())
    tap.ok("on record with the reason", any("taken out" in e.get("reason", "") for e in events("ServerStopped") if e["name"] == "other"), events("ServerStopped"))
    tap.ok("an address is not confined", not servers()["away"]["confined"], servers()["away"])
    bad = changed + [small("two.words")]
    write_servers(changed, bad)
    done = cli("policy", "reload")
    tap.ok("a bad list is refused with its mistake", done.returncode == 2 and "two.words" in done.stderr, done)
    tap.ok("and changes nothing", "two.words" not in servers() and servers()["late"]["starts"] == 1, servers())
    write_servers(bad, SERVERS)
    done = cli("policy", "reload")
    tap.equal("aegis policy reload takes the servers up, too", done.returncode, 0)
    node.wait_for("the first list", lambda: "other" in servers() and "late" not in servers(), node.aegisd)
    wait_state("small", "ready")
    wait_state("other", "ready")


def deploy(name, tools):
    text = AGENT.replace("NAME", name).replace("TOOLS", json.dumps(tools))
    status, body = node.call("POST", "/v1/agents", text)
    assert status in (200, 201), body
    return node.call("POST", "/v1/executions", {"agent_id": name})


def in_executions():
    status, body = deploy("nobody", ["mcp:missing"])
    tap.ok("an agent that asks for an unknown server is refused, with the known ones", status == 409 or status == 422 or status == 403,
           (status, body))
    tap.ok("by name", "missing" in json.dumps(body) and "small" in json.dumps(body), body)
    status, body = deploy("user", ["mcp:small"])
    tap.ok("one that asks for a known server starts", status in (200, 201, 202), (status, body))
    id = body.get("execution_id") or body.get("id")
    node.wait_for("the execution's end", lambda: node.call("GET", f"/v1/executions/{id}")[1]["status"] in
                  ("completed", "failed", "cancelled"), node.aegisd)
    end = node.call("GET", f"/v1/executions/{id}")[1]
    tap.ok("its model called the tool", "from the model" in json.dumps(end), end)


try:
    node.start()
    offered()
    called()
    confined()
    restarted()
    judged()
    over_http()
    misconfigured()
    confinement()
    reloaded()
    in_executions()
    node.stop()
    tap.ok("all ended with the daemon", {e["name"] for e in events("ServerStopped")} >= {"small", "other"}, events("ServerStopped"))
finally:
    node.stop()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs(80).splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
