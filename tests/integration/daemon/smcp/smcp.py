#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""SMCP on a whole node: clients from outside with the bearer key and a named context, a workload on
the socket of its sandbox, one envelope on many connections and over a kill, sessions, keys."""

import base64
import concurrent.futures
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests" + path
                for path in ("", "/integration/spine", "/integration/daemon/api", "/integration/daemon/smcp")]
import client as smcp
import doors
import model
import node as nodes
import tap

AGENT = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: signer, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Sign."}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 256Mi, timeout: 240s}
  tools: [fs.read, fs.write, fs.list, cmd.run]
""" % sys.version_info[:2]

CONTEXTS = """
  security_contexts:
    - name: tester
      capabilities:
        - {tool_pattern: "aegis.*"}
        - {tool_pattern: "fs.read", path_allowlist: [/workspace]}
      deny_list: [fs.delete]
    - name: files
      capabilities: [{tool_pattern: "fs.*", path_allowlist: [/workspace]}]
    - name: limited
      capabilities:
        - {tool_pattern: "aegis.*", rate_limit: {calls: 2, per_seconds: 3600}}
"""

WORKLOAD = os.path.join(os.path.dirname(os.path.abspath(smcp.__file__)), "client.py")


intruder = None  # what a process of the host got that speaks at the sandbox's socket


def attest_from_outside():
    """As root, through the sandbox's own root directory: the socket is the right one, the process is not."""
    init = next(pid for pid, inside in node.sandbox_processes()
                if inside == 1 and os.path.exists(f"/proc/{pid}/root/workspace/client.py"))  # others are prepared ones
    door = http.client.HTTPConnection("localhost", timeout=60)
    door.sock = socket.socket(socket.AF_UNIX)
    door.sock.settimeout(60)
    door.sock.connect(f"/proc/{init}/root/run/aegis/dispatch.sock")
    door.request("POST", "/v1/smcp/attest", json.dumps(smcp.Client().attestation("", "default")),
                 {"Content-Type": "application/json"})
    reply = door.getresponse()
    return f"{reply.status} {reply.read().decode()}"


def answer(messages):
    global intruder
    turn = model.turns(messages)
    if turn == 1 and not intruder:
        try:
            intruder = attest_from_outside()
        except (OSError, StopIteration, http.client.HTTPException) as e:
            intruder = repr(e)
    if turn == 0:
        return [("fs.write", {"path": "/workspace/client.py", "content": nodes.read(WORKLOAD)})]
    if turn == 1:
        return [("cmd.run", {"command": "python3 client.py"})]
    return "done: " + messages[-1]["content"]


nodes.as_root_or_skip()
node = doors.Node(model.serve(answer))
node.configure("  llm_providers:", CONTEXTS.strip("\n") + "\n  llm_providers:")


def key():
    return {"Authorization": f"Bearer {node.key()}"}


def post(path, body, headers=()):
    return node.ask("POST", path, body, {"Content-Type": "application/json", **dict(headers)}, tcp=True)


def invoke(c, body):
    return post(c.base + "/invoke", body)


def attested(protocol="smcp/v1", scope="tester"):
    c = smcp.Client(protocol)
    a = post(c.base + "/attest", c.attestation("ci-7", scope), key())
    tap.ok(f"{protocol}: attested for {scope}", a.status == 200 and a.json["status"] == "success", a)
    c.token, c.session = a.json["security_token"], a.json["session_id"]
    return c


def error(name, a, status, code):
    good = a.status == status and a.json["status"] == "error" and a.json["error"]["code"] == code
    tap.ok(name, good, f"wanted {status} {code}\n{a.status} {a.body[:500]}")


def events(type):
    with sqlite3.connect(f"file:{node.data}/aegis.db?mode=ro", uri=True) as db:
        return [json.loads(row[0]) for row in
                db.execute("SELECT event_data FROM domain_events WHERE event_type = ? ORDER BY number", (type,))]


def calls(kind):
    """Calls of clients from outside: the journal has them, the store does not."""
    lines = node.audit("search", "--oldest", "-n", "1000", "--source", "call", "--kind", kind, "--output", "json").stdout
    return [json.loads(line)["payload"]["details"] for line in lines.splitlines()]


