#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Volumes that outlive executions, on a whole node: what the API and the command line say of them,
two executions that work on one after the other, who has it meanwhile, and what a daemon that is
killed leaves."""

import json
import os
import signal
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
go_on = threading.Event()  # lets the model go on with runs whose word is "wait"
at_rest = threading.Event()  # such a run is there


def answer(messages):
    text = json.dumps(messages)
    turn = model.turns(messages)
    if "WORD-write" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/by-tool", "content": "one"}),
                ("cmd.run", {"command": "python3 -c \"open('/workspace/by-command', 'w').write('two')\""})]
    fill = "d = open('/workspace/big', 'ab', 0)\nfor i in range(64): d.write(bytes(1 << 18))"
    if "WORD-fill" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/fill.py", "content": fill}),
                ("cmd.run", {"command": "python3 /workspace/fill.py"})]
    if "WORD-tool" in text and turn == 0:
        return [("fs.write", {"path": "/workspace/too-much", "content": "x" * (3 << 20)})]
    if "WORD-empty" in text and turn == 0:
        return [("fs.delete", {"path": "/workspace/big"}),
                ("fs.write", {"path": "/workspace/small", "content": "y" * 100000}),
                ("cmd.run", {"command": "python3 -c \"open('/workspace/small').read(); print('room-' + 'again')\""})]
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


def start(name, word):
    return node.ask("POST", "/v1/executions", {"agent_id": name, "intent": "WORD-" + word}).json["execution_id"]


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


def limits():
    """The kernel holds a program that writes past the file layer; a delete gives back."""
    a = node.ask("POST", "/v1/volumes", {"label": "small", "size_limit_bytes": 4 << 20})
    tap.equal("a volume with a limit", (a.status, a.json["size_limit_bytes"]), (201, 4 << 20))
    deploy("limited", a.json["id"])
    can = images_can_be_mounted()
    end = finished(start("limited", "fill"))
    if can or node.mediates():
        tap.ok("a program gets ENOSPC", end["status"] == "completed" and "No space left" in end["output"], end)
        used = volume("small")["used_bytes"]
        tap.ok("and what is in it is below the limit", 0 < used <= 4 << 20, used)
        end = finished(start("limited", "tool"))
        tap.ok("a file tool is held as well", end["status"] == "completed" and "no space left" in
               end["output"].lower(), end)
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
c.execute("UPDATE volumes SET status = 'attached', execution_id = ? WHERE name = 'models'", (sys.argv[3],))
c.commit()
""", store, id, NOBODY], capture_output=True, text=True)
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
    tap.equal("a bad number", aegis("create", "x", "--size", "1Gi").returncode, 2)
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
