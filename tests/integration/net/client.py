#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Our client against Python's http.server, nginx, and servers that misbehave in every known way."""

import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers
import tap
from peers import Script, answers, client

OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def python_server(path):
    with open(os.path.join(path, "file"), "wb") as out:
        out.write(b"z" * 300000)
    port = peers.free_port()
    process = subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], cwd=path,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not peers.wait_port(port):
        tap.ok("http.server starts", False)
        return
    tap.equal("http.server (HTTP/1.0) gives a file", client(f"http://127.0.0.1:{port}/file", "--quiet", 1),
              "status 200\n300000 bytes\n")
    got = client(f"http://127.0.0.1:{port}/missing")
    tap.ok("and says what it has not", got.startswith("status 404\n"), got)
    got = client(f"http://localhost:{port}/file", "--method", "HEAD", "--quiet", 1)
    tap.equal("HEAD, by the name localhost", got, "status 200\n0 bytes\n")
    process.terminate()
    process.wait()


NGINX = """
daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format links '$connection $request_method $status';
    access_log {path}/access.log links;
    client_body_temp_path {path}/t1; proxy_temp_path {path}/t2; fastcgi_temp_path {path}/t3;
    uwsgi_temp_path {path}/t4; scgi_temp_path {path}/t5;
    server {{
        listen 127.0.0.1:{port}; listen unix:{path}/nginx.sock;
        root {path};
        location /go {{ return 302 /file; }}
        location /post {{ return 200 "posted"; }}
    }}
}}
"""


def nginx(path):
    if not shutil.which("nginx"):
        tap.skip("nginx", "nginx is not installed")
        return
    port = peers.free_port()
    with open(os.path.join(path, "nginx.conf"), "w", encoding="ascii") as out:
        out.write(NGINX.format(path=path, port=port))
    os.chmod(path, 0o755)
    process = subprocess.Popen(["nginx", "-c", os.path.join(path, "nginx.conf"), "-e",
                                os.path.join(path, "error.log")], stderr=subprocess.DEVNULL)
    if not peers.wait_port(port):
        tap.ok("nginx starts", False)
        return
    url = f"http://127.0.0.1:{port}"
    tap.equal("nginx gives a file three times", client(url + "/file", "--quiet", 1, "--repeat", 3),
              "status 200\n300000 bytes\n" * 3)
    tap.equal("a redirect is an answer, not an order", client(url + "/go", "--quiet", 1).split("\n")[0], "status 302")
    tap.equal("POST", client(url + "/post", "--data", "x" * 1000), "status 200\nposted")
    tap.equal("over a Unix socket", client("http://localhost/file", "--unix", f"{path}/nginx.sock", "--quiet", 1),
              "status 200\n300000 bytes\n")
    process.terminate()
    process.wait()
    with open(os.path.join(path, "access.log"), encoding="ascii") as log:
        links = [line.split()[0] for line in log if " GET 200" in line][:3]
    tap.equal("the three came by one connection", len(set(links)), 1)


def own_server():
    server = peers.Server("--tcp", 1)
    url = f"http://127.0.0.1:{server.ports['tcp']}"
    tap.equal("a streamed answer of 5 MB", client(url + "/big?n=5000000", "--quiet", 1),
              "status 200\n5000000 bytes\n")
    tap.equal("events", client(url + "/events?n=2", "--events", 1),
              'status 200\nevent type=tick id=0 data={"line":1}\nsecond\n'
              'event type=tick id=1 data={"line":1}\nsecond\n')
    tap.equal("an answer beyond the limit", client(url + "/big?n=5000", "--max", 4999),
              f"error E2BIG: GET 127.0.0.1:{server.ports['tcp']}: the answer is too long: "
              "more than the 4999 bytes accepted\n")
    tap.equal("an answer at the limit", client(url + "/big?n=5000", "--max", 5000, "--quiet", 1),
              "status 200\n5000 bytes\n")
    start = time.time()
    got = client(url + "/slow?ms=20000", "--deadline-ms", 300)
    tap.ok("a deadline ends the wait", "error ETIME" in got and "waiting for the answer: timed out" in got and
           time.time() - start < 5, got)
    got = client(url + "/events?n=10&pause=5000", "--events", 1, "--silence-ms", 300)
    tap.ok("so does too long a silence", "error ETIME" in got and "reading the answer: timed out" in got, got)
    got = client(url + "/big?n=5000&break=1")
    tap.ok("an answer that breaks off is an error", got.startswith("error ECONNRESET"), got)
    tap.equal("the server stops cleanly", server.stop(), 0)


