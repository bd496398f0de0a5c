#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Volumes that outlive executions, on a whole node: what the API and the command line say of them,
two executions that work on one after the other, who has it meanwhile, and what a daemon that is
killed leaves."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/daemon/api"]
import doors
import model
import node as nodes
import tap

NOBODY = "00000000-0000-4000-8000-000000000000"
MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Work."}
  volumes:
    - {name: work, storage_class: persistent, mount_path: /workspace, access_mode: %s,
       source: {volume_id: "%s"}}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 240s}
  tools: [fs.read, fs.write, fs.delete, cmd.run]
"""
BESIDE = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Work."}
  volumes:
    - {name: in, storage_class: persistent, mount_path: /workspace/deep/in, access_mode: read-only,
       source: {volume_id: "{{input.from}}"}}
    - {name: out, storage_class: persistent, mount_path: /workspace/out, access_mode: read-write,
       source: {volume_id: "%s"}}
    - {name: scratch space, storage_class: ephemeral, mount_path: /workspace/scratch, access_mode: read-write,
       ttl_hours: 1%s}
  security:
    filesystem: {read: [/workspace], write: [/workspace/out, /workspace/scratch, /workspace/deep, /workspace/*]}
    resources: {cpu: 500, memory: 128Mi, timeout: 240s}
  tools: [fs.read, fs.write, fs.delete, fs.list, fs.grep, fs.create_dir, cmd.run]
"""
BESIDE_WORK = """import errno, os
def tried(name, fn):
    try:
        fn()
        print(name, "done")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
tried("read-in", lambda: open("/workspace/deep/in/by-tool").read())
tried("write-in", lambda: open("/workspace/deep/in/x", "w"))
tried("write-out", lambda: open("/workspace/out/by-command", "w").write("needle two"))
tried("write-scratch", lambda: open("/workspace/scratch/x", "w").write("s"))
tried("write-root", lambda: open("/workspace/own", "w").write("o"))
tried("remove-place", lambda: os.rmdir("/workspace/out"))
tried("move-place", lambda: os.rename("/workspace/out", "/workspace/away"))
tried("link-across", lambda: os.link("/workspace/out/by-command", "/workspace/linked"))
print("devices", len({os.stat("/workspace/" + p).st_dev for p in (".", "deep/in", "out", "scratch")}))
print("tool-saw", open("/workspace/out/from-tool").read())
"""
go_on = threading.Event()  # lets the model go on with runs whose word is "wait"
at_rest = threading.Event()  # such a run is there
seen_by_model = {}  # word: the last conversation about it


def answer(messages):
    text = json.dumps(messages)
    turn = model.turns(messages)
    seen_by_model[re.search("WORD-([a-z]+)", text).group(1)] = text
    if "WORD-write" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/by-tool", "content": "one"}),
                ("cmd.run", {"command": "python3 -c \"open('/workspace/by-command', 'w').write('two')\""})]
    fill = ("import os\nd = open('/workspace/big', 'ab', 0)\n"
            "for i in range(64):\n    d.write(bytes(1 << 18))\n    os.fsync(d.fileno())")
    if "WORD-fill" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/fill.py", "content": fill}),
                ("cmd.run", {"command": "python3 /workspace/fill.py"})]
    if "WORD-tool" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/too-much", "content": "x" * (3 << 20)})]
    if "WORD-empty" in text and turn == 0:
        return [("fs.delete", {"path": "/workspace/big"}),
                ("fs.write", {"path": "/workspace/small", "content": "y" * 100000}),
                ("cmd.run", {"command": "python3 -c \"open('/workspace/small').read(); print('room-' + 'again')\""})]
    if "WORD-beside" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/out/from-tool", "content": "needle one"}),
                ("fs.write", {"path": "/workspace/beside.py", "content": BESIDE_WORK}),
                ("cmd.run", {"command": "python3 /workspace/beside.py"}),
                ("fs.read", {"path": "/workspace/deep/in/by-tool"}),
                ("fs.write", {"path": "/workspace/deep/in/refused", "content": "x"}),
                ("fs.create_dir", {"path": "/workspace/out/made/below"}),
                ("fs.list", {"path": "/workspace/out"}),
                ("fs.grep", {"path": "/workspace", "pattern": "needle (one|two)"}),
                ("fs.delete", {"path": "/workspace/out"}),
                ("fs.delete", {"path": "/workspace/deep", "recursive": True})]
    if "WORD-over" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/scratch/much", "content": "x" * (5 << 18)}),
                ("fs.write", {"path": "/workspace/scratch/more", "content": "x" * (5 << 18)})]
    if "WORD-wait" in text:
        at_rest.set()
        go_on.wait(200)
    if "WORD-read" in text and turn == 0:
        return [("cmd.run", {"command": "cat /workspace/by-tool /workspace/by-command"}),
                ("cmd.run", {"command": "touch /workspace/refused"})]
    return "done " + text[-1500:]


