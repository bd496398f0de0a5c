#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Our server against curl, Python's http.client and raw sockets."""

import concurrent.futures
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers
import tap

HELLO = b'{"message":"hello"}'
GET = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def post(path, body, *headers):
    lines = "".join(header + "\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}"


def curl(*arguments, stdin=None):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False).stdout.decode()


def plain_exchanges(server):
    c = http.client.HTTPConnection("127.0.0.1", server.ports["tcp"], timeout=10)
    c.request("GET", "/hello")
    first = c.getresponse()
    tap.equal("http.client reads a reply", (first.status, first.read()), (200, HELLO))
    used = c.sock
    c.request("POST", "/echo", body=b"x" * 100000)
    second = c.getresponse()
    tap.equal("it echoes a body", (second.status, second.read()), (200, b"x" * 100000))
    tap.ok("both used one connection", c.sock is used)
    c.request("POST", "/echo", body=iter([b"one,", b"two"]), encode_chunked=True,
              headers={"Transfer-Encoding": "chunked"})
    tap.equal("it echoes a chunked body", c.getresponse().read(), b"one,two")
    c.request("HEAD", "/hello")
    head = c.getresponse()
    tap.equal("HEAD has the length and no body", (head.getheader("Content-Length"), head.read()), ("19", b""))
    c.request("GET", "/empty")
    empty = c.getresponse()
    tap.equal("204 has neither", (empty.status, empty.getheader("Content-Length"), empty.read()), (204, None, b""))
    c.request("GET", "/headers", headers={"X-Sent": "a b"})
    sent = c.getresponse()
    sent.read()
    tap.equal("headers travel both ways", (sent.getheader("X-Seen"), sent.getheader("X-Second")), ("a b", "2"))
    c.request("GET", "/nowhere")
    tap.equal("an unknown route is the handler's business", c.getresponse().status, 404)
    c.close()


