#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The HTTP API of a whole node: every route that is served, by what it answers to good and to bad
requests, at both doors; streams; and what a reload and a restart leave as it was."""

import json
import os
import re
import signal
import socket
import sys
import threading
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine"]
import doors
import model
import node as nodes
import tap

NOBODY = "00000000-0000-4000-8000-000000000000"
MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "%s", labels: {team: red}}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "%s"}
  input_schema:
    type: object
    properties: {word: {type: string, maxLength: 9}}
    additionalProperties: false
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 240s}
  tools: [fs.write, fs.create_dir]
"""
hold = threading.Event()  # lets the model go on with runs whose word is "wait"


def manifest(name, version="1.0.0", instruction="Write a file."):
    return MANIFEST % (name, version, *sys.version_info[:2], instruction)


def answer(messages):
    if '"wait"' in json.dumps(messages).replace('\\"', '"'):
        hold.wait(120)
    if model.turns(messages) == 0:
        return [("fs.create_dir", {"path": "/workspace/out"}),
                ("fs.write", {"path": "/workspace/out/note.txt", "content": "one\ntwo\n"})]
    return "done"


node = doors.Node(model.serve(answer))


def expect(name, answer, status, code=None, has=()):
    """An answer of that status; an error has the body that every error has, and that code."""
    good = answer.status == status
    if status >= 400:
        body = answer.json or {}
        good = good and isinstance(body.get("error"), str) and body["error"] and body.get("status") == status \
            and (code is None or body.get("code") == code)
    good = good and all(word in answer.body.decode("utf-8", "replace") for word in has)
    tap.ok(name, good, f"wanted {status} {code} {has}\n{answer.status} {dict(answer.headers)}\n{answer.body[:600]}")
    return answer.json


def members(name, value, *keys):
    lacks = [k for k in keys if k not in (value or {})]
    tap.ok(name, not lacks, f"{lacks} not in {value!r:.600}")


# ---- the node ----

def health():
    for path in ("/health", "/health/live", "/health/ready"):
        body = expect(f"GET {path}", node.ask("GET", path), 200)
        members(f"{path} says who it is", body, "status", "version", "node_id", "uptime_seconds")
    expect("GET /v1/doctor", node.ask("GET", "/v1/doctor", timeout=120), 200, has=["kernel.io_uring"])
    expect("the dispatch gateway is for sandboxes", node.ask("POST", "/v1/dispatch-gateway", {}), 403,
           "not_a_sandbox")
    a = node.ask("HEAD", "/health")
    tap.ok("HEAD has no body", a.status == 200 and a.body == b"", a)


def nothing_there():
    expect("an unknown path", node.ask("GET", "/v1/nothing"), 404, "not_found", ["/v1/nothing"])
    a = node.ask("PUT", "/v1/agents")
    expect("an unknown method", a, 405, "method_not_allowed", ["GET", "POST"])
    tap.ok("405 says what is allowed", {"GET", "POST"} <= set((a.headers["Allow"] or "").split(", ")),
           a.headers["Allow"])
    for method, path, feature in (("GET", "/v1/workflows", "Workflows"),
                                  ("GET", "/v1/secrets/a/b", "Secrets"),
                                  ("PATCH", f"/v1/agents/{NOBODY}/scope", "Scope"),
                                  ("DELETE", f"/v1/credentials/{NOBODY}", "Credentials")):
        expect(f"{method} {path} names what is missing", node.ask(method, path), 501, "not_served", [feature])
    for path in ("/v1/agents/%2e%2e", "/v1/agents/%zz", "/v1/agents/%00", "/v1/agents/%ff%fe"):
        expect(f"path {path}", node.ask("GET", path), 400)


# ---- the doors ----

