#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Whole executions whose /workspace is mounted over NFS: what policy forbids, programs cannot do, also once it is
tightened under them; what one side writes the other's next open sees; the mount waits for a killed daemon; and what
is given up while the daemon, the helper or both are away leaves nothing. In a guest whose kernel has the client.

    mount.py [SCENARIO ...]
"""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests",
                os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine"]
import model
import node as nodes
import tap

PATIENCE_S = 300
ALTERNATIONS = 1000
TURNS = 25  # of the model; a conversation has no more than 50

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: %s, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "I am %s."}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 1000, memory: 256Mi, timeout: 600s}
  execution: {mode: one-shot, iteration_timeout: 600s}
  require: {files.mediation: prevent}
  tools: [cmd.run, fs.read, fs.write, fs.list, fs.delete]
"""

# Every script of an agent begins so.
BEGIN = """import ctypes, errno, json, mmap, os, socket, sys, time
def tried(fn):
    try:
        fn()
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]
def put(path, text):
    with open(path, "w") as f:
        f.write(text)
def get(path):
    with open(path) as f:
        return f.read()
def wait(path):
    while not os.path.exists(path):
        time.sleep(0.05)
os.chdir("/workspace")
"""

plays = {}  # name of an agent: its steps


def answer(messages):
    text = json.dumps(messages[:2])
    name = text.split("I am ")[1].split(".")[0]
    turn = model.turns(messages)
    play = plays[name]
    if turn > 0:
        play.results.append(messages[-1].get("content"))
    if turn >= len(play.steps):
        return "done"
    step = play.steps[turn]
    return step(play) if callable(step) else step


class Play:
    """An execution: a script that is written and run, or steps of one's own."""

    def __init__(self, node, name, script=None, steps=None):
        self.node, self.name, self.results = node, name, []
        self.steps = steps or [[("fs.write", {"path": "/workspace/work.py", "content": BEGIN + script})],
                               [("cmd.run", {"command": "python3 work.py"})]]
        plays[name] = self
        status, body = node.call("POST", "/v1/agents", MANIFEST % (name, *sys.version_info[:2], name))
        if status not in (200, 201):
            raise RuntimeError(f"deploy {status} {body}\n{node.logs()}")
        status, body = node.call("POST", "/v1/executions", {"agent_id": name, "input": {}})
        if status not in (200, 201, 202):
            raise RuntimeError(f"execute {status} {body}\n{node.logs()}")
        self.id = body["execution_id"]
        self.dir = f"{node.state}/workspaces/{self.id}"

    def status(self):
        return self.node.call("GET", f"/v1/executions/{self.id}")[1]["status"]

    def end(self):
        self.node.wait_for(f"the end of {self.name}", lambda: self.status() in ("completed", "failed", "cancelled"),
                           seconds=PATIENCE_S)
        return self.status()

    def output(self):
        """What its command printed, as JSON."""
        try:
            return json.loads(json.loads(self.results[-1])["stdout"])
        except (ValueError, KeyError, IndexError):
            return {"no output": str(self.results[-1:]) + self.node.logs()}

    def wait_for(self, name):
        self.node.wait_for(f"{self.name}'s {name}", lambda: os.path.exists(f"{self.dir}/{name}"), seconds=PATIENCE_S)

    def put(self, name, text=""):
        """From the host, as the daemon would."""
        path = f"{self.dir}/{name}"
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chown(path + ".new", self.node.uid, self.node.uid)
        os.rename(path + ".new", path)

    def records(self, source):
        tail = self.node.audit("tail", "-n", "1000", "--execution", self.id, "--source", source, "--output", "json")
        return [json.loads(line) for line in tail.stdout.splitlines()]

    def first_pid(self):
        """Its aegis-bootstrap, as the host numbers it."""
        for pid, inside in self.node.sandbox_processes():
            if inside == 1 and self.id in nodes.read(f"/proc/{pid}/mountinfo"):
                return pid
        return None


def cgroup_of(pid):
    """The directory of a sandbox, by its first process."""
    return "/sys/fs/cgroup" + nodes.read(f"/proc/{pid}/cgroup").strip().rpartition("::")[2]


def processes_in(cgroup):
    return [pid for folder, _, _ in os.walk(cgroup) for pid in nodes.read(folder + "/cgroup.procs").split()]


