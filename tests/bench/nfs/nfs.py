#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Server CPU per NFS call: `aegis nfs serve` under a policy and recording, the bare echo of the same sizes, nfs-ganesha.

Every reply is verified by the generator, which ends the run at the first wrong one. All run one after the other in
rounds, in a network namespace of their own with the export on tmpfs; the median of the rounds counts.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SMOKE = "AEGIS_BENCH_SMOKE" in os.environ  # tests/bench/smoke.h
ROUNDS = 1 if SMOKE else int(os.environ.get("AEGIS_BENCH_ROUNDS", "3"))
SECONDS = "0.1" if SMOKE else os.environ.get("AEGIS_BENCH_SECONDS", "1")
BUILD = os.environ["AEGIS_BUILD"]
LOAD = BUILD + "/tests/bench/nfs/bench_nfs_load"
ECHO = BUILD + "/tests/bench/nfs/bench_nfs_echo"
POLICY = "permit (principal, action, resource);\n"
MIB = 1024 * 1024

# Operation, size, connections, depth; the target is about the ratio to the echo.
CELLS = [
    ("null", 0, 8, 16, None),
    ("getattr", 0, 8, 16, "<= 3.1"),
    ("lookup", 0, 8, 16, None),
    ("access", 0, 8, 16, None),
    ("read", 4096, 8, 16, "<= 2.4"),
    ("write", 4096, 8, 16, None),
    ("read", 65536, 8, 16, None),
    ("write", 65536, 8, 16, None),
    ("read", MIB, 8, 4, "<= 1.1"),
    ("write", MIB, 8, 4, None),
    ("create", 0, 8, 16, "<= 17"),
    ("remove", 0, 8, 16, None),
    ("readdirplus", 0, 8, 16, None),
    ("getattr", 0, 64, 1, "<= 1.2"),
    ("read", 4096, 64, 1, None),
    ("getattr", 0, 64, 16, None),
    ("getattr", 0, 1, 1, None),
    ("read", 4096, 1, 1, None),
    ("getattr", 0, 1, 16, None),
    ("read", 4096, 1, 16, None),
    ("getattr", 0, 8, 1, None),
]

# With records of each operation by itself, and without any, beside those summed up per file and second.
EVENT_CELLS = [("getattr", 0, 8, 16, None), ("read", 4096, 8, 16, None), ("write", 4096, 8, 16, None),
               ("create", 0, 8, 16, None)]
PACED_CELLS = EVENT_CELLS[:3]
PACE = 0.8

GANESHA = """
NFS_CORE_PARAM {{ Protocols = 3; NFS_Port = 12049; MNT_Port = 12050; Enable_NLM = false; Enable_RQUOTA = false;
    Enable_UDP = false; mount_path_pseudo = false; }}
EXPORT_DEFAULTS {{ Access_Type = RW; Squash = none; SecType = sys; Protocols = 3; }}
EXPORT {{ Export_Id = 1; Path = {path}; Pseudo = /gx; Access_Type = RW; Squash = none; Protocols = 3;
    Transports = TCP; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = CRIT; }}
"""