def keys():
    key = {"Authorization": f"Bearer {node.key()}"}
    tap.ok("the key is its owner's only", os.stat(node.data + "/api.key").st_mode & 0o077 == 0)
    get = lambda path, headers=(): node.ask("GET", path, headers=headers, tcp=True)
    expect("with the key", get("/v1/agents", key), 200)
    expect("health needs none", get("/health"), 200)
    a = get("/v1/agents")
    expect("without a key", a, 401, "unauthorized", ["api.key"])
    tap.ok("401 says how", (a.headers["WWW-Authenticate"] or "").startswith("Bearer"))
    for name, value in (("a wrong key", "Bearer " + "A" * 43), ("an empty key", "Bearer "), ("basic", "Basic YTpi"),
                        ("half a key", "Bearer " + node.key()[:20]), ("a longer key", f"Bearer {node.key()}A")):
        expect(name, get("/v1/agents", {"Authorization": value}), 401, "unauthorized")
    expect("unknown paths need the key too", get("/v1/nothing"), 401)
    expect("a key in the query opens no other route", get(f"/v1/agents?token={node.key()}"), 401)
    stream = f"/v1/executions/{NOBODY}/stream"
    expect("a key in the query opens a stream", get(f"{stream}?token={node.key()}"), 404, "not_found")
    expect("a wrong one does not", get(f"{stream}?token=wrong"), 401)
    for host in ("evil.example", f"evil.example:{node.port}", "localhost", f"localhost:{node.port + 1}"):
        expect(f"Host: {host}", get("/v1/agents", {**key, "Host": host}), 403, "forbidden_origin")
        expect(f"Host: {host} for health", get("/health", {"Host": host}), 403)
    for origin in ("http://evil.example", "null", f"https://evil.example:{node.port}"):
        expect(f"Origin: {origin}", get("/v1/agents", {**key, "Origin": origin}), 403, "forbidden_origin")
    expect("Origin: its own", get("/v1/agents", {**key, "Origin": f"http://127.0.0.1:{node.port}"}), 200)
    expect("Host: localhost", get("/v1/agents", {**key, "Host": f"localhost:{node.port}"}), 200)


# ---- agents ----

def deploying():
    yaml = manifest("alpha")
    body = expect("deploy YAML", node.ask("POST", "/v1/agents", yaml), 201)
    members("what deploying answers", body, "id", "agent_id", "name", "version", "status", "deployed_at",
            "without_effect", "refused_at_run", "warnings")
    tap.equal("created", body["status"], "created")
    again = expect("the same again", node.ask("POST", "/v1/agents", yaml), 200)
    tap.equal("changes nothing", (again["status"], again["id"]), ("unchanged", body["id"]))
    other = manifest("alpha", instruction="Another.")
    expect("the same version with other content", node.ask("POST", "/v1/agents", other), 409, "conflict", ["force"])
    expect("with force", node.ask("POST", "/v1/agents?force=true", other), 200, has=['"updated"'])
    expect("force must be a boolean", node.ask("POST", "/v1/agents?force=maybe", other), 400, "bad_query")
    newer = expect("a new version", node.ask("PATCH", "/v1/agents/alpha", manifest("alpha", "1.1.0")), 200)
    members("updating answers the agent's members", newer, "id", "name", "version", "status", "scope", "created_at")
    tap.equal("of the same agent", (newer["id"], newer["version"]), (body["id"], "1.1.0"))
    shown = node.ask("GET", "/v1/agents/alpha").json
    wrapped = {"manifest_yaml": shown["manifest_yaml"].replace("1.1.0", "1.2.0")}
    expect("wrapped in JSON", node.ask("POST", "/v1/agents", wrapped), 200, has=["1.2.0"])
    inner = shown["manifest"]
    inner["metadata"]["name"] = "beta"
    expect("deploy JSON", node.ask("POST", "/v1/agents", inner), 201, has=["beta"])
    expect("update under another name", node.ask("PATCH", "/v1/agents/alpha", inner), 409)
    expect("update of nobody", node.ask("PATCH", "/v1/agents/nobody", yaml), 404, "not_found")
    versions = expect("versions", node.ask("GET", "/v1/agents/alpha/versions"), 200)
    tap.equal("three of them", sorted(v["version"] for v in versions["versions"]), ["1.0.0", "1.1.0", "1.2.0"])
    tap.equal("one is current", [v["version"] for v in versions["versions"] if v["current"]], ["1.2.0"])
    members("each has an id", versions["versions"][0], "id", "agent_id", "version", "deployed_at")
    return body["id"]