def policies(node, text):
    with open(node.dir + "/policy.d/test.cedar", "w") as f:
        f.write(text)
    status, body = node.call("POST", "/v1/policy/reload")
    if status != 200:
        raise RuntimeError(f"reload {status} {body}")


def later(fn, *arguments):
    thread = threading.Thread(target=fn, args=arguments, daemon=True)
    thread.start()
    return thread


# ---- policy ----

SECRET = """@id("no-secret")
forbid (principal, action in [Action::"fs:read", Action::"fs:write"], resource in Path::"/workspace/secret");
@id("read-only")
forbid (principal, action == Action::"fs:write", resource in Path::"/workspace/ro");
"""

ATTEMPTS = """
os.mkdir("secret"); os.mkdir("ro"); os.mkdir("dir")
put("secret/key", "k"); put("ro/file", "r"); put("a", "a"); put("b", "b"); put("c", "c")
handle = open("secret/key")
put("ready", "")
wait("go")
libc = ctypes.CDLL(None, use_errno=True)
def system(fn, *arguments):
    def call():
        if fn(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "")
    return call
def connect(port):
    s = socket.socket()
    s.connect(("127.0.0.1", port))
print(json.dumps({
    "read": tried(lambda: get("secret/key")),
    "list": tried(lambda: os.listdir("secret")),
    "through a link": tried(lambda: (os.symlink("secret/key", "link"), get("link"))),
    "names": sorted(os.listdir(".")),
    "write": tried(lambda: put("ro/file", "x")),
    "append": tried(lambda: open("ro/file", "a").write("x")),
    "create": tried(lambda: put("ro/new", "x")),
    "create secret": tried(lambda: put("secret/new", "x")),
    "mkdir": tried(lambda: os.mkdir("ro/d")),
    "symlink": tried(lambda: os.symlink("a", "ro/s")),
    "mknod": tried(lambda: os.mkfifo("ro/p")),
    "device": tried(lambda: os.mknod("dev", 0o20666, os.makedev(1, 3))),
    "rename in": tried(lambda: os.rename("a", "ro/a")),
    "rename out": tried(lambda: os.rename("ro/file", "x")),
    "rename across": tried(lambda: os.rename("a", "secret/a")),
    "link in": tried(lambda: os.link("b", "ro/b")),
    "link out": tried(lambda: os.link("ro/file", "hard") or put("hard", "x")),
    "unlink": tried(lambda: os.unlink("ro/file")),
    "rmdir": tried(lambda: os.rmdir("ro")),
    "truncate": tried(lambda: os.truncate("ro/file", 0)),
    "chmod": tried(lambda: os.chmod("ro/file", 0o777)),
    "chown": tried(lambda: os.chown("c", 0, 0)),
    "utime": tried(lambda: os.utime("ro/file", (1, 1))),
    "what may be read": get("ro/file"),
    "what may be written": tried(lambda: put("dir/new", "x")),
    "owner": [os.stat("c").st_uid, os.stat("c").st_gid, os.getuid()],
    "flags": [l.split()[3] for l in open("/proc/mounts") if l.split()[1] == "/workspace"],
    "remount": tried(system(libc.mount, b"none", b"/workspace", None, 32 | 4096, None)),
    "umount": tried(system(libc.umount2, b"/workspace", 2)),
    "the server's port": tried(lambda: connect(2049)),
}))
"""

DENIED = ("write", "append", "create", "mkdir", "symlink", "mknod", "rename in", "rename out", "link in", "link out",
          "unlink", "rmdir", "truncate", "chmod", "utime")