def isolate():
    """Starts this script again in namespaces of its own, where ports and mounts are nobody else's."""
    if os.geteuid() != 0 or os.environ.get("AEGIS_BENCH_ISOLATED"):
        return
    os.environ["AEGIS_BENCH_ISOLATED"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_echo():
    process = subprocess.Popen([ECHO], stdout=subprocess.PIPE, text=True)
    return process, {"port": int(process.stdout.readline()), "export": "-"}


def start_ours(path, work, *more):
    with open(work + "/policy.cedar", "w", encoding="ascii") as out:
        out.write(POLICY)
    os.mkdir(path)
    process = subprocess.Popen([BUILD + "/bin/aegis", "nfs", "serve", path, "--export", "/x", "--state", path + ".state",
                                "--policy", work + "/policy.cedar", *more], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        sys.exit("aegis nfs serve did not start")
    return process, {"port": int(line.split(" on ")[1].split(":")[1].split(",")[0]), "export": "/x"}


def start_ganesha(path, work):
    """None where it is not installed or does not come up. Its MOUNT has a port of its own."""
    if os.geteuid() != 0 or not shutil.which("ganesha.nfsd") or not shutil.which("rpcbind"):
        return None
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.makedirs("/run/rpcbind")
    os.makedirs("/run/ganesha")
    rpcbind = subprocess.Popen(["rpcbind", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    with open(work + "/ganesha.conf", "w", encoding="ascii") as out:
        out.write(GANESHA.format(path=path))
    process = subprocess.Popen(["ganesha.nfsd", "-F", "-L", work + "/ganesha.log", "-f", work + "/ganesha.conf",
                                "-p", work + "/ganesha.pid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", 12050)).close()
            return process, {"port": 12049, "mount": 12050, "export": path, "beside": rpcbind}
        except OSError:
            time.sleep(0.1)
    print("ganesha does not come up", file=sys.stderr)
    stop(process)
    stop(rpcbind)
    return None


def measure(server, cell, rate=0):
    process, at = server
    op, size, connections, depth = cell[:4]
    command = [LOAD, "127.0.0.1", str(at["port"]), at["export"], op, str(size), str(connections), str(depth), SECONDS,
               str(process.pid), str(at.get("mount", at["port"])), str(rate)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        return None
    return json.loads(result.stdout)


def name_of(cell):
    op, size, connections, depth = cell[:4]
    text = "" if not size else f" {size // MIB}M" if size >= MIB else f" {size // 1024}K"
    return f"{op.upper()}{text}, {connections} x {depth}"


def figure(name, value, unit, peer=None, peer_value=None, target=None):
    print(json.dumps({"area": "nfs", "name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value,
                      "target": target}), flush=True)


def middle(results, key):
    values = [r[key] for r in results if r]
    return round(statistics.median(values), 3) if values else None


def pread_cost(path):
    result = subprocess.run([LOAD, "-", "0", path + "/pread", "pread", str(MIB), "1", "1", "1"],
                            stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout)["cpu_us"]


def report(cell, ours, echo, ganesha, pread_us):
    name = name_of(cell)
    floor = middle(echo, "cpu_us")
    peer = "bare echo"
    if cell[0] == "read" and cell[1] == MIB:
        floor = round(floor + pread_us, 3)
        peer = "bare echo and one pread"
    figure(f"{name}: server CPU", middle(ours, "cpu_us"), "us", peer, floor, cell[4])
    if any(ganesha):
        figure(f"{name}: server CPU", middle(ours, "cpu_us"), "us", "nfs-ganesha", middle(ganesha, "cpu_us"))
    figure(f"{name}: calls per second", middle(ours, "per_second"), "1/s", "bare echo", middle(echo, "per_second"))
    for quantile in ("p50", "p99", "p999"):
        figure(f"{name}: {quantile}", middle(ours, quantile + "_us"), "us", "bare echo", middle(echo, quantile + "_us"))


def measure_events(work, path, ours):
    """Every operation on record, and none, in turn with those summed up."""
    full = start_ours(path + "/full", work, "--records", work + "/full.jsonl", "--window", "0")
    none = start_ours(path + "/none", work)
    try:
        for cell in EVENT_CELLS:
            results = ([], [], [])
            for _ in range(ROUNDS):
                for into, server in zip(results, [full, ours, none]):
                    into.append(measure(server, cell))
                os.truncate(work + "/full.jsonl", 0)
            for kind, result in (("each on record", results[0]), ("summed up", results[1])):
                figure(f"{name_of(cell)}, {kind}: server CPU", middle(result, "cpu_us"), "us", "no records",
                       middle(results[2], "cpu_us"))
    finally:
        stop(full[0])
        stop(none[0])


def measure_paced(ours):
    """Latency at a part of what the server can do."""
    for cell in PACED_CELLS:
        rate = PACE * middle([measure(ours, cell) for _ in range(ROUNDS)], "per_second")
        results = [measure(ours, cell, rate) for _ in range(ROUNDS)]
        for quantile in ("p50", "p99", "p999"):
            figure(f"{name_of(cell)}, at {PACE:.0%} load: {quantile}", middle(results, quantile + "_us"), "us",
                   target="<= 1000" if quantile == "p99" else None)


def main():
    isolate()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False, stderr=subprocess.DEVNULL)
    work = tempfile.mkdtemp(prefix="aegis-bench-nfs-")
    path = work + "/export"
    os.mkdir(path)
    if os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    os.makedirs(path + "/ganesha")
    servers = [start_ours(path + "/ours", work, "--records", work + "/ours.jsonl"), start_echo()]
    ganesha = start_ganesha(path + "/ganesha", work)
    failed = False
    try:
        pread_us = pread_cost(path)
        for cell in CELLS:
            results = ([], [], [])
            for _ in range(ROUNDS):
                for into, server in zip(results, [*servers, ganesha]):
                    into.append(measure(server, cell) if server else None)
            if not all(results[0]) or not all(results[1]):
                print(f"{name_of(cell)}: a wrong reply, or none", file=sys.stderr)
                failed = True
                continue
            report(cell, *results, pread_us)
        measure_events(work, path, servers[0])
        measure_paced(servers[0])
    finally:
        for process, at in [*servers, *([ganesha] if ganesha else [])]:
            stop(process)
            if "beside" in at:
                stop(at["beside"])
        if os.geteuid() == 0:
            subprocess.run(["umount", path], check=False)
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