node = doors.Node(model.serve(answer))


def deploy(name, volume, access="read-write"):
    a = node.ask("POST", "/v1/agents", MANIFEST % (name, *sys.version_info[:2], access, volume))
    tap.equal(f"{name} is deployed", a.status, 201)
    return a.json


def start(name, word, values=None):
    body = {"agent_id": name, "intent": "WORD-" + word, **({"input": values} if values else {})}
    return node.ask("POST", "/v1/executions", body).json["execution_id"]


def finished(id):
    end = time.monotonic() + 240
    while (body := node.ask("GET", f"/v1/executions/{id}").json)["status"] in ("pending", "running"):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return body


def volume(name):
    return node.ask("GET", f"/v1/volumes/{name}").json


def directories():
    return sorted(os.listdir(node.state + "/workspaces"))


def events(id):
    """Kinds of events of a volume, in order, once the journal has them."""
    tail = node.audit("tail", "-n", "1000", "--output", "json").stdout
    records = [json.loads(line) for line in tail.splitlines()]
    return [r["kind"] for r in records if r["kind"].startswith("Volume") and id in json.dumps(r)]


def events_of(execution):
    """Its events about volumes, in order: (type, details)."""
    with contextlib.closing(sqlite3.connect(f"file:{node.data}/aegis.db?mode=ro", uri=True)) as db:
        return [(kind, json.loads(data)) for kind, data in db.execute(
            "SELECT event_type, event_data FROM domain_events WHERE execution_id = ? AND event_type LIKE 'Volume%'"
            " ORDER BY number", (execution,))]


def making():
    a = node.ask("POST", "/v1/volumes", {"label": "work"})
    tap.equal("a volume is created", a.status, 201)
    lacks = {"id", "label", "name", "status", "size_limit_bytes", "used_bytes", "created_at"} - set(a.json)
    tap.equal("its members", lacks, set())
    tap.equal("it is available", (a.json["status"], a.json["label"], a.json["storage_class"]),
              ("available", "work", "persistent"))
    tap.ok("and has a directory", a.json["id"] in directories(), directories())
    for name, body, status in (("taken name", {"label": "work"}, 409), ("no name", {}, 422),
                               ("bad name", {"label": "../x"}, 422), ("an id", {"label": NOBODY}, 422),
                               ("a limit below 0", {"label": "y", "size_limit_bytes": -1}, 422),
                               ("a limit in words", {"label": "y", "size_limit_bytes": "many"}, 422),
                               ("too long a life", {"label": "y", "ttl_hours": 100000}, 422),
                               ("no object", [], 400)):
        got = node.ask("POST", "/v1/volumes", body)
        tap.ok(f"{name} is refused", got.status == status and got.json["error"], got)
    listed = node.ask("GET", "/v1/volumes").json
    tap.equal("the list has both forms", ([v["label"] for v in listed["volumes"]], listed["items"],
                                          listed["total_count"]), (["work"], listed["volumes"], 1))
    tap.equal("by name and by id", volume("work")["id"], volume(a.json["id"])["id"])
    tap.equal("one that is not there", node.ask("GET", f"/v1/volumes/{NOBODY}").status, 404)
    named = node.ask("PATCH", "/v1/volumes/work", {"label": "models"})
    tap.equal("it is renamed", (named.status, named.json["label"], named.json["id"]), (200, "models", a.json["id"]))
    return a.json["id"]