def bad_manifests():
    for name, text, status in (
            ("empty", "", 400), ("blank", " \n", 400), ("no mapping", "- a\n", 422), ("no YAML", "a: [\n", 422),
            ("not UTF-8", b"a: \xff\xfe\n", 422), ("truncated JSON", '{"apiVersion":', 400),
            ("a JSON key twice", '{"a": 1, "a": 2}', 400), ("a YAML key twice", manifest("x") + "kind: Agent\n", 422),
            ("an unknown key", manifest("x") + "speck: 1\n", 422),
            ("deep YAML", "a: " + "[" * 5000 + "]" * 5000, 422),
            ("deep JSON", '{"a":' + "[" * 5000 + "]" * 5000 + "}", 413),
            ("too large", "#" * (1024 * 1024 + 1), 413)):
        expect(f"manifest: {name}", node.ask("POST", "/v1/agents", text), status)
    a = node.ask("POST", "/v1/agents", manifest("x").replace("task:", "taks:"))
    body = expect("a mistyped key", a, 422, "invalid_manifest", ["taks", "task"])
    tap.ok("is found with its place", any(f.get("line") for f in body["findings"]), body["findings"])
    a = node.ask("POST", "/v1/agents", manifest("x").replace("read: [/workspace]", "read: [workspace/..]"))
    expect("a path that no run could start with", a, 422, "invalid_manifest", ["filesystem.read[0]", "absolute"])


def looking(alpha):
    for path in ("alpha", alpha, "lookup/alpha"):
        body = expect(f"GET /v1/agents/{path}", node.ask("GET", f"/v1/agents/{path}"), 200)
        tap.equal("is that agent", body["id"], alpha)
    members("an agent", body, "id", "agent_id", "name", "version", "description", "status", "scope", "labels",
            "tenant_id", "created_at", "updated_at", "manifest", "manifest_yaml")
    tap.equal("its labels", body["labels"], {"team": "red"})
    for path in ("/v1/agents/nobody", f"/v1/agents/{NOBODY}", "/v1/agents/lookup/nobody", "/v1/agents/nobody/versions",
                 "/v1/agents/nobody/events"):
        expect(f"GET {path}", node.ask("GET", path), 404, "not_found")
    listed = expect("list", node.ask("GET", "/v1/agents"), 200)
    tap.equal("counts", (listed["count"], sorted(a["name"] for a in listed["items"])), (2, ["alpha", "beta"]))
    bare = expect("?format=array", node.ask("GET", "/v1/agents?format=array"), 200)
    tap.equal("is the bare list", bare, listed["items"])
    pages = [node.ask("GET", f"/v1/agents?limit=1&offset={n}").json for n in range(3)]
    tap.equal("pages", [a["id"] for p in pages for a in p["items"]], [a["id"] for a in listed["items"]])
    for query in ("limit=0", "limit=x", "limit=-1", "limit=999999999999999999999", "offset=-1", "format=csv", "limit=%ff"):
        expect(f"list ?{query}", node.ask("GET", f"/v1/agents?{query}"), 400, "bad_query")


def states():
    for verb, status in (("pause", "paused"), ("pause", "paused"), ("resume", "active"), ("resume", "active")):
        body = expect(verb, node.ask("POST", f"/v1/agents/beta/{verb}"), 200)
        tap.equal(f"{verb} answers", (body["success"], body["status"]), (True, status))
    node.ask("POST", "/v1/agents/beta/pause")
    tap.equal("?status=", [a["name"] for a in node.ask("GET", "/v1/agents?status=paused").json["items"]], ["beta"])
    expect("a paused agent starts nothing", node.ask("POST", "/v1/agents/beta/execute", {}), 409, "refused")
    expect("delete", node.ask("DELETE", "/v1/agents/beta"), 200, has=["deleted"])
    expect("it is gone", node.ask("GET", "/v1/agents/beta"), 404)
    for method, path in (("POST", "pause"), ("POST", "resume"), ("POST", "execute")):
        expect(f"{path} of nobody", node.ask(method, f"/v1/agents/nobody/{path}"), 404, "not_found")
    expect("delete of nobody", node.ask("DELETE", "/v1/agents/nobody"), 404, "not_found")


# ---- executions ----

def start(word=None, path="/v1/executions", **more):
    body = {"agent_id": "alpha", "input": {"word": word} if word else {}, **more}
    return node.ask("POST", path, body)


