#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""aegis-audit as a user runs it: verbs, formats, exit codes."""

import json
import os
import shutil
import subprocess
import tempfile

import tap

BUILD = os.environ["AEGIS_BUILD"]
TOOL = f"{BUILD}/bin/aegis-audit"
MAKE = f"{BUILD}/tests/integration/make_journal"
RUN = "11000000-0000-0000-0000-000000000000"
CALL = "22000000-0000-0000-0000-000000000000"
EVENT = "33000000-0000-0000-0000-000000000000"

VERBS = ("tail", "trace", "show", "search", "why", "stats", "what-if", "learn", "export", "verify",
         "anchor", "keys")

top = tempfile.mkdtemp(prefix="aegis-test-")
journal = f"{top}/audit"


def run(*args, directory=journal):
    return subprocess.run(
        [TOOL, "--journal", directory, *args], capture_output=True, text=True, timeout=60
    )


def make(*args):
    return subprocess.run(
        [MAKE, journal, *args], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def exit_code(name, result, want):
    tap.ok(name, result.returncode == want, f"exit {result.returncode}\n{result.stderr}")


def test_usage():
    r = subprocess.run([TOOL, "tail", "--help"], capture_output=True, text=True)
    tap.ok("help has examples", r.returncode == 0 and "Examples:" in r.stdout)
    r = subprocess.run([TOOL, "--help"], capture_output=True, text=True)
    tap.ok("help says what exit codes mean", "6   what-if" in r.stdout, r.stdout)
    r = subprocess.run([TOOL, "help", "--manual"], capture_output=True, text=True)
    tap.ok("there is a manual page of every verb", r.stdout.startswith(".TH AEGIS-AUDIT 1") and all(
        "aegis\\-audit " + v.replace("-", "\\-") in r.stdout for v in VERBS), r.stdout[:300])
    for shell in ("bash", "zsh", "fish"):
        r = subprocess.run([TOOL, "completion", shell], capture_output=True, text=True)
        tap.ok(f"{shell} completes every verb", r.returncode == 0 and all(
            v in r.stdout for v in VERBS), r.stdout[:3000])
        if shutil.which(shell):
            tap.ok(f"{shell} reads it", subprocess.run(
                [shell, "-n"], input=r.stdout, capture_output=True, text=True).returncode == 0)
    if shutil.which("bash"):
        r = subprocess.run(["bash", "-c", f"source <({TOOL} completion bash); "
                            "COMP_WORDS=(aegis-audit search --verdict d) COMP_CWORD=3; _aegis_audit; "
                            "echo ${COMPREPLY[@]}"], capture_output=True, text=True)
        tap.equal("the words of an option are completed", (r.stdout, r.stderr), ("denied\n", ""))
    else:
        tap.skip("the words of an option are completed", "no bash")
    r = run("serach")
    exit_code("a misspelt verb is invalid", r, 2)
    tap.ok("and the right one named", "did you mean: aegis-audit search?" in r.stderr, r.stderr)
    for args, nearest in ((("tail", "--kind", "FileRaed"), "FileRead"),
                          (("search", "--source", "kernal"), "kernel"),
                          (("search", "--verdict", "denyed"), "denied"),
                          (("stats", "--executoin", RUN), "--execution")):
        r = run(*args)
        exit_code(f"{args[2]} is invalid", r, 2)
        tap.ok("and the nearest named", f"did you mean {nearest}?" in r.stderr, r.stderr)
    exit_code("a kind that only this journal has is valid", run("tail", "--kind", "FileRead"), 0)
    exit_code("an unknown verb is invalid", run("dance"), 2)
    exit_code("an unknown format is invalid", run("tail", "--output", "xml"), 2)
    exit_code("no journal is not found", run("tail", directory=f"{top}/none"), 1)
    os.mkdir(f"{top}/empty")
    exit_code("an empty folder is no journal", run("verify", directory=f"{top}/empty"), 1)


def test_tail():
    r = run("tail")
    lines = r.stdout.splitlines()
    tap.equal("tail shows every record", len(lines), 5)
    tap.ok("a line says what happened", f"ExecutionStarted execution={RUN}" in lines[1], lines)
    tap.ok("no control characters reach the terminal", "\x1b" not in r.stdout, repr(r.stdout))
    tap.equal("tail -n cuts", len(run("tail", "-n", "2").stdout.splitlines()), 2)
    r = run("tail", "--output", "json", "--execution", RUN)
    records = [json.loads(line) for line in r.stdout.splitlines()]
    tap.equal("tail filters by execution", [x["number"] for x in records], [2, 3])
    tap.equal("json holds the payload", records[1]["payload"], {"path": "/workspace/a"})
    tap.ok("json is chained", records[1]["previous"] == records[0]["hash"])
    r = run("tail", "--kind", "FileRead", "--output", "table")
    tap.ok("a table has a header", r.stdout.startswith("RECORD"), r.stdout)
    tap.equal("and one row", len(r.stdout.splitlines()), 2)
    r = run("tail", "--source", "journal", "--output", "yaml")
    tap.equal("yaml is one document a record", r.stdout.count("---\n"), 3)


def test_follow():
    p = subprocess.Popen(
        [TOOL, "--journal", journal, "tail", "-f", "-n", "1"], stdout=subprocess.PIPE, text=True
    )
    p.stdout.readline()  # it is there
    make("3")
    lines = [p.stdout.readline() for _ in range(4)]
    p.terminate()
    p.wait(timeout=20)
    tap.ok("tail -f shows what comes", "Opened" in lines[0] and "FileRead" in lines[3], lines)


def test_show():
    r = run("show", "3", "--output", "json")
    tap.equal("show by number", json.loads(r.stdout)["kind"], "FileRead")
    r = run("show", "event:1", "--output", "json")
    tap.equal("show by event number", json.loads(r.stdout)["number"], 2)
    r = run("show", EVENT, "--output", "json")
    tap.equal("show by event id", json.loads(r.stdout)["number"], 2)
    r = run("show", CALL, "--output", "json")
    tap.equal("show by call id", json.loads(r.stdout)["number"], 3)
    exit_code("a record that is not there", run("show", "99999"), 1)
    exit_code("an id that is not there", run("show", RUN), 1)
    exit_code("something else", run("show", "yesterday"), 2)


def test_proofs(key):
    with open(f"{top}/key", "w") as f:
        f.write(key + "\n")
    with open(f"{top}/other", "w") as f:
        f.write("00" * 32)
    r = run("verify")
    exit_code("verify is content", r, 0)
    tap.ok("and claims no more than it knows",
           r.stdout.startswith("consistent up to record 9; newest not proven\n"), r.stdout)
    tap.ok("and counts what was lost before", "7 records were lost" in r.stdout, r.stdout)
    exit_code("the right key", run("verify", "--key", f"{top}/key"), 0)
    r = run("verify", "--key", f"{top}/other")
    exit_code("the wrong key", r, 4)
    tap.ok("is named", "a key that is not trusted" in r.stdout, r.stdout)
    r = run("anchor")
    exit_code("anchor", r, 0)
    tap.equal("anchors the newest head", json.loads(r.stdout)["record"], 4)
    with open(f"{top}/anchor", "w") as f:
        f.write(r.stdout)
    r = run("verify", "--anchor", f"{top}/anchor")
    tap.ok("an older anchor proves its part", "proven by an anchor up to record 4; newest not proven"
           in r.stdout, r.stdout)
    r = run("verify", "--anchor", f"{top}/key")
    exit_code("what is no anchor", r, 2)
    bare = run("keys", "--bare").stdout
    tap.equal("keys --bare prints what signed, and nothing else", bare, key + "\n")
    with open(f"{top}/both", "w") as f:
        f.write("00" * 32 + "\n" + bare)
    exit_code("and verify takes it, also beside others", run("verify", "--key", f"{top}/both"), 0)
    with open(f"{top}/no-key", "w") as f:
        f.write("\n")
    tap.ok("a file without a key says where one comes from", "keys --bare" in run("verify", "--key", f"{top}/no-key").stderr)
    tap.ok("verify without a key, too", "aegis-audit help keys" in run("verify").stdout)
    keys = json.loads(run("keys", "--key", f"{top}/key", "--output", "json").stdout)
    tap.equal("keys", [(k["key"], k["heads"], k["trusted"]) for k in keys], [(key, 1, "yes")])


def test_tampering():
    copy = f"{top}/copy"
    shutil.copytree(journal, copy)
    segment = f"{copy}/00000000000000000001.journal"
    with open(segment, "rb") as f:
        whole = f.read()
    with open(segment, "wb") as f:
        f.write(whole.replace(b"/workspace/a", b"/workspace/b"))
    r = run("verify", directory=copy)
    exit_code("an edit is a conflict", r, 4)
    tap.ok("and the verdict says so", r.stdout.startswith("NOT CONSISTENT"), r.stdout)
    r = run("verify", "--output", "json", directory=copy)
    v = json.loads(r.stdout)
    tap.equal("json too", (v["consistent"], v["findings"][0]["record"]), (False, 3))
    exit_code("tail stops at the damage", run("tail", directory=copy), 4)
    with open(segment, "wb") as f:
        f.write(whole[: whole.index(b"ExecutionStarted") - 120])
    r = run("verify", directory=copy)
    exit_code("a cut end alone looks well", r, 0)
    r = run("verify", "--anchor", f"{top}/anchor", directory=copy)
    exit_code("but not beside an anchor", r, 4)
    tap.ok("which says why", "the end was cut off" in r.stdout, r.stdout)


def test_permission():
    if os.geteuid() == 0:
        tap.skip("an unreadable journal", "root reads everything")
        return
    os.chmod(journal, 0)
    exit_code("an unreadable journal", run("tail"), 3)
    os.chmod(journal, 0o700)


def main():
    key = make()
    test_usage()
    test_tail()
    test_follow()
    test_show()
    test_proofs(key)
    test_tampering()
    test_permission()
    shutil.rmtree(top)
    tap.done()


main()
