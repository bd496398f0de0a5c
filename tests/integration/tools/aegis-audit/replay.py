#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""what-if, learn, why and trace over a recording whose decisions are the matcher's own."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

import tap

BUILD = os.environ["AEGIS_BUILD"]
TOOL = f"{BUILD}/bin/aegis-audit"
RUN = "11000000-0000-0000-0000-000000000000"

top = tempfile.mkdtemp(prefix="aegis-test-")
journal = f"{top}/audit"


def run(*args):
    return subprocess.run([TOOL, "--journal", journal, *args],
                          capture_output=True, text=True, timeout=120)


def objects(*args):
    return [json.loads(line) for line in run(*args, "--output", "json").stdout.splitlines()]


def numbers(*args):
    return [x["number"] for x in objects("search", "--oldest", "--limit", "100", *args)]


def folder(name, text):
    os.makedirs(f"{top}/{name}", exist_ok=True)
    with open(f"{top}/{name}/files.cedar", "w") as f:
        f.write(text)
    return f"{top}/{name}"


FILES = """// the operator's
@id("no-secrets")
forbid (principal, action, resource in Path::"/workspace/secret");
@id("no-secret-tools")
forbid (principal, action in Action::"tool", resource)
when { context has path && context.path in Path::"/workspace/secret" };
"""


def test_what_if():
    r = run("what-if", "--policy", folder("same", FILES))
    tap.equal("the same policies flip nothing", (r.returncode, r.stdout, r.stderr), (
        0, "11 decisions: 11 stay, 0 would be denied, 0 would be allowed\n", ""))
    none = folder("none", "// nothing\n")
    r = run("what-if", "--policy", none)
    tap.equal("without the forbid a call flips", r.returncode, 6)
    tap.ok("and is named", "denied -> allowed tool:fs.read /workspace/secret/key by" in r.stdout
           and "10 stay, 0 would be denied, 1 would be allowed" in r.stdout, r.stdout)
    more = folder("more", FILES + '@id("no-python")\nforbid (principal, action, resource)\n'
                  'when { context has command && context.command.base == "python3" };\n')
    flips = objects("what-if", "--policy", more)
    tap.equal("a new forbid flips a command", [
        (f["recorded"], f["then"], f["policy"], f["line"], f["request"]["argv"])
        for f in flips[:-1]], [("allowed", "denied", "no-python", 8, ["python3", "main.py"])])
    tap.equal("and the sum says so", (flips[-1]["now_denied"], flips[-1]["same"]), (1, 10))
    r = run("what-if", "--policy", more, "--source", "file")
    tap.equal("a filter leaves it out", r.returncode, 0)
    net = folder("net", FILES + '@id("web")\npermit (principal, action == Action::"net:connect",'
                 ' resource is Address) when { context has ip && context.ip.isInRange(ip("192.0.2.0/24")) };\n')
    flips = objects("what-if", "--policy", net)
    tap.equal("what the kernel denied is asked again",
              [(f["kind"], f["then"], f["request"]["address"]) for f in flips[:-1]],
              [("NetworkDenied", "allowed", "192.0.2.7")])
    r = run("what-if", "--policy", folder("bad", "permit (principal, action;\n"))
    tap.ok("policies that are none are refused", r.returncode == 2 and "files.cedar" in r.stderr,
           f"{r.returncode} {r.stderr}")
    tap.equal("without policies it is refused", run("what-if").returncode, 2)
    with open(f"{top}/whole.cedar", "w") as f:
        f.write("permit (principal, action, resource);\n")
    flips = objects("what-if", "--set", f"{top}/whole.cedar")
    tap.equal("a whole set stands alone", (flips[-1]["now_allowed"], flips[-1]["now_denied"]), (4, 0))


def test_told_twice():
    """The file layer and the event of the call both record one decision: it counts once."""
    global journal
    kept, journal = journal, f"{top}/twice"
    subprocess.run([f"{BUILD}/tests/integration/make_recording", journal, "twice"], check=True,
                   capture_output=True, timeout=60)
    r = run("what-if", "--policy", f"{top}/same")
    tap.ok("what-if counts a decision once that two records tell", r.stdout.startswith("3 decisions: 3 stay"), r.stdout)
    tap.ok("of each source by itself, too",
           run("what-if", "--policy", f"{top}/same", "--source", "event").stdout.startswith("2 decisions"))
    tap.equal("stats, too", [objects("stats")[0][k] for k in ("verdicts", "policies_denying")],
              [{"allowed": 2, "denied": 1}, {"no-secrets": 1}])
    r = run("learn", "--agent", "coder")
    tap.ok("and learn", "# 2 allowed decisions, 2 different questions" in r.stdout, r.stdout)
    journal = kept