def part(token, n):
    piece = token.split(".")[n]
    return json.loads(base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))


# ---- clients from outside ----

def doors_ask_for_the_key():
    c = smcp.Client()
    tap.equal("attest needs the key", post("/v1/smcp/attest", c.attestation("x", "tester")).status, 401)
    tap.equal("tools need the key", node.ask("GET", "/v1/smcp/tools", tcp=True).status, 401)
    tap.equal("sessions need the key", node.ask("GET", "/v1/smcp/sessions", tcp=True).status, 401)
    a = invoke(c, c.call("aegis.system.info"))
    error("an envelope proves itself, or not", a, 401, 1000)  # its token is empty
    tap.equal("who shows no key gives a short body only", (post("/v1/smcp/invoke", b" " * (300 << 10)).status,
              post("/v1/smcp/invoke", b" " * (300 << 10), key()).status), (413, 401))
    a = post("/v1/smcp/attest", c.attestation("x", "no-such"), key())
    error("an unknown context", a, 401, 3001)
    tap.equal("its error_code is the name", a.json["error_code"], "SCOPE_NOT_FOUND")
    a = post("/v1/seal/attest", smcp.Client("seal/v1").attestation("x", "no-such"), key())
    tap.equal("SEAL's is the number", a.json["error_code"], 3001)


def tokens():
    published = node.ask("GET", "/.well-known/jwks.json", tcp=True).json["keys"]
    for protocol, alg in (("smcp/v1", "EdDSA"), ("seal/v1", "RS256")):
        c = attested(protocol)
        head, claims = part(c.token, 0), part(c.token, 1)
        tap.equal(f"{protocol}: alg", (head["alg"], head["typ"]), (alg, "JWT"))
        tap.ok("its key is published", any(k["kid"] == head["kid"] and k["alg"] == alg for k in published), published)
        tap.equal("claims", (claims["sub"], claims["wid"], claims["scp"], claims["jti"], claims["exp"] - claims["iat"]),
                  ("ci-7", "ci-7", "tester", c.session, 3600))
        a = invoke(c, c.call("aegis.system.info"))
        tap.ok(f"{protocol}: called", a.status == 200 and '"aegis"' in smcp.content(a.json), a)
        tap.equal("the answer has the call's id", a.json["payload"]["id"], "req-1")
    tap.ok("no private part is published", not any({"d", "p", "q"} & set(k) for k in published), published)
    files = [os.path.join(node.data, "smcp-keys", f) for f in os.listdir(node.data + "/smcp-keys")]
    tap.equal("keys are their owner's only", {os.stat(f).st_mode & 0o777 for f in files}, {0o600})


def policy():
    c = attested()
    error("denied by the list", invoke(c, c.call("fs.delete", {"path": "/workspace/a"})), 403, 2001)
    error("a path that is not allowed", invoke(c, c.call("fs.read", {"path": "/etc/passwd"})), 403, 2002)
    error("a tool that is not allowed", invoke(c, c.call("cmd.run", {"command": "ls"})), 403, 2000)
    error("bad arguments", invoke(c, c.call("fs.read", {})), 422, -32602)
    listed = invoke(c, c.envelope("tools/list")).json["payload"]["result"]["tools"]
    tap.equal("tools/list", {t["name"] for t in listed}, {"aegis.system.info", "fs.read"})
    a = node.ask("GET", "/v1/seal/tools?security_context=tester", headers=key(), tcp=True)
    tap.equal("GET tools", {t["name"] for t in a.json["tools"]}, {"aegis.system.info", "fs.read"})
    tap.equal("where to go", (a.json["protocol"], a.json["attestation_endpoint"], a.json["invoke_endpoint"]),
              ("seal/v1", "/v1/seal/attest", "/v1/seal/invoke"))
    violations = calls("PolicyViolationBlocked")
    tap.equal("denials are on record with signature and policy",
              [(v["violation_type"], bool(v["signature"]), bool(v["decision"]["policies"])) for v in violations],
              [("TOOL_DENIED", True, True), ("PATH_NOT_ALLOWED", True, True), ("TOOL_NOT_ALLOWED", True, True)])
    c = attested(scope="limited")
    for _ in range(2):
        tap.equal("within the rate", invoke(c, c.call("aegis.system.info")).status, 200)
    error("beyond it", invoke(c, c.call("aegis.system.info")), 403, 2005)