def finished(id, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        body = node.ask("GET", f"/v1/executions/{id}").json
        if body["status"] in ("completed", "failed", "cancelled"):
            return body
        time.sleep(0.1)
    return body


def running(alpha):
    body = expect("start", start("go", intent="try"), 202)
    members("what starting answers", body, "execution_id", "id", "agent_id", "status")
    id = body["execution_id"]
    end = finished(id)
    tap.equal("it completes", (end["status"], end["output"], end["input"].get("word", "")), ("completed", "done", "go"))
    members("an execution", end, "id", "execution_id", "agent_id", "agent_version", "status", "tenant_id",
            "current_iteration", "max_iterations", "created_at", "started_at", "ended_at", "error", "input", "output")
    members("an iteration", end["iterations"][0], "number", "status", "action", "output", "error", "started_at",
            "ended_at")
    again = expect("by the agent", start("go", f"/v1/agents/{alpha}/execute"), 202)["execution_id"]
    finished(again)
    for name, body, status, code in (
            ("no agent", {}, 400, "bad_json"), ("nobody", {"agent_id": "nobody"}, 404, "not_found"),
            ("a word too long", {"agent_id": "alpha", "input": {"word": "0123456789"}}, 422, "bad_input"),
            ("input of another type", {"agent_id": "alpha", "input": {"word": 1}}, 422, "bad_input"),
            ("an input the schema does not know", {"agent_id": "alpha", "input": {"x": 1}}, 422, "bad_input"),
            ("overrides that are none", {"agent_id": "alpha", "context_overrides": 3}, 400, "bad_json"),
            ("attachments", {"agent_id": "alpha", "attachments": [{"a": 1}]}, 501, "not_served"),
            ("an array", [], 400, "bad_json"), ("a string", '"alpha"', 400, "bad_json"),
            ("no JSON", "agent_id=alpha", 400, "bad_json"), ("truncated", '{"agent_id": "al', 400, "bad_json"),
            ("a key twice", '{"agent_id": "alpha", "agent_id": "beta"}', 400, "bad_json"),
            ("not UTF-8", b'{"agent_id": "\xff"}', 400, "bad_json"),
            ("deep", '{"agent_id":' + "[" * 100000 + "]" * 100000 + "}", 413, "bad_json"),
            ("too large", "{" + " " * (4 * 1024 * 1024) + "}", 413, "bad_body")):
        expect(f"start with {name}", node.ask("POST", "/v1/executions", body), status, code)
    for body, wrong in (({}, "missing"), ({"agent_id": 3}, "no string"), ({"agent_id": ""}, "empty")):
        expect(f"agent_id is {wrong}", node.ask("POST", "/v1/executions", body), 400, "bad_json",
               [f"agent_id is {wrong}: the agent's id or name is expected"])
    for method, path, body in (("POST", "/v1/executions", {"agent_id": "nobody"}), ("GET", "/v1/agents/nobody", None)):
        expect(f"{method} {path} says so without a route", node.ask(method, path, body), 404, "not_found",
               ["no agent 'nobody' is deployed"])
    return id, again


def listing(ids):
    body = expect("list", node.ask("GET", "/v1/executions"), 200)
    tap.equal("both are there", {e["execution_id"] for e in body["items"]}, set(ids))
    tap.equal("as a bare list", node.ask("GET", "/v1/executions?format=array").json, body["items"])
    pages = [node.ask("GET", f"/v1/executions?limit=1&offset={n}").json for n in range(3)]
    tap.equal("pages", [e["id"] for p in pages for e in p["items"]], [e["id"] for e in body["items"]])
    for query, count in (("status=completed", 2), ("status=running", 0), ("agent_id=alpha", 2)):
        tap.equal(f"?{query}", node.ask("GET", f"/v1/executions?{query}").json["count"], count)
    expect("?status=odd", node.ask("GET", "/v1/executions?status=odd"), 400, "bad_query")
    expect("?agent_id=nobody", node.ask("GET", "/v1/executions?agent_id=nobody"), 404, "not_found")


def unknown_executions():
    for id in (NOBODY, "alpha"):
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/files/a"), ("GET", "/diff"), ("GET", "/events"),
                             ("GET", "/stream")):
            expect(f"{method} {id}{rest}", node.ask(method, f"/v1/executions/{id}{rest}"), 404, "not_found")


def files(id):
    a = node.ask("GET", f"/v1/executions/{id}/files/out/note.txt")
    tap.equal("a file that it left", (a.status, a.body), (200, b"one\ntwo\n"))
    for path, status in (("out/other.txt", 404), ("out", 404), ("out/note.txt/x", 404), ("..%2f..%2fx", 400),
                         ("../../x", 400), ("%2e%2e/x", 400)):
        expect(f"file {path}", node.ask("GET", f"/v1/executions/{id}/files/{path}"), status)


    expect("what it changed", node.ask("GET", f"/v1/executions/{id}/diff"), 200, has=["out/note.txt"])