def test_next_steps():
    """An error says what to do about it."""
    r = run("what-if", "--policy", "/nope")
    tap.ok("policies that are not there", r.returncode == 1 and "No such file" in r.stderr and "accepted: a folder" in r.stderr,
           r.stderr)
    node = config("one.yaml", '- {name: "coder", capabilities: []}')
    for name, says in (("codr", "did you mean coder?"), ("zzzzzz", "it has: coder")):
        r = run("learn", "--execution", RUN, "--context", name, "--config", node)
        tap.ok(f"context {name}", r.returncode == 1 and says in r.stderr, r.stderr)
    for args in (["search"], ["stats"], ["what-if", "--policy", f"{top}/same"], ["learn"]):
        r = run(*args, "--agent", "codre")
        tap.ok(f"{args[0]}: an agent that no record names", "did you mean coder?" in r.stderr, r.stderr)
    tap.ok("a tool that no record names", "did you mean fs.read?" in run("search", "--tool", "fs.raed").stderr)
    tap.ok("nothing near: what there is", "there are: coder" in run("search", "--agent", "zzzzzz").stderr)
    tap.ok("an agent that is there is not doubted", "no record names" not in run(
        "search", "--agent", "coder", "--text", "nothing has this text").stderr)


def test_meant_otherwise():
    r = run("why", RUN)
    tap.ok("why of an execution says where its records are", r.returncode == 1
           and f"aegis-audit search --execution {RUN}" in r.stderr, r.stderr)
    r = run("verify", "--anchor", f"{top}/same/files.cedar")
    tap.ok("a file that is no anchor says where one comes from", r.returncode == 2 and "aegis-audit anchor" in r.stderr, r.stderr)
    r = run("export", "--output", "yaml")
    tap.ok("export has forms of its own", r.returncode == 2 and "--format jsonl ocsf cef" in r.stderr and not r.stdout, r.stderr)
    tap.ok("a fork says by whom", any(line.rstrip().endswith("ProcessForked [11 sh] by 10") for line in
                                      run("trace", "--all", "--once").stdout.splitlines()))


def test_without_the_set():
    """A journal that lacks the text cannot say that nothing changes."""
    global journal
    kept, journal = journal, f"{top}/events"
    subprocess.run([f"{BUILD}/tests/integration/make_journal", journal, "denials"], check=True,
                   capture_output=True, timeout=60)
    r = run("what-if", "--policy", f"{top}/same")
    tap.ok("decisions of an unknown set are counted", r.returncode == 6
           and "could not be made again" in r.stdout, f"{r.returncode} {r.stdout} {r.stderr}")
    journal = kept


def config(name, context):
    """A node configuration with that context."""
    body = "\n".join("    " + line for line in context.splitlines())
    with open(f"{top}/{name}", "w") as f:
        f.write("apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata:\n  name: n\nspec:\n"
                "  node:\n    id: 7b1d7a9e-3c0b-4d8c-9d35-1f6a2b9c0d11\n    type: edge\n"
                f"  security_contexts:\n{body}\n")
    return f"{top}/{name}"


def test_learn():
    r = run("learn", "--execution", RUN)
    tap.equal("all that was allowed is granted", (r.returncode, r.stderr), (0, ""))
    tap.ok("which is proved twice", "0 denied by the context below, alone and as the ceiling of the "
           "recorded policies" in r.stdout, r.stdout)
    added = [line[1:].strip() for line in r.stdout.splitlines() if line.startswith("+ ")]
    tap.equal("the smallest context", added, [
        "capabilities:",
        '- tool_pattern: "fs.read"', "path_allowlist:", '- "/workspace/a.txt"',
        '- "/workspace/main.py"',
        '- tool_pattern: "fs.write"', "path_allowlist:", '- "/workspace/out/b.txt"',
        '- tool_pattern: "cmd.run"', "subcommand_allowlist:", '"python3":', '- "main.py"'])
    learned = objects("learn", "--execution", RUN, "--context", "coder")[0]
    tap.equal("the proof as JSON", (learned["proof"]["denied"], learned["proof"]["decisions"],
                                    learned["proof"]["policy_sets_missing"]), (0, 6, 0))
    same = config("node.yaml", learned["security_context"])
    r = run("learn", "--execution", RUN, "--context", "coder", "--config", same)
    tap.ok("what it proposes, the configuration takes, and nothing is left to change",
           r.returncode == 0 and "# nothing changes" in r.stdout, f"{r.stdout} {r.stderr}")
    wider = config("wide.yaml", learned["security_context"].replace(
        '"/workspace/a.txt"', '"/workspace/a.txt"\n        - "/workspace/never"'))
    r = run("learn", "--execution", RUN, "--context", "coder", "--config", wider)
    changes = [line for line in r.stdout.splitlines() if line[0] in "+-"]
    tap.equal("what is too much goes", changes, [
        "--- security_contexts/coder", "+++ security_contexts/coder", '-        - "/workspace/never"'])
    r = run("learn", "--execution", RUN, "--context", "none", "--config", same)
    tap.equal("a context that is not there", r.returncode, 1)
    tap.equal("learn from what", run("learn").returncode, 2)
    tap.equal("from a run that did nothing", run("learn", "--agent", "nobody").returncode, 1)