def sharing(id):
    """One execution leaves what the next one finds, and each is on record as its holder."""
    deploy("writer", id)
    deploy("reader", id, "read-only")
    first = start("writer", "write")
    end = finished(first)
    tap.equal("the writer completes", end["status"], "completed")
    second = start("reader", "read")  # at once: the first may be about to give it back
    end = finished(second)
    tap.ok("the reader finds what both ways wrote", end["status"] == "completed" and "one" in end["output"]
           and "two" in end["output"], end)
    tap.ok("and cannot write", "Read-only" in end["output"], end["output"])
    end = time.monotonic() + 60
    while volume(id)["status"] != "detached" and time.monotonic() < end:
        time.sleep(0.05)
    now = volume(id)
    tap.equal("it is detached, and says from whom", (now["status"], now["execution_id"]), ("detached", second))
    shown = subprocess.run([nodes.program("aegis"), "--config", node.config, "task", "status", second],
                           capture_output=True, text=True, timeout=120)
    tap.ok("the execution's status names it", "models at /workspace, detached" in shown.stdout, shown)
    used = node.ask("GET", f"/v1/volumes/{id}/usage").json
    tap.ok("what is in it counts", used["used_bytes"] > 0 and used["used_inodes"] >= 2, used)
    tap.ok("the execution's own directory is not needed", first not in directories(), directories())
    node.ask("DELETE", f"/v1/executions/{first}")
    tap.ok("removing an execution leaves the volume", id in directories(), directories())


def holding(id):
    """One execution at a time; a killed daemon gives nothing away."""
    holder = start("writer", "wait")
    tap.ok("it is at work", at_rest.wait(200))
    tap.equal("it has the volume", (volume(id)["status"], volume(id)["execution_id"]), ("attached", holder))
    end = finished(start("writer", "write"))
    tap.ok("a second one is told who has it", end["status"] == "failed" and holder in json.dumps(end), end)
    a = node.ask("DELETE", f"/v1/volumes/{id}")
    tap.ok("it cannot be deleted now", a.status == 409 and holder in a.json["error"], a)
    node.kill("aegisd")
    node.start_aegisd()
    tap.equal("after a kill it still has it", (volume(id)["status"], volume(id)["execution_id"]),
              ("attached", holder))
    go_on.set()
    tap.equal("and goes on to the end", finished(holder)["status"], "completed")


