#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""TLS on both sides against curl, openssl and Python's ssl."""

import os
import shutil
import ssl
import subprocess
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers
import tap
from peers import client

HELLO = '{"message":"hello"}'


def context(certs, **options):
    c = ssl.create_default_context(cafile=certs.ca)
    for name, value in options.items():
        setattr(c, name, value)
    return c


def handshake(server, c, name="localhost"):
    """The open connection, or the reason why there is none."""
    try:
        return c.wrap_socket(server.connect("tls"), server_hostname=name)
    except (ssl.SSLError, OSError) as error:
        return str(error)


def versions(server, certs):
    url = f"https://localhost:{server.ports['tls']}"
    for version in ("1.2", "1.3"):
        got = subprocess.run(["curl", "-sS", "--cacert", certs.ca, f"--tlsv{version}", "--tls-max", version,
                              url + "/hello"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        tap.equal(f"curl speaks TLS {version}", got.stdout.decode(), HELLO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # for the version that we want refused
        old = context(certs, minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    got = handshake(server, old)
    tap.ok("TLS 1.1 is refused", isinstance(got, str), got)
    got = subprocess.run(["curl", "-sS", "--cacert", certs.ca, "--data-binary", "@-", url + "/echo?limit=9000000"],
                         input=b"y" * 5000000, stdout=subprocess.PIPE, check=False).stdout
    tap.ok("5 MB travel both ways", got == b"y" * 5000000, len(got))


def protocols(server, certs):
    c = context(certs)
    c.set_alpn_protocols(["h2", "http/1.1"])
    s = handshake(server, c)
    tap.equal("ALPN settles on http/1.1", s.selected_alpn_protocol() if not isinstance(s, str) else s, "http/1.1")
    c = context(certs)
    c.set_alpn_protocols(["h2"])
    got = handshake(server, c)
    tap.ok("h2 alone is refused", isinstance(got, str) and "NO_APPLICATION_PROTOCOL" in got.upper().replace(" ", "_"),
           got)
    s = handshake(server, context(certs))
    tap.equal("without ALPN it is HTTP/1.1 anyway", s.selected_alpn_protocol() if not isinstance(s, str) else s, None)


def odd_clients(server, certs):
    got = peers.ask(server, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "tls")
    tap.ok("plain HTTP at the TLS door gets no answer", b"hello" not in got and got != b"hangs", got)
    with server.connect("tls") as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
    s = handshake(server, context(certs))
    for i in range(0, len(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 5):
        s.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[i:i + 5])
    got = peers.read_all(s)
    tap.ok("many small records make one request", got.decode().endswith(HELLO), got)
    s = handshake(server, context(certs))
    s.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 20 + b"GET /hello HTTP/1.1\r\nHost: a\r\n"
              b"Connection: close\r\n\r\n")
    tap.equal("pipelining inside TLS", peers.read_all(s).count(HELLO.encode()), 21)


def resumption(server, certs, path):
    session = os.path.join(path, "session")
    common = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.ports['tls']}", "-servername", "localhost",
              "-CAfile", certs.ca, "-verify_return_error", "-tls1_2"]
    subprocess.run([*common, "-sess_out", session], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    got = subprocess.run([*common, "-sess_in", session], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False).stdout.decode()
    tap.ok("openssl resumes a session", "Reused, TLSv1.2" in got, got)


def reloading(server, certs):
    def serial():
        s = handshake(server, context(certs))
        return s if isinstance(s, str) else s.getpeercert()["serialNumber"]

    url = f"http://127.0.0.1:{server.ports['tcp']}/reload"
    before = serial()
    certs.make("server", "/CN=second")
    tap.equal("the server reloads its certificate", client(url), "status 200\nok")
    after = serial()
    tap.ok("and shows the new one", before != after and len(after) > 8, (before, after))
    with open(certs.file("server.pem"), "w", encoding="ascii") as out:
        out.write("nonsense\n")
    got = client(url)
    tap.ok("a bad file is refused by name", got.startswith("status 500") and "server.pem" in got, got)
    tap.equal("and the old certificate stays", serial(), after)


def our_client(server, certs, path):
    url = f"https://localhost:{server.ports['tls']}"
    tap.equal("our client reaches our server, thrice by one connection",
              client(url + "/hello", "--ca", certs.ca, "--repeat", 3), f"status 200\n{HELLO}" * 3)
    tap.equal("by address", client(f"https://127.0.0.1:{server.ports['tls']}/hello", "--ca", certs.ca),
              f"status 200\n{HELLO}")
    tap.equal("a streamed answer", client(url + "/big?n=3000000", "--ca", certs.ca, "--quiet", 1),
              "status 200\n3000000 bytes\n")
    tap.equal("events", client(url + "/events?n=1", "--ca", certs.ca, "--events", 1),
              'status 200\nevent type=tick id=0 data={"line":1}\nsecond\n')
    got = client(url + "/hello")
    tap.ok("a CA that the system does not know is refused", got.startswith("error EKEYREJECTED") and
           "securing the connection" in got, got)
    other = peers.Certificates(os.path.join(path, "other"))
    got = client(url + "/hello", "--ca", other.ca)
    tap.ok("so is another CA than the given one", got.startswith("error EKEYREJECTED"), got)
    got = client("http://localhost/", "--ca", os.path.join(path, "missing.pem"))
    tap.ok("a CA file that is not there is named", got.startswith("error EINVAL") and "missing.pem" in got, got)


def wrong_names(certs):
    certificate, key = certs.make("elsewhere", "/CN=localhost", "DNS:elsewhere.example,IP:127.0.0.9")
    server = peers.Server("--tcp", 1, "--certificate", certificate, "--key", key)
    for host in ("localhost", "127.0.0.1"):
        got = client(f"https://{host}:{server.ports['tls']}/hello", "--ca", certs.ca)
        tap.ok(f"a certificate for somebody else does not speak for {host}", got.startswith("error EKEYREJECTED") and
               "mismatch" in got, got)
    tap.equal("the server stops cleanly", server.stop(), 0)


def openssl_server(certs, path):
    certificate, key = certs.make("openssl", "/CN=openssl")
    port = peers.free_port()
    with open(os.path.join(path, "page"), "w", encoding="ascii") as out:
        out.write("from openssl\n")
    process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key",
                                key, "-WWW", "-quiet"], cwd=path, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peers.wait_port(port)
    got = client(f"https://localhost:{port}/page", "--ca", certs.ca)
    tap.equal("our client reads from openssl s_server", got, "status 200\nfrom openssl\n")
    process.terminate()
    process.wait()


def mutual(certs):
    certificate, key = certs.make("mutual", "/CN=server")
    mine, my_key = certs.make("mine", "/O=house/CN=somebody")
    server = peers.Server("--tcp", 1, "--certificate", certificate, "--key", key, "--client-ca", certs.ca)
    url = f"https://localhost:{server.ports['tls']}/peer"
    got = subprocess.run(["curl", "-sS", "--cacert", certs.ca, "--cert", mine, "--key", my_key, url],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout.decode()
    tap.ok("a client certificate is shown to the handler", "tls=1" in got and "subject=CN=somebody,O=house" in got, got)
    got = subprocess.run(["curl", "-sS", "--cacert", certs.ca, url], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False).stdout.decode()
    tap.ok("without one there is no connection", "tls=1" not in got, got)
    with open(mine, encoding="ascii") as a, open(my_key, encoding="ascii") as b:
        both = a.read() + b.read()
    with open(certs.file("both.pem"), "w", encoding="ascii") as out:
        out.write(both)
    got = client(url, "--ca", certs.ca, "--certificate", certs.file("both.pem"))
    tap.ok("our client can show one", "subject=CN=somebody,O=house" in got, got)
    got = client(url, "--ca", certs.ca)
    tap.ok("and fails without", got.startswith("error "), got)
    tap.equal("the server stops cleanly", server.stop(), 0)


def main():
    peers.need("openssl", "curl")
    path = peers.folder()
    os.mkdir(os.path.join(path, "other"))
    certs = peers.Certificates(path)
    certificate, key = certs.make("server", "/CN=first")
    server = peers.Server("--tcp", 1, "--certificate", certificate, "--key", key)
    versions(server, certs)
    protocols(server, certs)
    odd_clients(server, certs)
    resumption(server, certs, path)
    our_client(server, certs, path)
    reloading(server, certs)
    tap.equal("the server stops cleanly", server.stop(), 0)
    wrong_names(certs)
    openssl_server(certs, path)
    mutual(certs)
    shutil.rmtree(path)
    tap.done()


main()