def cancelling():
    id = start("wait").json["execution_id"]
    expect("a run cannot be removed", node.ask("DELETE", f"/v1/executions/{id}"), 409, "running")
    body = expect("cancel", node.ask("POST", f"/v1/executions/{id}/cancel", {"reason": "enough of it"}), 200)
    tap.equal("cancel answers", (body["success"], body["status"]), (True, "cancelled"))
    tap.equal("it ends", finished(id)["status"], "cancelled")
    expect("what has ended cannot be cancelled", node.ask("POST", f"/v1/executions/{id}/cancel"), 409, "finished")
    text = node.ask("GET", f"/v1/executions/{id}/events").body
    tap.ok("the reason is on record", b"enough of it" in text, text[-600:])
    forced = start("wait").json["execution_id"]
    expect("cancel with force", node.ask("POST", f"/v1/executions/{forced}/cancel?force=true"), 200)
    tap.equal("it ends at once", finished(forced)["status"], "cancelled")


def removing(id):
    expect("remove", node.ask("DELETE", f"/v1/executions/{id}"), 200, has=["removed"])
    expect("remove again", node.ask("DELETE", f"/v1/executions/{id}"), 404, "not_found")
    for rest in ("", "/files/out/note.txt", "/events", "/diff"):
        expect(f"it is gone: {rest}", node.ask("GET", f"/v1/executions/{id}{rest}"), 404, "not_found")


# ---- streams ----

def numbers(path, after=0, timeout=60):
    return [n for n, _ in node.events(path, after, timeout)]