def beside(id):
    """Volumes below /workspace: reached by programs and by file tools, each under its own rules."""
    out = node.ask("POST", "/v1/volumes", {"label": "out"}).json["id"]
    limit = ", size_limit: 2Mi" if node.mediates() or images_can_be_mounted() else ""
    for name in ("beside", "beside-too"):
        text = BESIDE % (name, *sys.version_info[:2], out, limit)
        a = node.ask("POST", "/v1/agents", text)
        tap.equal(f"{name} is deployed", (a.status, a.json.get("refusals") or []), (201, []))
    before = directories()
    first = start("beside", "beside", {"from": id, "text": "WORD-beside"})
    end = finished(first)
    said = end.get("output") or json.dumps(end)
    for what, wanted in (("read-in", "done"), ("write-in", "EROFS"), ("write-out", "done"), ("write-scratch", "done"),
                         ("write-root", "done"), ("remove-place", "EBUSY"), ("move-place", "EBUSY"),
                         ("link-across", "EXDEV"), ("tool-saw", "needle one")):
        tap.ok(f"in the sandbox: {what} {wanted}", f"{what} {wanted}" in said, said)
    if node.mediates():
        tap.ok("each is a file system of its own", "devices 4" in said, said)
    turns = seen_by_model["beside"].replace("\\", "")
    for what, wanted in (("a tool reads", '"one"'), ("a tool writes only what it may", "PERMISSION_DENIED"),
                         ("a tool lists", "by-command"), ("and made a folder", "made/"),
                         ("a search goes into all of them", "out/by-command:1"),
                         ("a place is not deleted", "EBUSY")):
        tap.ok(what, wanted in turns, turns)
    tap.ok("what was written is in its volume", {"by-command", "from-tool", "made"} <=
           set(os.listdir(f"{node.state}/workspaces/{out}")), os.listdir(f"{node.state}/workspaces/{out}"))
    node.wait_for("the end of the scratch volume", lambda: set(directories()) - set(before) <= {out, first})
    kinds = [kind for kind, _ in events_of(first)]
    tap.equal("the execution says what it had", kinds, ["VolumeAttached"] * 3 + ["VolumeDetached"] * 3)
    had = node.ask("GET", f"/v1/executions/{first}").json["volumes"]
    tap.equal("and where, also of what is gone", sorted((v["mount_path"], v["access_mode"]) for v in had),
              [("/workspace/deep/in", "read-only"), ("/workspace/out", "read-write"),
               ("/workspace/scratch", "read-write")])
    if limit:
        over = start("beside", "over", {"from": id, "text": "WORD-over"})
        finished(over)
        turns = seen_by_model["over"].lower()
        tap.ok("an ephemeral volume holds its limit", "no space left" in turns or "quota" in turns, turns)
        node.wait_for("word of it", lambda: "VolumeQuotaExceeded" in dict(events_of(over)))
        said = [details for kind, details in events_of(over) if kind == "VolumeQuotaExceeded"]
        tap.ok("and the execution says so, once", len(said) == 1 and said[0]["path"] == "more", said)
    bad = finished(start("beside", "beside", {"from": "nonsense", "text": "WORD-beside"}))
    tap.ok("a template that yields no id fails the run", bad["status"] == "failed" and
           "spec.volumes[0].source.volume_id" in json.dumps(bad), bad)
    node.wait_for("that nothing is attached any more", lambda: "attached" not in
                  [v["status"] for v in node.ask("GET", "/v1/volumes").json["volumes"]])
    tap.equal("it is deleted", node.ask("DELETE", "/v1/volumes/out").status, 200)