def policy(node):
    policies(node, "")
    play = Play(node, "policy", ATTEMPTS)
    play.wait_for("ready")
    policies(node, SECRET)
    play.put("go")
    tap.equal("an agent works on the mounted workspace", play.end(), "completed")
    got = play.output()
    for name in DENIED:
        tap.equal(f"denied: {name}", got.get(name), "EACCES")
    for name in ("read", "list", "through a link", "create secret", "rename across"):
        tap.ok(f"denied: {name}", got.get(name) in ("EACCES", "ENOENT"), got)
    tap.ok("device nodes and other owners are refused", got.get("device") in ("EPERM", "EACCES")
           and got.get("chown") in ("EPERM", "EINVAL"), got)
    tap.ok("denied names do not appear", "secret" not in got.get("names", "secret") and "ro" in got["names"], got)
    tap.equal("what is allowed is done", [got.get("what may be read"), got.get("what may be written")], ["r", "done"])
    tap.equal("the sandbox owns its files", got.get("owner"), [1000, 1000, 1000])
    tap.ok("nosuid and nodev, and nothing inside changes that", {"nosuid", "nodev"} <= set(
        ",".join(got.get("flags", [])).split(",")) and got["remount"] == "EPERM" and got["umount"] == "EPERM", got)
    tap.equal("the server is out of the sandbox's reach", got.get("the server's port"), "ECONNREFUSED")
    kept = {path: nodes.read(f"{play.dir}/{path}") for path in ("secret/key", "ro/file", "a", "b", "c")}
    tap.equal("nothing that was denied was done",
              [kept, sorted(os.listdir(play.dir + "/ro")), sorted(os.listdir(play.dir + "/secret"))],
              [{"secret/key": "k", "ro/file": "r", "a": "a", "b": "b", "c": "c"}, ["file"], ["key"]])
    recorded(play)
    policies(node, "")


def recorded(play):
    calls = {r["call_id"] for r in play.records("event") if r["kind"].startswith("Command")} - {None, ""}
    files = [r for r in play.records("file") if r.get("call_id") in calls]
    tap.ok("file records name execution, iteration and tool call",
           files and all(r["execution_id"] == play.id and r["payload"]["iteration"] == 1 for r in files),
           [calls, play.records("file")[-3:]])
    tap.ok("writes of programs are recorded", any(r["kind"] == "FileWritten" and r["payload"]["path"] == "dir/new"
                                                  for r in files), [r["kind"] for r in files])
    denials = [json.dumps(r["payload"]) for r in files if r["kind"] == "FilesystemPolicyViolation"]
    tap.ok("denials are recorded with their policies", any("no-secret" in d for d in denials)
           and any("read-only" in d for d in denials), denials[-3:])
    spawned = [r for r in play.records("event") if r["kind"] == "InstanceSpawned"]
    tap.ok("and that files are mounted", "mounted: each operation" in json.dumps(spawned), spawned)


TIGHTENED = """
f = open("log", "w"); f.write("1"); f.flush(); os.fsync(f.fileno())
put("ready", "")
wait("go")
def more():
    f.write("2"); f.flush(); os.fsync(f.fileno())
print(json.dumps({"write": tried(more), "open": tried(lambda: open("log", "a")), "read": tried(lambda: get("log"))}))
sys.stdout.flush()
os._exit(0)
"""


def tighten(node):
    policies(node, "")
    play = Play(node, "tighten", TIGHTENED)
    play.wait_for("ready")
    policies(node, '@id("frozen") forbid (principal, action, resource == Path::"/workspace/log")\n'
                   'when { action in [Action::"fs:write", Action::"fs:read"] };')
    play.put("go")
    play.end()
    got = play.output()
    tap.equal("a policy that is tightened holds for a file that is open",
              [got.get("write"), got.get("open"), got.get("read"), nodes.read(play.dir + "/log")],
              ["EACCES", "EACCES", "EACCES", "1"])
    policies(node, "")


# ---- agreement with the file tools [23] ----

def look_into(path):
    """What the next open sees. One that was replaced in the middle of it is stale: then the next."""
    while True:
        try:
            with open(path, encoding="ascii") as f:
                return f.read()
        except OSError as e:
            if e.errno != errno.ESTALE:
                raise