def streams(id, alpha):
    path = f"/v1/executions/{id}/events"
    a = node.ask("GET", path)
    tap.ok("a stream's type", (a.headers["Content-Type"] or "").startswith("text/event-stream"), dict(a.headers))
    events = [(n, json.loads(d)) for n, d in node.events(path)]
    all_of_it = [n for n, _ in events]
    tap.ok("numbers rise", all_of_it == sorted(set(all_of_it)) and len(all_of_it) > 3, all_of_it)
    tap.equal("the last event is the end", events[-1][1]["type"], "ExecutionCompleted")
    members("an event", events[0][1], "type", "event_type", "timestamp", "execution_id", "details")
    for form in ("events?follow=true", "stream", "events?follow=true&verbose=true"):
        tap.equal(f"{form} ends with the execution", numbers(f"/v1/executions/{id}/{form}"), all_of_it)
        for k in (0, len(all_of_it) // 2, len(all_of_it) - 2):
            tap.equal(f"{form} after event {k}", numbers(f"/v1/executions/{id}/{form}", all_of_it[k]),
                      all_of_it[k + 1:])
        tap.equal(f"{form} after the last event ends", numbers(f"/v1/executions/{id}/{form}", all_of_it[-1]), [])
    expect("Last-Event-ID of another kind", node.ask("GET", path, headers={"Last-Event-ID": "x"}), 400, "bad_header")
    expect("follow must be a boolean", node.ask("GET", path + "?follow=2"), 400, "bad_query")
    whole = numbers(f"/v1/agents/{alpha}/events?follow=false")
    tap.ok("an agent's stream has them too", set(all_of_it) <= set(whole), (all_of_it, whole))


def stream_of_a_run():
    id = start("wait").json["execution_id"]
    got = []
    first = threading.Event()

    def follow():
        for n, _ in node.events(f"/v1/executions/{id}/stream", timeout=120):
            got.append(n)
            first.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    tap.ok("events come while it runs", first.wait(60) and
           node.ask("GET", f"/v1/executions/{id}").json["status"] in ("pending", "running"))
    finite = numbers(f"/v1/executions/{id}/events")
    tap.ok("without follow it ends before the run", finite, finite)
    hold.set()
    thread.join(120)
    hold.clear()
    tap.ok("the stream ends with the run", not thread.is_alive())
    tap.equal("and lacks nothing", got, numbers(f"/v1/executions/{id}/events"))


# ---- the wire ----

def wire():
    for name, data, status in (
            ("no request", b"hello\r\n\r\n", 400), ("a bare newline", b"GET / HTTP/1.1\n\n", 400),
            ("no Host", b"GET /health HTTP/1.1\r\n\r\n", 400),
            ("two lengths", b"POST /v1/executions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
            ("length and chunks", b"POST /v1/executions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
             b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("a head too large", b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
            ("too many headers", b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
            ("a target too long", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
            ("another version", b"GET /health HTTP/3.0\r\nHost: x\r\n\r\n", 505),
            ("a chunk of no size", b"POST /v1/executions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400)):
        got = node.raw(data, 20)
        match = re.match(rb"HTTP/1\.1 (\d{3}) ", got)
        tap.equal(f"{name} on the wire", match and int(match[1]), status)
        body = got.partition(b"\r\n\r\n")[2]
        tap.ok(f"{name}: a JSON error", body.startswith(b'{"error":'), got[:400])
    # Clients that say half of it keep nobody else waiting.
    slow = [doors.socket.socket(doors.socket.AF_UNIX) for _ in range(50)]
    for s in slow:
        s.connect(node.socket)
        s.sendall(b"POST /v1/executions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    expect("slow clients hinder nobody", node.ask("GET", "/health/ready"), 200)
    for s in slow:
        s.close()
    expect("nor do those who leave", node.ask("GET", "/health/ready"), 200)


# ---- reload, restart ----

def log_has(text, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end and text not in nodes.read(node.dir + "/aegisd.log"):
        time.sleep(0.1)
    return text in nodes.read(node.dir + "/aegisd.log")


def reload():
    node.aegisd.send_signal(signal.SIGUSR1)
    tap.ok("SIGUSR1 says what each fiber waits for", log_has(" waits for accept: 0x"), node.logs())
    node.aegisd.send_signal(signal.SIGHUP)
    tap.ok("SIGHUP loads the file again", log_has("configuration loaded again"), node.logs())
    node.configure("kind: NodeConfig", "kind: NodeConfog")
    node.aegisd.send_signal(signal.SIGHUP)
    tap.ok("a bad one leaves the old", log_has("the old configuration goes on to hold"), node.logs())
    node.configure("kind: NodeConfog", "kind: NodeConfig")
    expect("it still answers", node.ask("GET", "/health/ready"), 200)


def restart(id):
    before = node.ask("GET", f"/v1/executions/{id}").json, node.ask("GET", "/v1/agents").json, node.key(), \
        numbers(f"/v1/executions/{id}/events")
    node.aegisd.send_signal(signal.SIGTERM)
    tap.equal("aegisd ends with status 0", node.aegisd.wait(60), 0)
    node.options = ["--no-auth"]
    node.start_aegisd()
    after = node.ask("GET", f"/v1/executions/{id}").json, node.ask("GET", "/v1/agents").json, node.key(), \
        numbers(f"/v1/executions/{id}/events")
    tap.equal("a restart changes nothing that is on record", after, before)
    expect("--no-auth asks for no key", node.ask("GET", "/v1/agents", tcp=True), 200)
    expect("but for the right Host", node.ask("GET", "/v1/agents", headers={"Host": "evil.example"}, tcp=True), 403)
    expect("and Origin", node.ask("GET", "/v1/agents", headers={"Origin": "http://evil.example"}, tcp=True), 403)
    node.stop()
    node.configure("bind_address: 127.0.0.1", "bind_address: 0.0.0.0, allow_insecure_bind: true")
    node.start_helper()
    node.start_aegisd(wait=False)
    try:
        code = node.aegisd.wait(60)
    except nodes.subprocess.TimeoutExpired:
        code = None
    tap.ok("--no-auth beyond loopback is refused", code not in (0, None), node.logs())


def run():
    node.start()
    health()
    nothing_there()
    keys()
    alpha = deploying()
    bad_manifests()
    looking(alpha)
    states()
    ids = running(alpha)
    listing(ids)
    unknown_executions()
    files(ids[0])
    streams(ids[0], alpha)
    removing(ids[1])
    cancelling()
    stream_of_a_run()
    wire()
    reload()
    crowded()
    restart(ids[0])


def crowded():
    """Strangers hold every connection that the TCP door takes, and say nothing."""
    held = []
    try:
        for _ in range(1100):
            held.append(socket.create_connection(("127.0.0.1", node.port), timeout=10))
        expect("the Unix socket answers while TCP is crowded", node.ask("GET", "/health"), 200)
    finally:
        for s in held:
            s.close()


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        run()
    finally:
        codes = node.stop()
        print(f"# exit statuses {codes}")
        if tap._failed or sys.exc_info()[0]:
            print("\n".join("# " + line for line in node.logs().splitlines()))
        node.remove()
        node.remove_cgroups()
    tap.done()


if __name__ == "__main__":
    main()
