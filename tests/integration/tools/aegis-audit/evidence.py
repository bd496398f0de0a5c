#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""search, why, stats and export over records with a verdict from every source."""

import json
import os
import shutil
import subprocess
import tempfile

import tap

BUILD = os.environ["AEGIS_BUILD"]
RUN = "11000000-0000-0000-0000-000000000000"
CALL = "22000000-0000-0000-0000-000000000000"
EVENT = "33000000-0000-0000-0000-000000000000"

top = tempfile.mkdtemp(prefix="aegis-test-")
journal = f"{top}/audit"


def run(*args):
    return subprocess.run(
        [f"{BUILD}/bin/aegis-audit", "--journal", journal, *args],
        capture_output=True, text=True, timeout=60)


def objects(*args):
    return [json.loads(line) for line in run(*args).stdout.splitlines()]


def numbers(*args):
    return [x["number"] for x in objects("search", "--output", "json", *args)]


def invalid(name, *args):
    r = run(*args)
    tap.ok(name, r.returncode == 2 and "accepted" in r.stderr, f"{r.returncode} {r.stderr}")


def test_search():
    tap.equal("newest first", numbers(), [9, 8, 7, 6, 5, 4, 3, 2, 1])
    tap.equal("a limit keeps the newest", numbers("--limit", "3"), [9, 8, 7])
    tap.equal("oldest first, and the limit the oldest", numbers("--oldest", "--limit", "3"),
              [1, 2, 3])
    tap.equal("denied, from every source", numbers("--denied"), [9, 7, 6, 5, 4, 2])
    tap.equal("by execution", numbers("--execution", RUN), [9, 7, 6, 5, 4, 3, 2])
    tap.equal("by source", numbers("--source", "kernel"), [9, 7, 6, 5])
    tap.equal("by kind", numbers("--kind", "Gap"), [8])
    tap.equal("by text of either case", numbers("--text", "/ETC/passwd"), [2])
    tap.equal("from is meant, to is not", numbers("--from", "1970-01-01T00:33:20Z", "--to",
                                                  "1970-01-01T01:06:40Z"), [4, 3])
    tap.equal("how long ago", numbers("--from", "1h"), [8, 1])
    tap.equal("by policy in a decision", numbers("--policy", "no-secrets"), [4])
    tap.equal("by policy in a kernel record", numbers("--policy", "no-bad"), [7])
    tap.equal("by the default", numbers("--policy", "default"), [5, 2])
    tap.equal("tail takes the filters", [x["number"] for x in objects(
        "tail", "--denied", "-n", "2", "--output", "json")], [7, 9])
    tap.equal("nothing found", run("search", "--kind", "FileDeleted").returncode, 1)
    tap.ok("no control characters in text", "\x1b" not in run("search").stdout)
    invalid("a time that is none", "search", "--from", "yesterday")
    invalid("a limit of nothing", "search", "--limit", "0")


def test_why():
    r = run("why", EVENT)
    for part in ("denied (2002): path '/etc/passwd'", "no policy: what none permits is denied",
                 "aegis policy show abcd", "tool:fs.read", '["/etc/passwd"]',
                 "A policy must permit"):
        tap.ok(f"why of a call says: {part}", part in r.stdout, r.stdout)
    r = run("why", CALL)
    tap.ok("a forbid is named", "aegis policy show abcd 'no-secrets'" in r.stdout
           and "a forbid holds whatever" in r.stdout, r.stdout)
    why = objects("why", "5", "--output", "json")[0]
    tap.equal("facts of a packet", (why["facts"]["address"], why["facts"]["port"],
                                    why["policies"], why["denied"]), ("192.0.2.7", 443, [], True))
    tap.ok("which policy may permit", why["change"].startswith("A policy must permit"), why)
    tap.ok("a fragment no policy permits",
           "no policy can permit" in objects("why", "6", "--output", "json")[0]["change"])
    tap.ok("nor is one named as the reason", "none was asked" in run("why", "6").stdout)
    r = run("why", "9")
    tap.ok("a forbid without a name is still one", "policy that the record does not name" in r.stdout
           and "The policies that forbid it" in r.stdout, r.stdout)
    why = objects("why", "7", "--output", "json")[0]
    tap.equal("a name", (why["facts"]["name"], why["policies"]), ("bad.example", ["no-bad"]))
    r = run("why", "event:2")
    tap.ok("what was allowed", "allowed" in r.stdout and "spec.tools[0]" in r.stdout, r.stdout)
    r = run("why", "8")
    tap.ok("a gap holds no decision", r.returncode == 1 and "no decision" in r.stderr, r.stderr)
    tap.equal("a record that is not there", run("why", "99").returncode, 1)
    invalid("what is no record", "why", "yesterday")