def alternate(node):
    """Looks through the mount of the sandbox itself, while the file tools' calls come in between."""
    each = ALTERNATIONS // TURNS // 2  # pairs of changes in a turn
    seen = {"looks": 0, "stale": [], "stop": False, "next": 0}

    def look():
        """What the tools have written is on disk: the next open through the mount must see it."""
        k, disk = seen["next"], look_into(f"{play.dir}/value")
        mount = look_into(f"{seen['root']}/value")
        if int(mount) < int(disk):
            seen["stale"].append(f"value {mount!r} after {disk!r}")
        os.path.exists(f"{seen['root']}/name{k}")  # may be remembered as missing
        while os.path.exists(f"{play.dir}/name{seen['next']}"):
            name = f"name{seen['next']}"
            if not os.path.exists(f"{seen['root']}/{name}") or name not in os.listdir(seen["root"]):
                seen["stale"].append(f"{name} is missing")
            seen["next"] += 1
        seen["looks"] += 1

    def watch():
        try:
            while not seen["stop"]:
                look()
        except (OSError, ValueError) as e:
            if not seen["stop"]:
                seen["stale"].append(repr(e))

    def from_sandbox(turn):
        """What the sandbox has closed, the file tools see."""
        want, got = f"from the sandbox {turn - 1}", str(play.results[-1])
        if want not in got:
            seen["stale"].append(f"fs.read {got!r} after {want!r}")
        seen["looks"] += 1

    def step(turn):
        if turn == 1:
            seen["root"] = f"/proc/{play.first_pid()}/root/workspace"
            seen["watcher"] = later(watch)
        if turn > 1:
            from_sandbox(turn)
        while seen["looks"] < ALTERNATIONS * turn // TURNS and seen["watcher"].is_alive():
            time.sleep(0.01)
        if turn == TURNS:
            seen["stop"] = True
            seen["watcher"].join()
            return "done"
        with open(f"{seen['root']}/other", "w", encoding="ascii") as f:
            f.write(f"from the sandbox {turn}")
        calls = [("fs.write", {"path": f"/workspace/{name}", "content": str(k)})
                 for k in range(turn * each, turn * each + each) for name in ("value", f"name{k - each}")]
        return calls + [("fs.read", {"path": "/workspace/other"})]

    play = Play(node, "alternate", steps=[[("fs.write", {"path": "/workspace/value", "content": "0"})]] + [
        lambda p, t=t: step(t) for t in range(1, TURNS + 1)])
    tap.equal("file tools and mount in alternation", play.end(), "completed")
    tap.ok(f"{seen['looks']} looks in between, none stale", not seen["stale"] and seen["looks"] >= ALTERNATIONS
           and seen["next"] == each * (TURNS - 1), [seen["looks"], seen["next"], seen["stale"][:5], node.logs()])


# ---- somebody dies ----

COPY = """
import hashlib
block = bytes(range(256)) * 1024
with open("source", "wb") as f:
    for i in range(64):
        f.write(block)
put("ready", "")
wait("go")
with open("source", "rb") as a, open("copy.new", "wb") as b:
    while True:
        part = a.read(65536)
        if not part:
            break
        b.write(part); b.flush(); os.fsync(b.fileno())
os.rename("copy.new", "copy")
bad = []
for i in range(300):
    for fn in (lambda: os.mkdir(f"d{i}"), lambda: os.symlink("x", f"d{i}/s"), lambda: put(f"d{i}/f", "x"),
               lambda: os.link(f"d{i}/f", f"d{i}/g"), lambda: os.rename(f"d{i}/f", f"d{i}/h"),
               lambda: os.unlink(f"d{i}/s"), lambda: os.close(os.open(f"d{i}/x", os.O_CREAT | os.O_EXCL))):
        got = tried(fn)
        if got != "done":
            bad.append([i, got])
with open("copy", "rb") as f:
    print(json.dumps({"sum": hashlib.sha256(f.read()).hexdigest(), "bad": bad}))
"""


def daemon_dies(node):
    play = Play(node, "copy", COPY)
    play.wait_for("ready")
    play.put("go")
    kills = 0
    node.wait_for("the copy's beginning", lambda: os.path.exists(play.dir + "/copy.new"), seconds=PATIENCE_S)
    while kills < 2 or (kills < 6 and play_goes_on(play)):
        node.kill("aegisd")
        time.sleep(0.5)
        node.start_aegisd()
        kills += 1
        time.sleep(0.5)
    tap.equal("the daemon is killed in mid-copy and the copy completes", play.end(), "completed")
    want = hashlib.sha256(bytes(range(256)) * 1024 * 64).hexdigest()
    tap.equal(f"nothing is lost, no error reaches the agent ({kills} kills)", play.output(), {"sum": want, "bad": []})


def play_goes_on(play):
    return play.status() == "running" and not os.path.exists(play.dir + "/d299")


