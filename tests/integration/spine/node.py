# SPDX-License-Identifier: AGPL-3.0-only
"""A whole node for tests: aegis-helper and aegisd in directories, ids and cgroups of their own, and
what there is of it on the host (processes, mounts, network namespaces, cgroups, files), so that a
test can say that nothing is left.

    node = Node()
    node.start()
    status, body = node.call("POST", "/v1/executions", {"agent_id": "hello"})
    node.stop()
    node.remove()
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("AEGIS_BUILD", "build/debug"))
SLOTS = 256

ENDS = ("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled", "ExecutionTimedOut")
HIERARCHIES = ["/sys/fs/cgroup" + h for h in ("", "/unified", "/cpu", "/memory", "/pids")]


def program(name):
    return os.path.join(BUILD, "bin", name)


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def namespaces_pinned():
    """The network namespaces that mounts keep: with no process left, nothing else could."""
    return {word for line in read("/proc/self/mountinfo").splitlines() for word in line.split()
            if word.startswith("net:[")}


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Node:
    def __init__(self, model_port, daemon="", helper_options=()):
        self.dir = tempfile.mkdtemp(prefix="aegis-node-")
        os.chmod(self.dir, 0o755)
        pid = os.getpid()
        self.uid = 500_000 + pid % 100_000
        self.slot_base = 20_000_000 + pid % 4096 * SLOTS
        self.cgroup = f"aegis-test-{pid}"
        self.data = self.dir + "/data"
        self.state = self.dir + "/state"
        self.run = self.dir + "/run"
        self.socket = self.data + "/aegisd.sock"
        self.config = self.dir + "/config.yaml"
        self.helper = None
        self.helper_options = list(helper_options)
        self.aegisd = None
        for path in (self.data, self.state, self.run):
            os.mkdir(path)
        with open(self.config, "w") as f:
            f.write(f"""apiVersion: 100monkeys.ai/v1
kind: NodeConfig
metadata: {{name: spine}}
spec:
  node: {{id: spine, type: edge}}
  daemon:
    data_directory: {self.data}
    socket_path: {self.socket}
    tcp: false
{daemon}
  llm_providers:
    - name: scripted
      type: openai-compatible
      endpoint: "http://127.0.0.1:{model_port}/v1"
      enabled: true
      models: [{{alias: default, model: m, capabilities: [code], context_window: 8000}}]
