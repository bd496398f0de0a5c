#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Requests per CPU-second of the server: our server with a small JSON route against nginx with a file of that size.

Both are one process with one thread; wrk asks both in turn, in rounds, and the best round of each counts, because
whatever else runs on the machine only ever takes away.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SMOKE = "AEGIS_BENCH_SMOKE" in os.environ  # tests/bench/smoke.h
ROUNDS = 1 if SMOKE else 3
SECONDS = 1 if SMOKE else 2
CONNECTIONS = 32
TICKS = os.sysconf("SC_CLK_TCK")
PATH = "/v1/agents/7c9e6679"

NGINX = """
daemon off; master_process off; worker_processes 1; pid {path}/pid; error_log {path}/error.log crit;
events {{ worker_connections 1024; multi_accept on; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; default_type application/json;
    open_file_cache max=16 inactive=60s; open_file_cache_valid 60s;
    client_body_temp_path {path}/t1; proxy_temp_path {path}/t2; fastcgi_temp_path {path}/t3;
    uwsgi_temp_path {path}/t4; scgi_temp_path {path}/t5;
    server {{ listen 127.0.0.1:{port} backlog=1024; root {path}; }}
}}
"""

PIPELINE = """
init = function(args)
  local r = {{}}
  for i = 1, {depth} do r[i] = wrk.format("GET", "{path}") end
  req = table.concat(r)
end
request = function() return req end
"""


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start_ours():
    server = subprocess.Popen([os.environ["AEGIS_BUILD"] + "/tests/bench/net/bench_http_server"],
                              stdout=subprocess.PIPE, text=True)
    return server, int(server.stdout.readline())


def start_nginx(path, body):
    os.makedirs(path + os.path.dirname(PATH))
    with open(path + PATH, "wb") as out:
        out.write(body)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with open(path + "/nginx.conf", "w", encoding="ascii") as out:
        out.write(NGINX.format(path=path, port=port))
    os.chmod(path, 0o755)
    server = subprocess.Popen(["nginx", "-c", path + "/nginx.conf", "-e", path + "/error.log"])
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    return server, port


def fetch(port):
    return subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}{PATH}"], stdout=subprocess.PIPE, check=True).stdout


def measure(server, port, script):
    """Requests per CPU-second of the server, and per second of the clock."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"] + (["-s", script] if script else [])
    before = cpu_seconds(server.pid)
    text = subprocess.run([*command, f"http://127.0.0.1:{port}{PATH}"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    used = max(cpu_seconds(server.pid) - before, 1 / TICKS)
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"wrk met errors:\n{text}")
    return int(re.search(r"(\d+) requests in", text).group(1)) / used


def figure(name, value, peer_value, target):
    print(json.dumps({"area": "net", "name": name, "value": round(value), "unit": "requests per server CPU-second",
                      "peer": "nginx" if peer_value else None,
                      "peer_value": round(peer_value) if peer_value else None, "target": target}), flush=True)


def compare(name, ours, nginx, script, target):
    best, peer_best = 0, 0
    for _ in range(ROUNDS):
        best = max(best, measure(*ours, script))
        if nginx:
            peer_best = max(peer_best, measure(*nginx, script))
    figure(name, best, peer_best, target)


def main():
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed (tools/deps bench)")
    path = tempfile.mkdtemp(prefix="aegis-bench-")
    ours = start_ours()
    body = fetch(ours[1])
    nginx = start_nginx(path, body) if shutil.which("nginx") else None
    script = path + "/pipeline.lua"
    with open(script, "w", encoding="ascii") as out:
        out.write(PIPELINE.format(depth=16, path=PATH))
    try:
        compare("small JSON route", ours, nginx, None, ">= 0.8")
        compare("small JSON route, 16 requests pipelined", ours, nginx, script, None)
    finally:
        for server in (ours, nginx):
            if server:
                server[0].terminate()
                server[0].wait()
        shutil.rmtree(path)


main()