MOVED = """
f = open("old", "w"); f.write("1"); f.flush(); os.fsync(f.fileno())
put("ready", "")
wait("go")
f.write("2"); f.flush(); os.fsync(f.fileno())
print(json.dumps({"old": os.path.exists("old"), "new": get("dir/new")}))
"""


def moved(node):
    """[20]: an object is found by its handle though it was moved and the daemon forgot where it was."""
    play = Play(node, "moved", MOVED)
    play.wait_for("ready")
    os.mkdir(play.dir + "/dir")
    os.chown(play.dir + "/dir", node.uid, node.uid)
    node.kill("aegisd")
    os.rename(play.dir + "/old", play.dir + "/dir/new")
    node.start_aegisd()
    play.put("go")
    play.end()
    tap.equal("rename, kill -9, write through the old handle", play.output(), {"old": False, "new": "12"})


BUSY = """
if os.fork() == 0:
    f = open("mapped", "w+b"); f.truncate(1 << 22)
    m = mmap.mmap(f.fileno(), 1 << 22)
    while True:
        for i in range(0, 1 << 22, 4096):
            m[i] = (m[i] + 1) & 255
if os.fork() == 0:
    while True:
        with open("synced", "w") as f:
            f.write("x" * 100000); f.flush(); os.fsync(f.fileno())
put("ready", "")
while True:
    with open("written", "w") as f:
        for i in range(100):
            f.write("y" * 10000)
"""


class Transport:
    """A sandbox's transport namespace, held from here."""

    def __init__(self, node):
        folder = node.run + "/transports"
        self.names = os.listdir(folder)
        self.pins = [f"{folder}/{name}" for name in self.names]

    def inside(self, *command):
        done = [subprocess.run(["nsenter", f"--net={pin}", *command], capture_output=True, text=True, check=False)
                for pin in self.pins]
        return [d.stdout for d in done]

    def hold(self):
        self.pins = [f"/proc/{os.getpid()}/fd/{os.open(pin, os.O_RDONLY)}" for pin in self.pins]
        return self

    def release(self):
        for pin in self.pins:
            os.close(int(pin.rpartition("/")[2]))

    def client(self):
        """What the kernel's client still has there."""
        return "".join(self.inside("cat", "/proc/fs/nfsfs/volumes")).count("v3")


def given_up(node, name, what, dies, comes_back):
    """The sandbox is killed while `dies` is away; `comes_back` starts what is needed to end it."""
    play = Play(node, name, BUSY)
    play.wait_for("ready")
    pid = play.first_pid()
    transport = Transport(node).hold()
    cgroup = cgroup_of(pid)
    tap.ok(f"{what}: the mount is there at first", transport.client() == 1 and len(processes_in(cgroup)) > 3,
           [pid, transport.inside("cat", "/proc/fs/nfsfs/volumes")])
    time.sleep(0.5)
    for process in dies:
        node.kill(process)
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    comes_back()

    def gone():
        time.sleep(0.5)
        return not processes_in(cgroup) and transport.client() == 0 and not os.listdir(node.run + "/transports")
    try:
        node.wait_for("the end of what was given up", gone, seconds=120)
    except RuntimeError as e:
        print("# " + str(e).replace("\n", "\n# "))
    tap.equal(f"{what}: no process, mount, namespace or pin is left",
              [processes_in(cgroup), transport.client(), os.listdir(node.run + "/transports"),
               nodes.namespaces_pinned()], [[], 0, [], set()])
    transport.release()
    for process in ("helper", "aegisd"):
        if getattr(node, process).poll() is not None:
            getattr(node, "start_" + process)()
    tap.equal(f"{what}: the execution ends", play.end(), "failed")


def daemon_away(node):
    given_up(node, "away", "the daemon is away", ["aegisd"], lambda: None)


def helper_away(node):
    given_up(node, "helperless", "the helper is away", ["helper"], node.start_helper)


def both_away(node):
    given_up(node, "orphan", "both are away", ["aegisd", "helper"], node.start_helper)


def cancelled(node):
    play = Play(node, "cancelled", BUSY)
    play.wait_for("ready")
    cgroup = cgroup_of(play.first_pid())
    node.call("POST", f"/v1/executions/{play.id}/cancel", {}, timeout=120)
    tap.equal("an execution that is cancelled ends", play.end(), "cancelled")
    node.wait_for("nothing", lambda: not os.listdir(node.run + "/transports"), seconds=60)
    tap.equal("and leaves nothing", [processes_in(cgroup), os.listdir(node.run + "/transports")], [[], []])