""")
        self.before = self.footprint()

    # ---- up and down ----

    def start_helper(self):
        path = self.run + "/helper.sock"
        if os.path.exists(path):
            os.unlink(path)
        self.helper = self.spawn("helper", [
            program("aegis-helper"), "--uid", str(self.uid), "--gid", str(self.uid),
            "--slots", f"{self.slot_base}:{SLOTS}", "--bootstrap", program("aegis-bootstrap"),
            "--run-dir", self.run, "--state-dir", self.state,
            "--cgroup-parent", self.cgroup + "/sandboxes",
            "--network-pool", "4"] + self.helper_options)
        self.wait_for("the helper's socket", lambda: os.path.exists(path), self.helper)

    def start_aegisd(self, wait=True):
        self.aegisd = self.spawn("aegisd", [
            program("aegisd"), "--config", self.config,
            "--helper-socket", self.run + "/helper.sock",
            "--runtimes", self.state + "/runtimes", "--user", f"{self.uid}:{self.uid}"])
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=240):
        self.wait_for("aegisd's answer", self.healthy, self.aegisd, seconds)

    def start(self):
        self.start_helper()
        self.start_aegisd()

    def spawn(self, name, command):
        with open(f"{self.dir}/{name}.log", "a") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_for(self, what, true, process=None, seconds=300):
        end = time.monotonic() + seconds
        while not true():
            if process and process.poll() is not None:
                raise RuntimeError(f"{what} did not come: exit status {process.returncode}\n"
                                   + self.logs())
            if time.monotonic() > end:
                raise RuntimeError(f"{what} did not come within {seconds} s\n" + self.logs())
            time.sleep(0.02)

    def stop(self):
        """Politely, aegisd first; their exit statuses."""
        codes = []
        for process in (self.aegisd, self.helper):
            if process and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            codes.append(process.returncode if process else None)
        return codes

    def kill(self, name):
        process = getattr(self, name)
        process.kill()
        process.wait()

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def logs(self, lines=40):
        text = ""
        for name in ("helper", "aegisd"):
            tail = read(f"{self.dir}/{name}.log").splitlines()[-lines:]
            text += "".join(f"{name}: {line}\n" for line in tail)
        return text

    # ---- the API ----

    def call(self, method, path, body=None, timeout=30):
        c = Connection(self.socket, timeout)
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            c.request(method, path, body)
            answer = c.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            c.close()

    def journal_of(self, execution, until=ENDS):
        """What the audit journal, which follows the store, has of an execution once it has a record of such a kind."""
        records = []

        def has_end():
            tail = self.audit("tail", "-n", "1000", "--execution", execution, "--output", "json").stdout
            records[:] = [json.loads(line) for line in tail.splitlines()]
            return any(r["kind"] in until for r in records)
        self.wait_for(f"{until} in the journal", has_end)
        return records

    def healthy(self):
        try:
            return self.call("GET", "/health", timeout=5)[0] == 200
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def mediates(self):
        """Whether sandboxes get their files over NFS here."""
        doctor = self.call("GET", "/v1/doctor")[1]
        return "mounted into sandboxes" in json.dumps(doctor)

    def events(self, path, after=0, timeout=30):
        """Server-sent events: (number, data) as they come; ends with the stream or its connection."""
        c = Connection(self.socket, timeout)
        try:
            c.request("GET", path, headers={"Last-Event-ID": str(after)} if after else {})
            answer = c.getresponse()
            if answer.status != 200:
                raise http.client.HTTPException(f"status {answer.status}: {answer.read()[:200]}")
            number, data = None, []
            while True:
                line = answer.readline()
                if not line:
                    return
                line = line.rstrip(b"\r\n")
                if not line:
                    if number is not None:
                        yield number, b"\n".join(data)
                    number, data = None, []
                elif line.startswith(b"id:"):
                    number = int(line[3:])
                elif line.startswith(b"data:"):
                    data.append(line[5:].lstrip(b" "))
        finally:
            c.close()

    def audit(self, *arguments):
        return subprocess.run([program("aegis-audit"), "--journal", self.data + "/audit", *arguments],
                              capture_output=True, text=True)

    def journal(self, executions):
        """The records of events, in order: of these executions, and of what is no execution's."""
        records = {}
        for id in executions:
            tail = self.audit("tail", "-n", "1000", "--execution", id, "--output", "json").stdout
            for line in tail.splitlines():
                record = json.loads(line)
                records[record["number"]] = record
        newest = json.loads(self.audit("tail", "-n", "1", "--output", "json").stdout)["number"]
        for number in range(1, newest + 1):
            if number not in records:
                records[number] = json.loads(self.audit("show", str(number), "--output", "json").stdout)
        return [r for _, r in sorted(records.items()) if r["source"] == "event"]

    # ---- what there is of it on the host ----

    def sandbox_cgroups(self):
        found = []
        for hierarchy in HIERARCHIES:
            for path, dirs, _ in os.walk(f"{hierarchy}/{self.cgroup}/sandboxes"):
                found += [f"{path}/{d}" for d in dirs]
        return found

    def processes(self):
        """{pid: command} of everything whose uid, or whose parents' cgroup, is this node's."""
        mine = range(self.slot_base, self.slot_base + SLOTS)
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            status = read(f"/proc/{pid}/status")
            uid = next((int(l.split()[1]) for l in status.splitlines() if l.startswith("Uid:")), 0)
            command = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            if uid in mine or uid == self.uid or self.cgroup in read(f"/proc/{pid}/cgroup") \
                    or self.dir in command:
                if status and "State:\tZ" not in status:
                    found[int(pid)] = command
        return found

    def sandbox_processes(self):
        """[(pid, its number inside)] of what runs in sandboxes."""
        found = []
        for hierarchy in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            for path, _, _ in os.walk(f"{hierarchy}/{self.cgroup}/sandboxes"):
                for pid in read(path + "/cgroup.procs").split():
                    inside = [l for l in read(f"/proc/{pid}/status").splitlines()
                              if l.startswith("NSpid:")]
                    if inside:
                        found.append((int(pid), int(inside[0].split()[-1])))
        return found

    def mounts(self):
        return [l for l in read("/proc/self/mounts").splitlines() if self.dir in l]

    def namespaces(self):
        """The network namespaces of its sandboxes, as they are now."""
        return {link(f"/proc/{pid}/ns/net") for pid, _ in self.sandbox_processes()} - {None}

    def footprint(self):
        return {
            "processes": self.processes(),
            "mounts": self.mounts(),
            "cgroups": self.sandbox_cgroups(),
            "workspaces": sorted(os.listdir(self.state + "/workspaces"))
            if os.path.isdir(self.state + "/workspaces") else [],
            "sockets": sorted(os.listdir(self.run + "/sockets"))
            if os.path.isdir(self.run + "/sockets") else [],
        }

    def remove_cgroups(self):
        """The parents, which outlive the helper on purpose."""
        for hierarchy in HIERARCHIES:
            for path in (f"{hierarchy}/{self.cgroup}/sandboxes", f"{hierarchy}/{self.cgroup}"):
                try:
                    os.rmdir(path)
                except OSError:
                    pass


def as_root_or_skip():
    import tap
    if os.getuid() != 0:
        tap.skip_all("needs root")
    if not os.path.exists("/usr/bin/python3"):
        tap.skip_all("needs /usr/bin/python3 for the sandbox")
    if not os.path.exists(program("aegisd")):
        print("Bail out! aegisd is not built in " + BUILD, file=sys.stderr)
        sys.exit(1)