def test_learn_from_others():
    global journal
    kept, journal = journal, f"{top}/many"
    subprocess.run([f"{BUILD}/tests/integration/make_recording", journal, "200"], check=True,
                   capture_output=True, timeout=60)
    r = run("learn", "--agent", "coder")
    paths = [line.split('"')[1] for line in r.stdout.splitlines() if '"/workspace' in line]
    tap.equal("many files become their folders", (r.returncode, paths),
              (0, [f"/workspace/d{i}" for i in range(10)]))
    journal = f"{top}/path"
    subprocess.run([f"{BUILD}/tests/integration/make_recording", journal, "path"], check=True,
                   capture_output=True, timeout=60)
    r = run("learn", "--agent", "coder")
    tap.ok("what a context cannot say is told", r.returncode == 6
           and "1 questions are beyond" in r.stdout and "/opt/tools/build" in r.stdout
           and '"/workspace/a.txt"' in r.stdout and "tool_pattern: \"cmd.run\"" not in r.stdout,
           f"{r.returncode} {r.stdout}")
    journal = kept


def test_why():
    denied = [x for x in objects("search", "--denied", "--tool", "fs.read")][0]["number"]
    r = run("why", str(denied))
    tap.ok("why names the line that denied",
           "forbid  files.cedar:5 (no-secret-tools): applies" in r.stdout, r.stdout)
    why = objects("why", str(denied))[0]
    rule = [x for x in why["rules"] if x["applies"] and x["effect"] == "forbid"][0]
    tap.equal("as JSON, with its text", (why["decided_again"], why["same_verdict"], rule["file"],
                                         rule["line"], "forbid" in rule["text"]),
              (True, True, "files.cedar", 5, True))
    denied = objects("search", "--denied", "--tool", "cmd.run")[0]["number"]
    why = objects("why", str(denied))[0]
    tap.ok("and which permit nearly applied", any(
        x["effect"] == "permit" and x["because"] == "its condition is false"
        and "python3" in x.get("detail", "") for x in why["rules"]), why["rules"])


def test_filters():
    tap.equal("by agent", len(numbers("--agent", "coder")), 19)
    tap.equal("by another agent", run("search", "--agent", "writer").returncode, 1)
    tap.equal("by tenant", len(numbers("--tenant", "local")), 19)
    tap.equal("by tool", len(numbers("--tool", "fs.*")), 3)
    tap.equal("by verdict", len(numbers("--verdict", "allowed")), 7)
    tap.equal("below a folder", len(numbers("--path", "/workspace/out")), 2)
    tap.equal("a folder is no prefix of names", run("search", "--path", "/workspace/ou").returncode, 1)
    tap.equal("by a glob", len(numbers("--path", "/workspace/**/key")), 1)
    tap.equal("by address", len(numbers("--destination", "192.0.2.7:443")), 1)
    tap.equal("by block", len(numbers("--destination", "192.0.2.0/29")), 2)
    tap.equal("by another port", run("search", "--destination", "192.0.2.7:80").returncode, 1)
    for bad in ("192.0.2.0/33", "a:b", "[::1", "[::1]x", "a:70000", ""):
        tap.equal(f"destination '{bad}' is none", run("search", "--destination", bad).returncode, 2)
    tap.equal("an IPv6 block is one", run("search", "--destination", "[2001:db8::/32]:53").returncode, 1)
    tap.equal("by call", len(numbers("--call", "22000000-0000-0000-0000-000000000000")), 8)
    tap.equal("by iteration", run("search", "--iteration", "2").returncode, 1)
    s = objects("stats")[0]
    tap.equal("stats by agent and tool", (s["agents"], s["tools"]),
              ({"coder": 19}, {"fs.read": 2, "cmd.run": 2, "fs.write": 1}))