def failures_have_names():
    got = client("http://127.0.0.1:1/")
    tap.equal("refused", got, "error ECONNREFUSED: GET 127.0.0.1:1: connecting: Connection refused\n")
    got = client("http://name.invalid/")
    tap.ok("no such name", got.startswith("error EHOSTUNREACH: GET name.invalid:80: looking up the name: "), got)
    got = client("http://localhost/", "--unix", "/nonexistent/socket")
    tap.equal("no such socket", got,
              "error ENOENT: GET /nonexistent/socket: connecting: No such file or directory\n")
    for url in ("ftp://a/", "http://u:secret@a/", "http://a b/", "http:///"):
        got = client(url)
        tap.ok(f"the URL {url} is refused", got.startswith("error EINVAL") and "secret" not in got, got)
    got = client("http://127.0.0.1:1/", "--header", "Host: b")
    tap.ok("a header that is the client's own is refused", got.startswith("error EINVAL: header Host"), got)
    got = client("http://127.0.0.1:1/", "--header", "X: a\r\nY: b")
    tap.ok("a header with a line break is refused", got.startswith("error EINVAL: header 1"), got)


def malformed_answers():
    cases = {
        "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "length and coding": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "a bare LF": "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "a bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "another protocol": "SSH-2.0-x\r\n\r\n",
        "HTTP/2": "HTTP/2 200\r\n\r\n",
        "a head without end": "HTTP/1.1 200 OK\r\n" + "X: " + "y" * 70000 + "\r\n\r\n",
        "a switch of protocols": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "nine interim answers": "HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK,
    }
    for name, text in cases.items():
        got = client(Script(answers(text)).url())
        tap.ok(f"{name}: malformed", got.startswith("error EBADMSG") and "the answer is malformed" in got, got)
    got = client(Script(answers("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK)).url())
    tap.equal("a few interim answers are skipped", got, "status 200\nok")
    got = client(Script(answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")).url())
    tap.ok("too short a body is an error", got.startswith("error ECONNRESET"), got)
    got = client(Script(answers("HTTP/1.1 200 OK\r\n\r\nall of it")).url())
    tap.equal("a body until the close is whole", got, "status 200\nall of it")
    got = client(Script(answers("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")).url(), "--max", 100)
    tap.ok("too long a length is refused before the body", got.startswith("error E2BIG"), got)


def refuse_early(s):
    """Answers before it has read the body, and closes."""
    peers.read_until(s, b"\r\n\r\n")
    s.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong")
    time.sleep(0.3)


def repeating():
    """A server that closes idle connections just when the next request comes."""
    def close_at_request(s):
        answers(OK)(s)
        peers.read_until(s, b"\r\n\r\n")

    server = Script(close_at_request, answers(OK))
    tap.equal("GET goes out again on a new connection", client(server.url(), "--repeat", 2), "status 200\nok" * 2)
    tap.equal("once", server.accepted, 2)
    server = Script(close_at_request, answers(OK))
    got = client(server.url(), "--repeat", 2, "--data", "x")
    tap.ok("POST does not", "error ECONNRESET" in got or "error EPIPE" in got, got)
    tap.equal("it went out by the first connection only", server.accepted, 1)
    server = Script(answers(OK), answers(OK))
    tap.equal("a connection that was closed while idle is not used, even for POST",
              client(server.url(), "--repeat", 2, "--pause-ms", 200, "--data", "x"), "status 200\nok" * 2)
    server = Script(lambda s: s.recv(1), answers(OK))
    got = client(server.url())
    tap.ok("a new connection that breaks is an error", got.startswith("error ECONNRESET"), got)
    server = Script(answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), answers(OK))
    tap.equal("Connection: close is heeded", client(server.url(), "--repeat", 2), "status 200\nok" * 2)
    server = Script(answers(OK + "unasked"), answers(OK))
    tap.equal("bytes behind an answer never become the next one", client(server.url(), "--repeat", 2,
              "--pause-ms", 100), "status 200\nok" * 2)
    got = client(Script(refuse_early).url(), "--data", "x" * 100000)
    tap.equal("an answer that comes before the request is read counts", got, "status 413\nlong")


def what_is_sent():
    seen = []

    def record(s):
        seen.append(peers.read_until(s, b"\r\n\r\n").decode())
        s.sendall(OK.encode())

    server = Script(record, record)
    client(server.url("/p?q=1"), "--header", "X-Key: v")
    client(server.url("/"), "--method", "POST")
    lines = seen[0].split("\r\n")
    tap.equal("the request line", lines[0], "GET /p?q=1 HTTP/1.1")
    tap.ok("Host, the caller's header and a name", f"Host: 127.0.0.1:{server.port}" in lines and "X-Key: v" in lines and
           any(line.startswith("User-Agent: aegis/") for line in lines), seen[0])
    tap.ok("no length where there is no body", "Content-Length" not in seen[0])
    tap.ok("but for POST", "Content-Length: 0\r\n" in seen[1], seen[1])


def main():
    path = peers.folder()
    python_server(path)
    nginx(path)
    own_server()
    failures_have_names()
    malformed_answers()
    repeating()
    what_is_sent()
    shutil.rmtree(path)
    tap.done()


main()
