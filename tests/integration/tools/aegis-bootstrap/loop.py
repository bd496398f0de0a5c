#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The real aegis-bootstrap against a scripted orchestrator, outside of any sandbox."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
import tap
from orchestrator import Orchestrator, Reply, dispatch, final

BOOTSTRAP = os.environ["AEGIS_BUILD"] + "/bin/aegis-bootstrap"
HERE = os.path.dirname(os.path.abspath(__file__))
DIR = tempfile.TemporaryDirectory(prefix="aegis-bootstrap-")
SOCKET = DIR.name + "/gateway.sock"
IDS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(64)]


def start(arguments, **env):
    full = {"PATH": "/usr/local/bin:/usr/bin:/bin", "AEGIS_EXECUTION_ID": "e-1", "AEGIS_AGENT_ID": "a-1",
            "AEGIS_ITERATION": "3", "AEGIS_MODEL_ALIAS": "smart", **env}
    return subprocess.Popen([BOOTSTRAP, "--socket", SOCKET, *arguments], env=full, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process, timeout=30):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return "timeout", out, err
    return process.returncode, out, err


def play(steps, arguments=("say hello",), timeout=30, **env):
    o = Orchestrator(SOCKET, steps).start()
    try:
        code, out, err = finish(start(list(arguments), **env), timeout)
    finally:
        o.stop()
    return o, code, out, err


def results(o):
    return [r["body"] for r in o.requests if r["body"]["type"] == "dispatch_result"]