def test_export():
    events = [json.loads(x) for x in run("export", "--format", "ocsf", "--source", "kernel").stdout.splitlines()]
    tap.equal("processes, flows and what came later in OCSF", [e["type_uid"] for e in events],
              [100701, 100701, 100701, 100702, 400102, 99, 400105, 400105])
    tap.ok("required members of Process Activity", all(
        e["process"]["pid"] and e["actor"]["process"]["pid"] and e["device"]["uid"] == RUN
        for e in events[:4]))
    tap.equal("what ran, and how it ended", (
        events[2]["process"]["file"], events[2]["process"]["cmd_line"], events[3]["exit_code"]),
        ({"name": "curl", "path": "/usr/bin/curl", "type_id": 1}, "curl", 7))
    tap.equal("bytes of a flow", events[4]["traffic"],
              {"bytes_out": 12, "packets_out": 0, "bytes_in": 34, "packets_in": 0})
    lines = run("export", "--format", "cef", "--source", "kernel").stdout.splitlines()
    tap.ok("a process in CEF", " spid=11 sproc=curl filePath=/usr/bin/curl" in lines[2]
           and "deviceDirection" not in lines[2], lines[2])
    tap.ok("its end", " cn3=7 cn3Label=status" in lines[3], lines[3])
    tap.ok("a flow in CEF", " dst=192.0.2.9 dpt=443 deviceDirection=1 in=34 out=12" in lines[4], lines[4])


def test_trace():
    r = run("trace", "--all", "--once")
    lines = r.stdout.splitlines()
    tap.equal("trace ends where it is told to", (r.returncode, r.stderr), (0, ""))
    tap.ok("whose it is", f"execution {RUN}  agent coder" in r.stdout and "  iteration 1" in lines
           and "    call 22000000-0000-0000-0000-000000000000" in lines, r.stdout)
    tap.ok("no control characters", "\x1b" not in r.stdout)

    def column(text):
        return [line.index(text) for line in lines if text in line][0]
    tap.ok("children stand below their parents",
           column("ProcessExecuted [10 sh]") + 2 == column("ProcessForked [11 sh]")
           == column("ProcessExited [11 curl] status 7"), r.stdout)
    tap.ok("denials are marked", "DENIED NetworkDenied [11 curl] 192.0.2.7:443: no rule" in r.stdout,
           r.stdout)
    tap.ok("flows say their bytes", "192.0.2.9:443 sent 12 received 34" in r.stdout, r.stdout)
    tap.ok("kinds that came later are shown, too", 'SomethingLater {"novel":1}' in r.stdout, r.stdout)
    tap.ok("what was allowed and failed says so", any(
        line.endswith("FileRead /workspace/alone.txt failed: ENOENT") for line in lines), r.stdout)
    curl = [x for x in objects("trace", "--all", "--once", "--kind", "ProcessExited")][0]
    tap.equal("ancestors as JSON", ([(a["pid"], a["command"]) for a in curl["ancestors"]],
                                    curl["agent"], curl["kind"]),
              ([(10, "sh"), (1, "")], "coder", "ProcessExited"))


def test_trace_follows():
    p = subprocess.Popen([TOOL, "--journal", journal, "trace", "--output", "json", "-n", "1"],
                         stdout=subprocess.PIPE, text=True)
    first = json.loads(p.stdout.readline())["number"]
    subprocess.run([f"{BUILD}/tests/integration/make_journal", journal, "2"], check=True,
                   capture_output=True, timeout=60)
    seen = [json.loads(p.stdout.readline()) for _ in range(3)]
    tap.equal("what comes is traced", [x["number"] for x in seen], [first + 1, first + 2, first + 3])
    p.send_signal(signal.SIGINT)
    tap.equal("an interrupt ends it well", p.wait(timeout=60), 0)
    p.stdout.close()


def main():
    subprocess.run([f"{BUILD}/tests/integration/make_recording", journal], check=True,
                   capture_output=True, timeout=60)
    test_what_if()
    test_told_twice()
    test_next_steps()
    test_meant_otherwise()
    test_without_the_set()
    test_learn()
    test_learn_from_others()
    test_why()
    test_filters()
    test_export()
    test_trace()
    test_trace_follows()
    shutil.rmtree(top)
    tap.done()


main()