# ---- raw calls in a transport namespace ----

RPC = """
import socket, struct, sys
def word(*values):
    return b"".join(struct.pack(">I", v) for v in values)
def opaque(b):
    return word(len(b)) + b + bytes(-len(b) % 4)
s = socket.create_connection(("127.0.0.1", 2049), 30)
def call(program, procedure, body):
    message = word(7, 0, 2, program, 3, procedure, 0, 0, 0, 0) + body
    s.sendall(word(0x80000000 | len(message)) + message)
    head = s.recv(4, socket.MSG_WAITALL)
    reply = s.recv(struct.unpack(">I", head)[0] & 0x7fffffff, socket.MSG_WAITALL)
    return reply[24:]
for what, argument in zip(sys.argv[1::2], sys.argv[2::2]):
    if what == "mnt":
        reply = call(100005, 1, opaque(argument.encode()))
        status, = struct.unpack(">I", reply[:4])
        print(status, reply[8:8 + struct.unpack(">I", reply[4:8])[0]].hex() if status == 0 else "-")
    else:
        print(struct.unpack(">I", call(100003, 1, opaque(bytes.fromhex(argument)))[:4])[0], "-")
"""

WAITING = """
put("ready", "")
wait("go")
print(json.dumps({"listing": sorted(os.listdir("."))}))
"""


def strangers(node):
    plays_here = [Play(node, name, WAITING) for name in ("one", "two")]
    for play in plays_here:
        play.wait_for("ready")
    transport = Transport(node)
    mounts = ["mnt", f"/local/{plays_here[0].id}", "mnt", f"/local/{plays_here[1].id}"]
    answers = [out.split() for out in transport.inside("python3", "-c", RPC, *mounts)]
    own = [[a[0::2].index("0"), a[1::2]] for a in answers if "0" in a[0::2]]
    tap.ok("a listener exports its own execution's workspace, and no other's",
           len(own) == 2 and all(sorted(a[0::2]) == ["0", "2"] for a in answers), answers)
    handles = {which: texts[which] for which, texts in own}
    results = [out.split()[0::2] for out in transport.inside("python3", "-c", RPC, "getattr", handles.get(0, "00"),
                                                            "getattr", handles.get(1, "00"))]
    tap.ok("another execution's handle is refused", sorted(map(sorted, results)) == [["0", "70"], ["0", "70"]]
           and sorted(r.index("0") for r in results) == [0, 1], results)
    forged = bytearray.fromhex(handles.get(0, "00"))
    forged[-1] ^= 1
    results = [out.split()[0] for out in transport.inside("python3", "-c", RPC, "getattr", forged.hex())]
    tap.ok("and so is a forged one", all(r in ("70", "10001") for r in results), results)
    for play in plays_here:
        play.put("go")
    tap.equal("both go on", [play.end() for play in plays_here], ["completed", "completed"])


SCENARIOS = [policy, tighten, strangers, alternate, daemon_dies, moved, cancelled, daemon_away, helper_away, both_away]


def main():
    nodes.as_root_or_skip()
    node = nodes.Node(model.serve(answer))
    os.mkdir(node.dir + "/policy.d", 0o755)
    node.start()
    if not node.mediates():
        node.stop()
        node.remove()
        tap.skip_all("this kernel has no NFS client")
    for scenario in SCENARIOS:
        if len(sys.argv) == 1 or scenario.__name__ in sys.argv[1:]:
            began = time.monotonic()
            try:
                scenario(node)
            except (RuntimeError, OSError, ValueError, KeyError) as e:
                tap.ok(scenario.__name__, False, f"{e!r}\n{node.logs()}")
                break
            print(f"# {scenario.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    tap.equal("exit statuses", node.stop(), [0, 0])
    tap.ok("no sanitizer has anything to say", "Sanitizer" not in node.logs(100000)
           and "runtime error" not in node.logs(100000), node.logs())
    node.remove_cgroups()
    tap.equal("mounts that are left", node.mounts(), [])
    node.remove()
    tap.done()


if __name__ == "__main__":
    main()