def alive(marker):
    """Processes whose command line holds the marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if marker.encode() in f.read() and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def leads(pid):
    """Whether it has a session of its own by now."""
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def test_final():
    o, code, out, err = play([final("done")])
    tap.equal("final: exit status", code, 0)
    tap.equal("final: content is printed", out, "done\n")
    tap.equal("final: request", o.requests[0]["body"],
              {"type": "generate", "agent_id": "a-1", "execution_id": "e-1", "iteration_number": 3,
               "model_alias": "smart", "prompt": "say hello", "messages": []})
    tap.equal("final: path", (o.requests[0]["method"], o.requests[0]["path"]), ("POST", "/v1/dispatch-gateway"))
    _, code, out, _ = play([Reply({"content": "untyped", "tool_calls_executed": 1})])
    tap.equal("final: upstream's reply without a type", (code, out), (0, "untyped\n"))
    _, code, out, _ = play([Reply({"type": "final", "content": "in chunks"}, chunked=True)])
    tap.equal("final: chunked", (code, out), (0, "in chunks\n"))


def test_exec():
    o, code, _, _ = play([
        dispatch(IDS[0], "printf", "%s|", "a b", "$HOME", "c;d", cwd="/tmp"),
        dispatch(IDS[1], "sh", "-c", "pwd; echo $X $AEGIS_ITERATION; echo oops >&2; exit 3", cwd="/tmp",
                 env_additions={"X": "y", "AEGIS_ITERATION": "9"}),
        dispatch(IDS[2], "sh", "-c", "kill -9 $$", cwd="/"),
        dispatch(IDS[3], "no-such-program", cwd="/"),
        dispatch(IDS[4], "/etc/hostname", cwd="/"),
        dispatch(IDS[5], "true", cwd="/no/such/place"),
        final("ok")])
    r = results(o)
    tap.equal("exec: the loop ends well", code, 0)
    tap.equal("exec: six results", len(r), 6)
    tap.equal("exec: arguments reach the program untouched", r[0]["stdout"], "a b|$HOME|c;d|")
    tap.equal("exec: fields of a result", sorted(r[0]), sorted(
        ["type", "execution_id", "dispatch_id", "exit_code", "stdout", "stderr", "duration_ms", "truncated"]))
    tap.equal("exec: cwd and environment", r[1]["stdout"], "/tmp\ny 9\n")
    tap.equal("exec: stderr and exit code", (r[1]["stderr"], r[1]["exit_code"]), ("oops\n", 3))
    tap.equal("exec: death by a signal", r[2]["exit_code"], 137)
    tap.equal("exec: not found", (r[3]["exit_code"], "No such file" in r[3]["stderr"]), (127, True))
    tap.equal("exec: not executable", r[4]["exit_code"], 126)
    tap.equal("exec: bad cwd", (r[5]["exit_code"], "/no/such/place" in r[5]["stderr"]), (-1, True))
    tap.equal("exec: ids are echoed", [x["dispatch_id"] for x in r], IDS[:6])


def test_refusals():
    o, code, _, _ = play([
        Reply({"type": "dispatch", "dispatch_id": IDS[0], "action": "teleport"}),
        Reply({"type": "dispatch", "dispatch_id": IDS[1], "action": "exec"}),
        Reply({"type": "dispatch", "dispatch_id": IDS[2], "action": "exec", "command": "true", "args": ["a", 1]}),
        Reply({"type": "dispatch", "dispatch_id": IDS[3], "action": "exec", "command": "true",
               "timeout_secs": -1}),
        final("ok")])
    r = results(o)
    tap.equal("refusal: unknown action", (r[0]["exit_code"], r[0]["stderr"]), (-1, "unknown_action:teleport"))
    for n, field in ((1, "command"), (2, "args"), (3, "timeout_secs")):
        tap.ok(f"refusal: bad {field}", r[n]["exit_code"] == -1 and field in r[n]["stderr"], r[n])
    tap.equal("refusal: the loop goes on", code, 0)

    _, code, out, err = play([Reply({"error": "upstream_rate_limit: slow down"}, status=429)])
    tap.equal("HTTP error: exit status", code, 1)
    tap.ok("HTTP error: on stderr", "HTTP 429" in err and "slow down" in err, err)
    for name, raw in (("no HTTP", b"220 mail.example ESMTP\r\n\r\n"),
                      ("length and chunks", b"HTTP/1.1 200 X\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
                      ("too long", b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n"),
                      ("no JSON", b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n{\"a\":"),
                      ("no object", b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n[]")):
        _, code, out, err = play([Reply(raw=raw)])
        tap.ok(f"bad reply: {name}", code == 1 and err.startswith("Error: "), (code, err))


def test_output():
    o, _, _, _ = play([
        dispatch(IDS[0], "sh", "-c", "seq 1 20000; echo end >&2", cwd="/", max_output_bytes=1000),
        dispatch(IDS[1], "sh", "-c", "yes out | head -c 100000000; yes err | head -c 1000000 >&2", cwd="/",
                 max_output_bytes=1000),
        dispatch(IDS[2], "printf", "\\377\\303\\244\\001", cwd="/"),
        final("ok")])
    r = results(o)
    tap.ok("output: the tail is kept", r[0]["truncated"] and r[0]["stdout"].endswith("19999\n20000\n"), r[0])
    tap.equal("output: what stderr leaves free, stdout has", len(r[0]["stdout"]), 996)
    tap.equal("output: stderr is whole", r[0]["stderr"], "end\n")
    tap.equal("output: a flood is cut, half each", (len(r[1]["stdout"]), len(r[1]["stderr"])), (500, 500))
    tap.equal("output: not UTF-8", r[2]["stdout"], "\ufffd\u00e4\x01")
    tap.equal("output: short ones are not cut", r[2]["truncated"], False)


def test_timeout():
    marker = f"marker-{os.getpid()}"
    nest = (f"sleep 300 {marker} & setsid sh -c 'sleep 301; : {marker}' & "
            f"(setsid sh -c '(sleep 302; : {marker}) & sleep 303; : {marker}' &) ; echo started; sleep 304; : {marker}")
    nest = nest.replace(f"sleep 300 {marker}", f"sh -c 'sleep 300; : {marker}'")
    began = time.monotonic()
    o, code, _, _ = play([dispatch(IDS[0], "sh", "-c", nest, cwd="/", timeout_secs=1), final("ok")])
    r = results(o)[0]
    tap.equal("timeout: exit code", (r["exit_code"], code), (-1, 0))
    tap.ok("timeout: is said", "timed out after 1s" in r["stderr"], r)
    tap.equal("timeout: output so far is kept", r["stdout"], "started\n")
    tap.ok("timeout: within time", time.monotonic() - began < 100)
    tap.equal("timeout: no grandchild is left", alive(marker), [])

    nest = f"(setsid sh -c 'sleep 300; : {marker}' >/dev/null 2>&1 &); echo done"
    left = []

    def look(patience):
        end = time.monotonic() + patience  # a process in the middle of exec shows no command line
        while not any(map(leads, found := alive(marker))) and time.monotonic() < end:
            time.sleep(0.02)
        left[:] = found
        return final("ok")

    play([dispatch(IDS[0], "sh", "-c", nest, cwd="/"), lambda _: look(0.3)])
    tap.equal("rest: is killed at the result", left, [])
    play([dispatch(IDS[0], "sh", "-c", nest, cwd="/", background=True), lambda _: look(20)])
    tap.ok("rest: background work may stay", left)
    for pid in filter(leads, left):
        os.killpg(pid, signal.SIGKILL)


def test_restart():
    o, code, out, _ = play([Reply(drop=True), Reply({"type": "final", "content": "x" * 1000}, head_only=True),
                            final("third time")])
    ids = [r["headers"]["x-aegis-request-id"] for r in o.requests]
    tap.equal("restart: repeated until answered", (code, out, len(ids)), (0, "third time\n", 3))
    tap.equal("restart: under the same id", len(set(ids)), 1)
    tap.equal("restart: with the same body", len({json.dumps(r["body"]) for r in o.requests}), 1)

    log = DIR.name + "/once"
    again = dispatch(IDS[7], "sh", "-c", f"echo ran >> {log}; echo out", cwd="/")
    o, code, _, _ = play([again, again, final("ok")])
    with open(log, encoding="utf-8") as f:
        tap.equal("restart: a repeated dispatch does not run twice", f.read(), "ran\n")
    r = results(o)
    tap.equal("restart: its result is sent again", (len(r), r[0] == r[1]), (2, True))

    process = start(["patience"])
    time.sleep(0.5)
    o = Orchestrator(SOCKET, [dispatch(IDS[8], "sleep", "1", cwd="/")]).start()
    while not o.answered:
        time.sleep(0.01)
    o.stop()
    time.sleep(1.5)
    later = Orchestrator(SOCKET, [final("after the restart")]).start()
    code, out, err = finish(process)
    later.stop()
    tap.equal("restart: while a call runs", (code, out), (0, "after the restart\n"))
    tap.equal("restart: the new daemon gets the result", later.requests[0]["body"].get("dispatch_id"), IDS[8])

    o, code, _, err = play([lambda _: (time.sleep(3), final("late"))[1]], AEGIS_LLM_TIMEOUT_SECONDS="1")
    tap.ok("no answer: is an error after its time", code == 1 and "within 1 s" in err, (code, err))


def test_signals():
    o = Orchestrator(SOCKET, [dispatch(IDS[0], "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done",
                                       cwd="/")]).start()
    process = start(["x"])
    while not o.requests:
        time.sleep(0.01)
    time.sleep(0.3)
    process.terminate()
    code, _, _ = finish(process, 10)
    o.stop()
    tap.equal("signals: SIGTERM ends the call and the agent", (code, results(o)), (143, []))


def test_program():
    own = HERE + "/agent_upstream.py"
    o, code, out, err = play(
        [dispatch(IDS[0], "echo", "from the script", timeout_secs=5), final("the script's answer")],
        ["--program", "python3", own, "hello"])
    kinds = [r["body"]["type"] for r in o.requests]
    tap.equal("program: speaks through the relay", kinds, ["generate", "dispatch_result", "program_result"])
    tap.equal("program: its call", o.requests[1]["body"]["stdout"], "from the script\n")
    last = o.requests[-1]["body"]
    tap.equal("program: its end is reported", (code, last["exit_code"], last["stdout"], last["iteration_number"]),
              (0, 0, "the script's answer\n", 3))
    tap.ok("program: relayed requests carry an id", all("x-aegis-request-id" in r["headers"] for r in o.requests))

    o, code, _, _ = play([Reply(drop=True), Reply(drop=True), final("relayed again")],
                         ["--program", "python3", own, "hello"])
    ids = {r["headers"]["x-aegis-request-id"] for r in o.requests[:3]}
    tap.equal("relay: repeats an unanswered request under one id", (code, len(ids)), (0, 1))
    tap.equal("relay: the script notices nothing", o.requests[-1]["body"]["stdout"], "relayed again\n")

    o, code, _, _ = play([lambda _: Reply({})], ["--program", "sh", "-c", "echo broken >&2; exit 5"])
    tap.equal("program: its exit status is ours", (code, o.requests[0]["body"]["stderr"]), (5, "broken\n"))


def test_hostile():
    flood = """