def form(fields, filename, content):
    """A multipart/form-data body as SDKs send it, and its type."""
    mark = "mark-7f3a"
    head = "".join(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                   for name, value in fields.items())
    head += f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n' \
            "Content-Type: text/plain\r\n\r\n"
    return head.encode() + content + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def files():
    """What stands in a volume, from outside."""
    id = node.ask("POST", "/v1/volumes", {"label": "shelf", "size_limit_bytes": 8 << 20}).json["id"]
    base = f"/v1/volumes/{id}/files"
    big = os.urandom(3 << 20)
    body, kind = form({"path": "docs/in/a.bin"}, "ignored.bin", big)
    a = node.ask("POST", base + "/upload", body, {"Content-Type": kind})
    tap.equal("an upload as a form", (a.status, a.json.get("path"), a.json.get("size"), a.json.get("sha256")),
              (201, "docs/in/a.bin", len(big), hashlib.sha256(big).hexdigest()))
    a = node.ask("POST", base + "/upload?path=/docs/in/b%20%C3%A9.png", b"\x89PNG\r\n\x1a\nrest", {"Content-Type": "text/plain"})
    tap.equal("an upload as it is, told by its bytes", (a.status, a.json.get("mime_type"), a.json.get("name")),
              (201, "image/png", "b \u00e9.png"))
    body, kind = form({}, "c.txt", b"three")
    a = node.ask("POST", base + "/upload?path=docs/", body, {"Content-Type": kind})
    tap.equal("into a folder, under its own name", (a.status, a.json.get("path")), (201, "docs/c.txt"))
    got = node.ask("GET", base + "/download?path=docs/in/a.bin")
    tap.ok("it comes back whole", got.status == 200 and got.body == big, (got.status, len(got.body)))
    listed = node.ask("GET", base + "?path=/docs").json
    tap.equal("a folder's entries", [(e["name"], e["type"], e["size_bytes"]) for e in listed["entries"]],
              [("c.txt", "file", 5), ("in", "directory", listed["entries"][1]["size_bytes"])])
    seen = node.ask("GET", base + "/stat?path=docs/c.txt").json
    tap.equal("what a file is", (seen["size"], seen["sha256"]), (5, hashlib.sha256(b"three").hexdigest()))
    tap.equal("a new folder", node.ask("POST", base + "/mkdir", {"path": "new/below"}).status, 201)
    moved = node.ask("POST", base + "/move", {"from": "docs/c.txt", "to": "new/below/d.txt"})
    tap.equal("a file moves", (moved.status, moved.json["from"], moved.json["to"]), (200, "docs/c.txt", "new/below/d.txt"))
    root = f"{node.state}/workspaces/{id}"
    if node.mediates() or not images_can_be_mounted():  # else the image hides it
        tap.equal("as it stands on disk", sorted(os.listdir(root)), ["docs", "new"])
    a = node.ask("POST", base + "/upload?path=too-much", os.urandom(9 << 20))
    tap.equal("more than the volume holds", a.status, 507)
    tap.equal("leaves nothing of it", sorted(e["name"] for e in node.ask("GET", base).json["entries"]
                                             if e["name"] != "lost+found"), ["docs", "new"])
    for name, method, path, given, status in (
            ("a path out of it", "GET", "/download?path=../../etc/passwd", None, 400),
            ("what is not there", "GET", "/download?path=none", None, 404),
            ("a folder as a file", "GET", "/download?path=docs", None, 409),
            ("a folder overwritten", "POST", "/upload?path=docs", b"x", 409),
            ("a form without end", "POST", "/upload?path=x", b"--mark\r\nContent-Disposition: form-data", 400),
            ("no path", "POST", "/upload", b"x", 422),
            ("a move of nothing", "POST", "/move", {"from": "none", "to": "docs/x"}, 404),
            ("mkdir without a path", "POST", "/mkdir", {}, 422)):
        headers = {"Content-Type": "multipart/form-data; boundary=mark"} if "form" in name else {}
        tap.equal(f"{name} is refused", node.ask(method, base + path, given, headers).status, status)
    a = node.ask("DELETE", base + "?path=new")
    tap.equal("a folder goes with what is in it", (a.status, node.ask("GET", base + "?path=new").status), (200, 404))
    tap.equal("another volume's files", node.ask("GET", f"/v1/volumes/{NOBODY}/files").status, 404)
    go_on.clear()
    at_rest.clear()
    deploy("shelved", id)
    holder = start("shelved", "wait")
    tap.ok("an execution has it", at_rest.wait(200))
    a = node.ask("POST", base + "/upload?path=late", b"x")
    tap.ok("then others do not write", a.status == 409 and holder in a.json["error"], a)
    tap.equal("but read", node.ask("GET", base + "/download?path=docs/in/a.bin").body == big, True)
    go_on.set()
    finished(holder)
    node.wait_for("that it is free", lambda: volume(id)["status"] == "detached")
    tap.equal("it is deleted", node.ask("DELETE", f"/v1/volumes/{id}").status, 200)


def reading_together(id):
    """Any number may read what one writes."""
    go_on.clear()
    readers = [start("reader", "wait") for _ in range(3)]
    writer = start("writer", "wait")
    wanted = sorted(readers + [writer])
    node.wait_for("all of them", lambda: sorted(a["execution_id"] for a in volume(id)["attachments"] or []) == wanted)
    modes = {a["execution_id"]: a["access_mode"] for a in volume(id)["attachments"]}
    tap.equal("three read and one writes", [modes[e] for e in readers + [writer]], ["read-only"] * 3 + ["read-write"])
    node.kill("aegisd")
    node.start_aegisd()
    tap.equal("after a kill they still do", sorted(a["execution_id"] for a in volume(id)["attachments"]), wanted)
    go_on.set()
    tap.equal("all complete", {finished(e)["status"] for e in wanted}, {"completed"})
    node.wait_for("that all gave it back", lambda: volume(id)["status"] == "detached")