def files():
    c, other = attested(scope="files"), attested(scope="files")
    path = {"path": "/workspace/a.txt"}
    a = invoke(c, c.call("fs.write", {**path, "content": "mine\n"}))
    tap.ok("a client writes in a workspace of its own", a.status == 200 and not a.json["payload"]["result"]["isError"], a)
    tap.equal("and reads", smcp.content(invoke(c, c.call("fs.read", path)).json), "mine\n")
    a = invoke(other, other.call("fs.read", path)).json["payload"]["result"]
    tap.ok("which nobody else sees", a["isError"] and a["content"][0]["text"].startswith("NOT_FOUND"), a)
    for bad in ("/workspace/../etc/passwd", "../../etc/passwd"):
        tap.equal(f"{bad} is refused", invoke(c, c.call("fs.read", {"path": bad})).status, 422)
    a = post(c.base + "/invoke", c.call("fs.write", {"path": "/workspace/big", "content": "x" * 3_900_000}), key())
    tap.equal("large files too, with the key", a.status, 200)
    folder = f"{node.data}/smcp-workspaces/{c.session}"
    tap.ok("the folder is there", os.path.isdir(folder))
    post("/v1/smcp/revoke", c.envelope("session/revoke"))
    tap.ok("and goes with its session", not os.path.exists(folder))


def bad_envelopes():
    c, other = attested(), attested()
    good = c.call("aegis.system.info")
    error("another protocol", invoke(c, {**good, "protocol": "seal/v1"}), 401, 1000)
    error("no signature", invoke(c, {k: v for k, v in good.items() if k != "signature"}), 401, 1000)
    error("another's signature", invoke(c, {**good, "signature": other.call("aegis.system.info")["signature"]}),
          401, 1001)
    error("another payload", invoke(c, {**good, "payload": {**good["payload"], "id": "x"}}), 401, 1001)
    error("another's token", invoke(c, {**good, "security_token": other.token}), 401, 1001)
    error("a forged token", invoke(c, {**good, "security_token": good["security_token"][:-8] + "AAAAAAAA"}), 401, 1004)
    error("stale", invoke(c, c.call("aegis.system.info", ahead_s=-40)), 401, 1004)
    error("from the future", invoke(c, c.call("aegis.system.info", ahead_s=40)), 401, 1004)
    error("no JSON", post("/v1/smcp/invoke", b"\xff"), 401, 1000)
    text = json.dumps(good).replace('"method"', '"method": "x", "method"')
    error("a key twice", post("/v1/smcp/invoke", text), 401, 1000)
    tap.equal("and the good one passes", invoke(c, good).status, 200)
    error("once", invoke(c, good), 401, 1004)


def once():
    c = attested()
    body, ahead = c.call("aegis.system.info"), c.call("aegis.system.info", ahead_s=25)
    before = len(calls("ToolCallAuthorized"))
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        statuses = sorted(a.status for a in pool.map(lambda _: invoke(c, body), range(32)))
    tap.equal("one envelope on all connections at once", statuses, [200] + [401] * 31)
    tap.equal("one that is stamped ahead", invoke(c, ahead).status, 200)
    node.kill("aegisd")
    node.start_aegisd()
    error("after a kill", invoke(c, body), 401, 1004)
    error("and the one that was stamped ahead", invoke(c, ahead), 401, 1004)
    tap.equal("two calls are on record", len(calls("ToolCallAuthorized")) - before, 2)
    d = attested()
    time.sleep(1.1)
    tap.equal("sessions go on", invoke(d, d.call("aegis.system.info")).status, 200)