import os, socket, urllib.request, urllib.parse
url = urllib.parse.urlparse(os.environ["AEGIS_ORCHESTRATOR_URL"])
held = []
for n in range(200):
    s = socket.socket(); s.settimeout(0.05)
    try:
        s.connect((url.hostname, url.port)); s.send(b"POST /x HTTP/1.1\\r\\nX: " + b"a" * 9000)
    except OSError:
        pass
    held.append(s)
try:
    open(f"/proc/{os.getppid()}/mem", "rb"); print("memory is open")
except PermissionError:
    print("memory is shut")
try:
    os.listdir(f"/proc/{os.getppid()}/fd"); print("descriptors are open")
except PermissionError:
    print("descriptors are shut")
"""
    script = DIR.name + "/flood.py"
    with open(script, "w", encoding="utf-8") as f:
        f.write(flood)
    o, code, _, _ = play([final("x")] * 200, ["--program", "python3", script])
    last = [r["body"] for r in o.requests if r["body"] and r["body"]["type"] == "program_result"]
    tap.equal("hostile: a flood of connections does not stop the report", (code, len(last)), (0, 1))
    if os.getuid() == 0:
        tap.skip("hostile: memory and descriptors are shut", "root may look everywhere")
    else:
        tap.equal("hostile: memory and descriptors are shut", last[0]["stdout"],
                  "memory is shut\ndescriptors are shut\n")


def test_usage():
    p = subprocess.run([BOOTSTRAP, "--help"], capture_output=True, text=True)
    tap.ok("usage: help", p.returncode == 0 and "--program PROGRAM" in p.stdout, p.stdout)
    p = subprocess.run([BOOTSTRAP, "--socket"], capture_output=True, text=True)
    tap.ok("usage: wrong arguments", p.returncode == 2 and "--help" in p.stderr)
    p = subprocess.run([BOOTSTRAP], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    tap.ok("usage: not started by the helper", p.returncode == 1 and "launch" in p.stderr, p.stderr)


for test in (test_final, test_exec, test_refusals, test_output, test_timeout, test_restart, test_signals,
             test_program, test_hostile, test_usage):
    test()
DIR.cleanup()
tap.done()