def loops():
    """Loop devices that have a file of this node's."""
    found = []
    for name in os.listdir("/sys/block"):
        backing = nodes.read(f"/sys/block/{name}/loop/backing_file")
        if node.state in backing:
            found.append(backing.strip())
    return found


def images_can_be_mounted():
    image, at = node.dir + "/probe", node.dir + "/probe.d"
    os.mkdir(at)
    with open(image, "wb") as f:
        f.truncate(4 << 20)
    try:
        for command in (["/usr/sbin/mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, at],
                        ["umount", at]):
            if subprocess.run(command, capture_output=True).returncode != 0:
                return False
    except OSError:
        return False
    finally:
        os.unlink(image)
        os.rmdir(at)
    return True


def cut_short():
    """A daemon that dies in mid-upload: what has come of it goes at the next start."""
    id = node.ask("POST", "/v1/volumes", {"label": "half"}).json["id"]
    root = f"{node.state}/workspaces/{id}"
    def parts():
        return [n for _, _, names in os.walk(root) for n in names if n.startswith(".upload-")]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(node.socket)
        s.sendall(f"POST /v1/volumes/{id}/files/upload?path=in/late HTTP/1.1\r\nHost: localhost\r\n"
                  "Content-Length: 1000000\r\n\r\n".encode() + b"x" * 70000)
        node.wait_for("a part of an upload", parts)
        node.kill("aegisd")
    tap.equal("what has come of an upload is there", len(parts()), 1)
    node.start_aegisd()
    node.wait_for("that it goes", lambda: not parts())
    tap.equal("and nothing of it stays", node.ask("GET", f"/v1/volumes/{id}/files?path=in").json["count"], 0)
    tap.equal("the volume is deleted", node.ask("DELETE", f"/v1/volumes/{id}").status, 200)


def limits():
    """The kernel holds a program that writes past the file layer; a delete gives back."""
    a = node.ask("POST", "/v1/volumes", {"label": "small", "size_limit_bytes": 4 << 20})
    tap.equal("a volume with a limit", (a.status, a.json["size_limit_bytes"]), (201, 4 << 20))
    deploy("limited", a.json["id"])
    can = images_can_be_mounted()
    end = finished(start("limited", "fill"))
    if can or node.mediates():
        # A kernel says the one or the other of a limit that the file layer holds.
        full = ("No space left", "Disk quota exceeded")
        tap.ok("a program is held", end["status"] == "completed" and any(w in end["output"] for w in full), end)
        used = volume("small")["used_bytes"]
        tap.ok("and what is in it is below the limit", 0 < used <= 4 << 20, used)
        end = finished(start("limited", "tool"))
        tap.ok("a file tool is held as well", end["status"] == "completed" and "QuotaExceeded" in end["output"], end)
        if not node.mediates():
            node.kill("helper")
            node.kill("aegisd")
            tap.equal("a killed helper leaves one device", len(loops()), 1)
            node.start()
            node.stop()
            tap.equal("one that stops leaves none", loops(), [])
            node.start()
            used = volume("small")["used_bytes"]
            tap.ok("the next one finds the image", used > 1 << 20, used)
        end = finished(start("limited", "empty"))
        tap.ok("one file system has one device", len(loops()) <= 1, loops())
        tap.ok("a delete gives back", end["status"] == "completed" and "room-again" in end["output"], end)
    else:
        tap.ok("a limit that cannot be held is refused", end["status"] == "failed"
               and "files.mediation" in json.dumps(end), end)
        for name in ("the limit holds", "below the limit", "a file tool", "a delete gives back"):
            tap.skip(name, "no loop devices or no mkfs.ext4 here")
    bare = node.ask("POST", "/v1/volumes", {"label": "bare", "size_limit_inodes": 100}).json
    end = finished(start(deploy("inodes", bare["id"])["name"], "write"))
    if not node.mediates():
        tap.ok("a limit that cannot be held is refused", end["status"] == "failed"
               and "files.mediation" in json.dumps(end), end)
        tap.equal("and nobody has it", volume("bare")["status"], "detached")
    tap.equal("it is deleted", node.ask("DELETE", "/v1/volumes/bare").status, 200)
    quota = node.ask("GET", "/v1/volumes/quota").json
    tap.equal("the sum of limits", (quota["quota_bytes"], quota["volume_count"]), (4 << 20, 2))
    end = finished(start(deploy("lost", NOBODY)["name"], "write"))
    tap.ok("a volume that is not there fails the run", end["status"] == "failed" and NOBODY in json.dumps(end), end)


def settling():
    """A daemon that died between the row and the bytes: the next one finishes."""
    id = volume("small")["id"]
    node.kill("aegisd")
    store = node.data + "/aegis.db"
    rows = subprocess.run([sys.executable, "-c", """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute("UPDATE volumes SET status = 'deleting' WHERE id = ?", (sys.argv[2],))
c.execute("UPDATE volumes SET status = 'attached', attachments = ? WHERE name = 'models'", (sys.argv[3],))
c.commit()
""", store, id, json.dumps([{"execution_id": NOBODY, "access_mode": "read-write"}])], capture_output=True, text=True)
    tap.equal("the rows are as a death leaves them", rows.returncode, 0)
    node.start_aegisd()
    tap.ok("what was being deleted is gone", id not in directories() and
           node.ask("GET", f"/v1/volumes/{id}").status == 404, directories())
    tap.equal("what a dead execution had is free", volume("models")["status"], "detached")


def command_line():
    def aegis(*words):
        return subprocess.run([nodes.program("aegis"), "--config", node.config, "volume", *words],
                              capture_output=True, text=True, timeout=120)
    made = aegis("create", "scratch", "--ttl-hours", "2", "--output", "json")
    tap.ok("aegis volume create", made.returncode == 0 and json.loads(made.stdout)["storage_class"] == "ephemeral",
           made)
    tap.equal("a bad number", aegis("create", "x", "--size", "1Gx").returncode, 2)
    tap.ok("aegis volume list", "scratch" in aegis("list").stdout, aegis("list"))
    tap.ok("aegis volume show", "available" in aegis("show", "scratch").stdout, aegis("show", "scratch"))
    tap.ok("aegis volume usage", aegis("usage", "scratch").returncode == 0, aegis("usage", "scratch"))
    tap.equal("aegis volume delete", aegis("delete", "scratch").returncode, 0)
    tap.equal("it is not there any more", aegis("show", "scratch").returncode, 1)


def deleting(id):
    tap.equal("a volume is deleted", node.ask("DELETE", "/v1/volumes/models").status, 200)
    tap.ok("with its directory", id not in directories(), directories())
    tap.equal("and twice is too often", node.ask("DELETE", f"/v1/volumes/{id}").status, 404)
    node.wait_for("the journal", lambda: "VolumeDeleted" in events(id))
    kinds = events(id)
    tap.equal("every move is on record", sorted(set(kinds)),
              ["VolumeAttached", "VolumeCreated", "VolumeCreating", "VolumeDeleted", "VolumeDeleting",
               "VolumeDetached", "VolumeRenamed"])
    tap.equal("a name is free again", node.ask("POST", "/v1/volumes", {"label": "models"}).status, 201)


def run():
    node.start()
    id = making()
    sharing(id)
    holding(id)
    beside(id)
    reading_together(id)
    files()
    cut_short()
    limits()
    settling()
    command_line()
    deleting(id)


def main():
    nodes.as_root_or_skip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        run()
    finally:
        go_on.set()
        codes = node.stop()
        print(f"# exit statuses {codes}")
        if not sys.exc_info()[0]:
            tap.equal("no mount and no loop device is left", (node.mounts(), loops()), ([], []))
        if tap._failed or sys.exc_info()[0]:
            print("\n".join("# " + line for line in node.logs().splitlines()))
        node.remove()
        node.remove_cgroups()
    tap.done()


if __name__ == "__main__":
    main()