def provisioned():
    """An operator makes sessions for others' keys."""
    c = smcp.Client("seal/v1")
    id = "550e8400-e29b-41d4-a716-446655440000"
    body = {"execution_id": id, "sub": "8a9f7b3c-4d5e-6f7a-8b9c-0d1e2f3a4b5c", "security_context_name": "tester",
            "public_key_b64": c.attestation("x", "tester")["public_key"]}
    tap.equal("making sessions needs the key", post("/v1/seal/sessions", body).status, 401)
    a = post("/v1/seal/sessions", body, key())
    tap.ok("an operator makes a session", a.status == 201 and a.json["status"] == "success" and a.json["execution_id"] == id and
           a.json["session_status"] == "Active" and a.json["expires_at"], a)
    c.token, c.session = a.json["security_token"], id
    claims = part(c.token, 1)
    tap.ok("its token has the caller's identity and context", claims["sub"] == body["sub"] and claims["scp"] == "tester", claims)
    a = invoke(c, c.call("aegis.system.info"))
    tap.ok("the caller calls without attesting", a.status == 200 and a.json["status"] == "success", a)
    error("and may do what the context grants", invoke(c, c.call("fs.delete", {"path": "/workspace/a"})), 403, 2001)
    tap.equal("it is found by that id", node.ask("GET", f"/v1/seal/sessions/{id}").json["session_status"], "Active")
    tap.equal("an id is used once", post("/v1/seal/sessions", body, key()).status, 409)
    for name, change in (("tool patterns", {"allowed_tool_patterns": ["fs.*"]}), ("another tenant", {"tenant_id": "other"}),
                         ("an unknown context", {"security_context_name": "nobody"}), ("no key", {"public_key_b64": ""}),
                         ("no identity", {"sub": ""}), ("an id that is none", {"execution_id": "x"})):
        a = post("/v1/seal/sessions", {**body, "execution_id": "550e8400-e29b-41d4-a716-446655440001", **change}, key())
        tap.ok(f"{name}: refused", a.status == 422 and a.json["status"] == "error" and a.json["error"]["message"], a)
    a = node.ask("DELETE", f"/v1/seal/sessions/{id}")
    tap.ok("an operator revokes it", a.status == 200 and a.json["session_status"] == "Revoked", a)
    error("then it calls no more", invoke(c, c.call("aegis.system.info")), 401, 1006)
    tap.equal("its id stays used", post("/v1/seal/sessions", body, key()).status, 409)
    tap.ok("on record", any(e.get("reason") for e in events("SessionRevoked")), events("SessionRevoked")[-1:])


def sessions():
    c = attested()
    error("refresh is no invoke", post("/v1/smcp/refresh", c.call("aegis.system.info")), 422, -32601)
    time.sleep(1.1)
    a = post("/v1/smcp/refresh", c.envelope("session/refresh"))
    tap.ok("refreshed", a.status == 200 and a.json["session_id"] == c.session, a)
    old, c.token = c.token, a.json["security_token"]
    tap.ok("by another token", old != c.token)
    tap.equal("which is good", invoke(c, c.call("aegis.system.info")).status, 200)
    listed = node.ask("GET", "/v1/smcp/sessions?limit=200").json["items"]
    mine = [s for s in listed if s["session_id"] == c.session]
    tap.ok("it is listed", mine and mine[0]["session_status"] == "Active" and mine[0]["sub"] == "ci-7", listed)
    a = node.ask("DELETE", f"/v1/seal/sessions/{c.session}")
    tap.equal("revoked", (a.status, a.json["session_status"]), (200, "Revoked"))
    error("a revoked session", invoke(c, c.call("aegis.system.info")), 401, 1006)
    tap.equal("is shown so", node.ask("GET", f"/v1/smcp/sessions/{c.session}").json["session_status"], "Revoked")
    tap.equal("unknown ones", node.ask("DELETE", "/v1/smcp/sessions/00000000-0000-4000-8000-000000000000").status, 404)
    c = attested()
    tap.equal("its holder revokes one", post("/v1/smcp/revoke", c.envelope("session/revoke")).status, 200)
    error("then it is over", invoke(c, c.call("aegis.system.info")), 401, 1006)


def rotation():
    c = attested()
    time.sleep(1.1)  # keys are named by the second
    keys = node.ask("POST", "/v1/smcp/keys/rotate").json["keys"]
    tap.equal("old and new keys are published", len(keys), 4)
    d = attested()
    tap.ok("tokens are signed by the new one", part(c.token, 0)["kid"] != part(d.token, 0)["kid"])
    node.kill("aegisd")
    node.start_aegisd()
    time.sleep(1.1)
    tap.equal("the old token is good", invoke(c, c.call("aegis.system.info")).status, 200)
    tap.equal("and the new one", invoke(d, d.call("aegis.system.info")).status, 200)