def test_stats():
    s = objects("stats", "--output", "json")[0]
    tap.equal("all", (s["records"], s["gaps"], s["lost"]), (9, 1, 7))
    tap.equal("by source", s["sources"], {"kernel": 4, "event": 2, "journal": 2, "file": 1})
    tap.equal("by verdict", s["verdicts"], {"denied": 6, "allowed": 1})
    tap.equal("by kind", s["kinds"]["NetworkDenied"], 3)
    tap.equal("by policy", s["policies_denying"], {"default": 2, "no-bad": 1, "no-secrets": 1, "not named": 1})
    tap.equal("by execution", s["executions"], {RUN: 7})
    s = objects("stats", "--output", "json", "--source", "file")[0]
    tap.equal("of a filter", (s["records"], s["lost"]), (1, 0))
    r = run("stats")
    tap.ok("as text", "7 records were lost" in r.stdout and "4  kernel" in r.stdout, r.stdout)


def test_export():
    tap.equal("json lines from a number on", [x["number"] for x in objects(
        "export", "--number", "7")], [7, 8, 9])
    events = objects("export", "--format", "ocsf")
    tap.equal("classes of OCSF", [e["class_uid"] for e in events],
              [0, 2004, 6003, 1001, 4001, 4001, 4003, 0, 4001])
    tap.ok("required members of every class", all(
        e["type_uid"] == e["class_uid"] * 100 + e["activity_id"]
        and e["category_uid"] == e["class_uid"] // 1000 and e["severity_id"]
        and e["metadata"]["version"] == "1.3.0" and e["metadata"]["product"]["vendor_name"]
        and isinstance(e["time"], int) for e in events))
    tap.equal("verdicts", [e.get("action_id") for e in events],
              [None, 2, 1, 2, 2, 2, 2, None, 2])
    tap.equal("policies", [e.get("policy") for e in events[2:7]],
              [{"uid": "spec.tools[0]", "version": "abcd"}, {"uid": "no-secrets", "version": "abcd"},
               None, None, {"uid": "no-bad"}])
    tap.equal("a question with its answer", (events[6]["type_uid"], events[6]["rcode_id"]),
              (400306, 5))
    tap.equal("a finding", events[1]["finding_info"]["uid"], EVENT)
    tap.equal("a packet", (events[4]["dst_endpoint"], events[4]["connection_info"]),
              ({"ip": "192.0.2.7", "port": 443}, {"direction_id": 2, "protocol_num": 6}))
    tap.equal("a packet that came in", events[8]["src_endpoint"], {"ip": "192.0.2.8", "port": 22})
    tap.equal("a name", events[6]["query"], {"hostname": "bad.example", "type": "AAAA"})
    tap.equal("a file", events[3]["file"]["name"], "secret")
    tap.equal("a gap is whole", events[7]["unmapped"]["payload"]["lost"], 7)

    lines = run("export", "--format", "cef").stdout.splitlines()
    tap.equal("CEF is one line a record", len(lines), 9)
    tap.ok("the header is escaped", "|ToolPolicyViolation|a\\|b\\\\c=d e" in lines[1], lines[1])
    tap.ok("the extension is escaped", "msg=a|b\\\\c\\=d\\ne" in lines[1], lines[1])
    tap.ok("no control characters", "\x1b" not in "".join(lines))
    tap.ok("a packet of CEF", "|7|rt=4000000 " in lines[4] and " dst=192.0.2.7 dpt=443 proto=TCP"
           in lines[4] and " act=denied" in lines[4], lines[4])
    tap.ok("IPv6 has its own key", "c6a3=2001:db8::7" in lines[5], lines[5])
    tap.ok("lost records", "cn2=7 cn2Label=lost" in lines[7], lines[7])

    r = run("export", "--format", "cef", "--file", f"{top}/out")
    with open(f"{top}/out") as f:
        tap.equal("to a file", f.read().splitlines(), lines)
    tap.equal("for its owner only", os.stat(f"{top}/out").st_mode & 0o777, 0o600)
    tap.equal("a folder that is not there",
              run("export", "--file", f"{top}/none/out").returncode, 1)
    tap.equal("a number beyond", run("export", "--number", "99").returncode, 1)
    invalid("a format that is none", "export", "--format", "leef")
    invalid("a number that is none", "export", "--number", "0")


def test_damage():
    segment = f"{journal}/00000000000000000001.journal"
    with open(segment, "rb") as f:
        whole = f.read()
    with open(segment, "wb") as f:
        f.write(whole.replace(b"/workspace/secret", b"/workspace/public"))
    r = run("search", "--output", "json")
    tap.equal("search stops at damage", r.returncode, 4)
    tap.equal("and shows what stands before it",
              [json.loads(line)["number"] for line in r.stdout.splitlines()], [3, 2, 1])
    for verb in ("stats", "export"):
        tap.equal(f"{verb} stops at damage", run(verb).returncode, 4)


def main():
    subprocess.run([f"{BUILD}/tests/integration/make_journal", journal, "denials"],
                   check=True, capture_output=True, timeout=60)
    test_search()
    test_why()
    test_stats()
    test_export()
    test_damage()
    shutil.rmtree(top)
    tap.done()


main()