def pipelining(server):
    many = (GET + post("/echo", "abc", "Content-Length: 3")) * 50 + LAST
    got = peers.ask(server, many)
    tap.equal("100 pipelined requests and one more are all answered", got.count(b"HTTP/1.1 200 OK"), 101)
    tap.equal("in order", got.count(HELLO) + got.count(b"abc"), 101)
    mixed = GET + "GET /big?n=100000 HTTP/1.1\r\nHost: a\r\n\r\n" + post(
        "/echo", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + LAST
    got = peers.ask(server, mixed)
    tap.ok("also behind a streamed reply", got.count(HELLO) == 2 and got.endswith(HELLO) and b"hello" in got)
    with server.connect() as s:
        for byte in GET.encode():
            s.sendall(bytes([byte]))
        tap.ok("a request may come byte by byte", HELLO in peers.read_until(s, HELLO))


def beside(server):
    def meet(i, n=16):
        return post(f"/meet?n={n}&beside", f"<{i:04}>", "Content-Length: 6")

    got = peers.ask(server, "".join(meet(i) for i in range(48)) + LAST)
    tap.equal("pipelined requests that may do run beside each other, 16 at a time",
              (got.count(b"HTTP/1.1 200"), got.count(b"alone")), (49, 0))
    tap.equal("their answers keep the order", re.findall(rb"<(\d+)>", got), [b"%04d" % i for i in range(48)])
    tap.ok("what may not waits for all of them", got.endswith(HELLO))
    alone = "".join(post("/meet?n=2&ms=50", f"<{i}>", "Content-Length: 3") for i in range(3))
    tap.equal("others run one by one", peers.ask(server, alone + LAST).count(b"alone"), 3)
    with server.connect() as s:
        for pause in (0, 0.1, 0):  # what rested in between is used again, or has gone
            time.sleep(pause)
            s.sendall((meet(1, 2) + meet(2, 2)).encode())
            got = peers.read_until(s, b"<0002>")
            tap.ok("and so they do on a connection that was idle", b"<0001>" in got and b"alone" not in got, got)
    long = post("/big?n=100000&beside", "x", "Content-Length: 1")
    got = peers.ask(server, meet(1, 2) + meet(2, 2) + long + meet(3, 2) + meet(4, 2) + LAST)
    tap.ok("a streamed answer keeps its place", got.index(b"<0002>") < got.index(b"x" * 4096) < got.index(b"<0003>"))
    got = peers.ask(server, post("/slow?ms=50&beside", "a", "Content-Length: 1") + post("/silent?beside", "a", "Content-Length: 1") + LAST)
    tap.ok("one without an answer is 500, in its place", got.index(b"waited") < got.index(b"HTTP/1.1 500") and
           got.endswith(HELLO), got)
    broken = post("/big?n=10&break=1&beside", "a", "Content-Length: 1")
    got = peers.ask(server, post("/slow?ms=50&beside", "a", "Content-Length: 1") + broken +
                    post("/echo?beside", "after", "Content-Length: 5") + LAST)
    tap.ok("one whose answer breaks off ends the connection", b"waited" in got and b"after" not in got and HELLO not in got, got)
    with server.connect() as s:
        s.sendall((post("/slow?ms=100&beside", "a", "Content-Length: 1") * 3).encode())
        s.shutdown(socket.SHUT_WR)
        tap.equal("a client that sends no more is answered", peers.read_all(s).count(b"waited"), 3)


def bodies(server):
    got = peers.ask(server, post("/echo?limit=10", "x" * 11, "Content-Length: 11") + LAST)
    tap.ok("a body beyond the route's limit is 413", got.startswith(b"HTTP/1.1 413"), got)
    tap.ok("and a short one does not cost the connection", got.endswith(HELLO), got)
    got = peers.ask(server, post("/hello", "x" * 1000, "Content-Length: 1000") + LAST)
    tap.equal("a body that nobody reads is skipped", got.count(HELLO), 2)
    got = peers.ask(server, post("/hello", "y" * 70000, "Content-Length: 70000") + LAST)
    tap.ok("unless it is long", got.count(HELLO) == 1 and b"Connection: close" in got, got)
    with server.connect() as s:
        s.sendall(post("/echo", "", "Content-Length: 5", "Expect: 100-continue").encode())
        tap.equal("100 Continue comes when the handler reads", peers.read_until(s, b"\r\n\r\n"),
                  b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(b"hello" + LAST.encode())
        tap.ok("and then the reply", b"hello" in peers.read_all(s))
    with server.connect() as s:
        s.sendall(post("/echo?limit=10", "", "Content-Length: 1000000", "Expect: 100-continue").encode())
        got = peers.read_all(s)
        tap.ok("but not for a body that is refused", got.startswith(b"HTTP/1.1 413") and
               b"Connection: close" in got and b"100 Continue" not in got, got)
    got = peers.ask(server, post("/echo", "5\r\nhelloXX", "Transfer-Encoding: chunked") + LAST)
    tap.ok("malformed chunks are 400 and the end", got.startswith(b"HTTP/1.1 400") and HELLO not in got, got)
    path = peers.folder()
    with open(os.path.join(path, "big"), "wb") as out:
        out.truncate(20 << 20)
    url = f"http://127.0.0.1:{server.ports['tcp']}/count"
    with open(os.path.join(path, "big"), "rb") as file:
        tap.equal("curl uploads 20 MB chunked", curl("-T", "-", url, stdin=file), str(20 << 20))
    tap.equal("and of known length", curl("-T", f"{path}/big", url), str(20 << 20))
    shutil.rmtree(path)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024


def many_bodies():
    """What clients send at once and never finish takes a bounded amount of memory."""
    budget, each, clients = 4 << 20, 1 << 20, 240
    # What AddressSanitizer keeps of freed memory would count as the server's.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    server = peers.Server("--tcp", 1, "--bodies", budget, "--body-ms", 3600000)
    peers.ask(server, LAST)
    before = resident(server.process.pid)
    held, refused = [], 0
    for i in range(clients):
        s = server.connect()
        s.settimeout(60)
        s.sendall(post("/echo?limit=2000000", "", f"Content-Length: {each + 1}").encode())
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        sent = 0
        try:
            while sent < each:
                sent += s.send(b"x" * min(65536, each - sent))
            held.append(s)
        except OSError:
            refused += 1
            s.close()
    def answered(request, status):
        """Asks until that is the answer: what was sent may not have been read yet."""
        end = time.time() + 60
        while not (got := peers.ask(server, request)).startswith(b"HTTP/1.1 " + status) and time.time() < end:
            time.sleep(0.1)
        return got.startswith(b"HTTP/1.1 " + status), got[:100]

    full = answered(post("/echo?stranger=1&limit=2000000", "y" * 200000, "Content-Length: 200000",
                         "Connection: close"), b"503")
    grown = resident(server.process.pid) - before
    tap.ok("240 bodies of 1 MiB that never end take a bounded part of that", grown < 100 << 20, f"{grown >> 20} MiB")
    tap.ok("there is no room for another long one", *full)
    got = peers.ask(server, post("/echo", "short", "Content-Length: 5") + LAST)
    tap.ok("a short one is served all the same", got.startswith(b"HTTP/1.1 200") and b"short" in got, got)
    for s in held:
        s.close()
    tap.ok("what has gone makes room", *answered(
        post("/echo?limit=2000000", "z" * 1000000, "Content-Length: 1000000", "Connection: close"), b"200"))
    tap.equal("it stops cleanly", server.stop(), 0)


def refusals(server):
    smuggled = post("/echo", "0\r\n\r\n" + GET, "Content-Length: 5", "Transfer-Encoding: chunked")
    got = peers.ask(server, smuggled)
    tap.ok("CL.TE is refused, and nothing behind it is served",
           got.startswith(b"HTTP/1.1 400") and got.count(b"HTTP/1.1") == 1 and b"Connection: close" in got, got)
    cases = {
        "a bare LF": ("GET /hello HTTP/1.1\nHost: a\n\n", b"400"),
        "no Host": ("GET /hello HTTP/1.1\r\n\r\n", b"400"),
        "a long head": ("GET /hello HTTP/1.1\r\nHost: a\r\n" + "X: " + "y" * 20000 + "\r\n\r\n", b"431"),
        "a long target": ("GET /" + "y" * 20000, b"414"),
        "another coding": (post("/echo", "", "Transfer-Encoding: gzip"), b"501"),
        "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        "an expectation": (post("/echo", "", "Content-Length: 1", "Expect: x"), b"417"),
        "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", b"400"),
    }
    for name, (data, status) in cases.items():
        got = peers.ask(server, data)
        tap.ok(f"{name} is {status.decode()}", got.startswith(b"HTTP/1.1 " + status), got[:200])
    got = peers.ask(server, "GET /bad-header HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    tap.ok("a reply header with a line break is never sent", got.startswith(b"HTTP/1.1 500") and
           b"Set-Cookie" not in got, got)
    got = peers.ask(server, "GET /silent HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    tap.ok("a handler without an answer is a 500", got.startswith(b"HTTP/1.1 500"), got)
    got = peers.ask(server, "GET /big?n=9999&break=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    tap.ok("a reply that breaks off does not look whole", b"\r\n0\r\n\r\n" not in got and got != b"hangs")


def old_clients(server):
    got = peers.ask(server, "GET /hello HTTP/1.0\r\n\r\n")
    tap.ok("HTTP/1.0 ends by closing", got.endswith(HELLO) and b"Connection: close" in got, got)
    got = peers.ask(server, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n")
    tap.ok("unless it asks otherwise", got.count(HELLO) == 2 and b"Connection: keep-alive" in got, got)
    got = peers.ask(server, "GET /big?n=5000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    tap.ok("and is never sent chunks", got.endswith(b"\r\n\r\n" + b"x" * 5000) and b"chunked" not in got, got[:200])


def event_streams(server):
    url = f"http://127.0.0.1:{server.ports['tcp']}/events"
    got = curl("-N", url + "?n=2")
    want = "".join(f'event: tick\nid: {i}\ndata: {{"line":1}}\ndata: second\n\n:\n\n' for i in range(2))
    tap.equal("curl reads events", got, want)
    with server.connect() as s:
        s.sendall(b"GET /events?n=1000000&pause=10 HTTP/1.1\r\nHost: a\r\n\r\n")
        got = peers.read_until(s, b"second\n\n")
        tap.ok("the first comes at once", b"text/event-stream" in got and b"id: 0" in got)
    line = server.wait_for_line("events ended")
    tap.equal("a client that leaves is EPIPE to the handler", line.strip(), "events ended: EPIPE")


def doors(path):
    where = os.path.join(path, "socket")
    server = peers.Server("--tcp", 1, "--unix", where)
    got = curl("--unix-socket", where, "http://localhost/peer")
    tap.equal("a Unix peer is known by its credentials", " ".join(got.split()[:2] + got.split()[4:5]),
              f"tag=unix unix=1 uid={os.getuid()}")
    got = curl(f"http://127.0.0.1:{server.ports['tcp']}/peer")
    tap.ok("a TCP peer by its door and address", got.startswith("tag=tcp unix=0 tls=0 loopback=1 uid=-1"), got)
    tap.equal("the server stops cleanly", server.stop(), 0)


def slow_clients():
    server = peers.Server("--tcp", 1, "--head-ms", 500, "--idle-ms", 600, "--write-ms", 300,
                          "--rate", 1 << 30)
    start = time.time()
    got = peers.ask(server, "GET /hello HTTP/1.1\r\nHost: a\r\nX: ")
    tap.ok("half a head is given up as 408", got.startswith(b"HTTP/1.1 408") and time.time() - start < 60, got)
    with server.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(600):
            time.sleep(0.05)
            try:
                s.sendall(b"X")
            except OSError:
                break
        tap.ok("however it trickles", b"408" in peers.read_all(s))
    with server.connect() as s:
        tap.equal("a connection that says nothing is closed", peers.read_all(s), b"")
    with server.connect() as s:
        s.sendall(GET.encode())
        got = peers.read_all(s)
        tap.ok("an idle one too", got.endswith(HELLO), got)
    with server.connect() as s:
        s.sendall(b"GET /big?n=100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        got = peers.read_all(s)
        tap.ok("one that does not read is cut off", len(got) < 50000000 and got != b"hangs", len(got))
    tap.equal("the server stops cleanly", server.stop(), 0)


def crowds():
    server = peers.Server("--tcp", 1, "--max", 3)
    held = [server.connect() for _ in range(3)]
    for s in held:
        s.sendall(GET.encode())
        peers.read_until(s, HELLO)
    got = peers.ask(server, GET)
    tap.ok("one connection too many is told to come again", got.startswith(b"HTTP/1.1 503") and
           b"Retry-After: 1" in got, got)
    held.pop().close()
    end = time.time() + 60
    refused = 1
    while not (got := peers.ask(server, LAST)).endswith(HELLO) and time.time() < end:
        refused += 1  # it has not seen the other go yet
        time.sleep(0.05)
    tap.ok("and may when another has left", got.endswith(HELLO), got)
    for s in held:
        s.close()
    tap.equal("the server stops cleanly", server.stop(), 0)
    tap.ok("it counted", f"refused {refused}" in server.output, server.output)
    server = peers.Server("--tcp", 1, "--workers", 2)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: peers.ask(server, GET * 10 + LAST).count(HELLO), range(200)))
    tap.equal("200 connections on 2 workers are all served", results, [11] * 200)
    tap.equal("both stop cleanly", server.stop(), 0)


def graceful_stop():
    server = peers.Server("--tcp", 1, "--grace-ms", 60000)
    busy, idle, events = server.connect(), server.connect(), server.connect()
    idle.sendall(GET.encode())
    peers.read_until(idle, HELLO)
    busy.sendall(b"GET /slow?ms=700 HTTP/1.1\r\nHost: a\r\n\r\n")
    events.sendall(b"GET /events?n=100000&pause=100 HTTP/1.1\r\nHost: a\r\n\r\n")
    peers.read_until(events, b"id: 0")
    start = time.time()
    tap.equal("stopping ends with success", server.stop(), 0)
    took = time.time() - start
    tap.ok("when all have finished, not at the deadline", took < 50, took)
    got = peers.read_all(busy)
    tap.ok("the busy one was answered", b"waited" in got and b"Connection: close" in got, got)
    tap.equal("the idle one was closed", peers.read_all(idle), b"")
    tap.ok("the event stream was ended", "events ended: ECANCELED" in server.output, server.output)
    server = peers.Server("--tcp", 1, "--grace-ms", 300)
    with server.connect() as s:
        s.sendall(b"GET /slow?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        start = time.time()
        tap.equal("who is not done at the deadline is cancelled", server.stop(), 0)
        tap.ok("then", time.time() - start < 50)


def main():
    peers.need("curl")
    path = peers.folder()
    server = peers.Server("--tcp", 1)
    for test in (plain_exchanges, pipelining, beside, bodies, refusals, old_clients, event_streams):
        test(server)
    tap.equal("the server stops cleanly", server.stop(), 0)
    doors(path)
    many_bodies()
    slow_clients()
    crowds()
    graceful_stop()
    shutil.rmtree(path)
    tap.done()


main()