def verbs():
    c = attested()
    run = lambda *words: subprocess.run([nodes.program("aegis"), "--config", node.config, "smcp", *words],
                                        capture_output=True, text=True, timeout=60)
    done = run("sessions")
    tap.ok("aegis smcp sessions", done.returncode == 0 and c.session in done.stdout and "ci-7" in done.stdout, done)
    done = run("revoke", c.session)
    tap.ok("aegis smcp revoke", done.returncode == 0, done)
    error("ends it", invoke(c, c.call("aegis.system.info")), 401, 1006)
    tap.ok("which is listed no more", c.session not in run("sessions").stdout)
    tap.ok("but with --all", c.session in run("sessions", "--all", "--output", "json").stdout)
    tap.equal("one that is not there", run("revoke", "00000000-0000-4000-8000-000000000000").returncode, 1)
    done = run("rotate")
    tap.ok("aegis smcp rotate", done.returncode == 0 and "EdDSA" in done.stdout and "RS256" in done.stdout, done)


# ---- a workload in its sandbox ----

def workload():
    status, body = node.call("POST", "/v1/agents", AGENT)
    tap.equal("deployed", status, 201)
    id = node.call("POST", "/v1/executions", {"agent_id": "signer"})[1]["execution_id"]
    node.wait_for("the end of the run", lambda: node.call("GET", f"/v1/executions/{id}")[1]["ended_at"], seconds=200)
    detail = node.call("GET", f"/v1/executions/{id}")[1]
    try:
        command = json.loads(detail["output"].split("done: ", 1)[1])
        said = json.loads(command["stdout"])
    except (KeyError, ValueError, IndexError, TypeError):
        tap.ok("the workload reported", False, json.dumps(detail)[:3000])
        return
    tap.equal("it cannot be another execution", (said["other"][0], said["other"][1]["error_code"]),
              (401, "WORKLOAD_VERIFICATION_FAILED"))
    tap.ok("nor can another process speak for it at its socket",
           intruder.startswith("401 ") and "does not belong to the sandbox" in intruder, intruder)
    tap.equal("attested by its socket, without any key", said["attest"][0], 200)
    claims = part(said["attest"][1]["security_token"], 1)
    tap.equal("its token says whose it is", (claims["exec_id"], claims["sub"]), (id, id))
    tap.ok("a signed call writes", said["write"][0] == 200 and not said["write"][1]["payload"]["result"]["isError"],
           said["write"])
    tap.equal("and reads", smcp.content(said["read"][1]), "by a signed call\n")
    tap.equal("under the manifest's rules", (said["denied"][0], said["denied"][1]["error"]["code"]), (403, 2002))
    tap.equal("tools it was not given", (said["delete"][0], said["delete"][1]["error"]["code"]), (403, 2000))
    tap.equal("SEAL likewise, with RS256", (part(said["seal"][1]["security_token"], 0)["alg"],
              smcp.content(said["seal read"][1])), ("RS256", "by a signed call\n"))
    tap.equal("each envelope once", said["once"], [200, 401, 401])
    mine = [e for e in events("ToolCallAuthorized") if e["session_id"] == said["attest"][1]["session_id"]]
    tap.equal("on record, in order", [e["tool_name"] for e in mine], ["fs.write", "fs.read", "fs.list"])
    tap.equal("as signed by the agent", {e["decision"]["signer"] for e in mine}, {"agent"})
    error("a token from the sandbox is of no use outside", post("/v1/smcp/invoke", said["spare"]), 401, 1006)
    tap.equal("the session ended with its execution",
              [e["reason"] for e in events("SessionRevoked") if e["session_id"] == said["attest"][1]["session_id"]],
              ["the execution has ended"])


try:
    node.start()
    doors_ask_for_the_key()
    tokens()
    policy()
    files()
    bad_envelopes()
    once()
    provisioned()
    sessions()
    rotation()
    verbs()
    workload()
    verdict = node.audit("verify")
    tap.equal("the audit journal verifies", verdict.returncode, 0)
finally:
    node.stop()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs().splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
