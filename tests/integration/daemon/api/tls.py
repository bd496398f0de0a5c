#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The TCP door with TLS, on every address: which versions, with and without the key, and the command line."""

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import sys

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine", SOURCE + "/tests/integration/daemon/api"]
import doors
import model
import node as nodes
import tap


def certificate(node):
    """Self-signed, with its key where only aegisd can read it."""
    paths = [f"{node.dir}/server.{end}" for end in ("crt", "key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=aegis",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-out", paths[0], "-keyout", paths[1]],
                   check=True, capture_output=True)
    os.chmod(paths[1], 0o600)
    os.chown(paths[1], node.uid, node.uid)
    return paths


def ask(node, cert, key=None, least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_3):
    """Status of GET /v1/agents, or the name of what kept it from an answer."""
    context = ssl.create_default_context(cafile=cert)
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # else Debian's own settings refuse the old versions
    context.minimum_version, context.maximum_version = least, most
    c = http.client.HTTPSConnection("127.0.0.1", node.port, timeout=30, context=context)
    try:
        c.request("GET", "/v1/agents", headers={"Authorization": f"Bearer {key}"} if key else {})
        return c.getresponse().status
    except ssl.SSLError:
        return "refused"
    except OSError as error:
        return type(error).__name__
    finally:
        c.close()


def plain(node):
    """What a client without TLS gets."""
    with socket.create_connection(("127.0.0.1", node.port), 30) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = b""
        try:
            while piece := s.recv(4096):
                got += piece
        except OSError:
            pass
        return got


def run(node):
    cert, private = certificate(node)
    node.configure("bind_address: 127.0.0.1", f"tls: {{cert_path: {cert}, key_path: {private}}}, bind_address: 0.0.0.0")
    node.start()
    key = node.key()
    tap.equal("without the key", ask(node, cert), 401)
    tap.equal("with it", ask(node, cert, key), 200)
    for name, version in (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)):
        tap.equal(f"TLS {name}", ask(node, cert, key, version, version), 200)
    old = ssl.TLSVersion.TLSv1_1
    tap.ok("TLS 1.1 is refused", ask(node, cert, key, old, old) in ("refused", "ConnectionResetError"))
    tap.ok("without TLS nothing is told", b"aegis" not in plain(node) and b"200" not in plain(node))
    for where in ((), ("--host", "127.0.0.1"), ("--host", "localhost")):
        done = subprocess.run([nodes.program("aegis"), "agent", "list", "--config", node.config, *where],
                              capture_output=True, text=True, timeout=60)
        tap.equal(f"aegis agent list {' '.join(where)}", (done.returncode, done.stderr), (0, ""))
    node.stop()
    node.configure(private, private + ".none")
    node.start_helper()
    node.start_aegisd(wait=False)
    tap.ok("a key that is not there keeps it from starting", node.aegisd.wait(60) != 0 and ".none" in node.logs(), node.logs())


def main():
    nodes.as_root_or_skip()
    if not shutil.which("openssl"):
        tap.skip_all("openssl is not installed (tools/deps test)")
    node = doors.Node(model.serve(lambda messages: "done"))
    try:
        run(node)
    finally:
        node.stop()
        if tap._failed or sys.exc_info()[0]:
            print("\n".join("# " + line for line in node.logs().splitlines()))
        node.remove()
        node.remove_cgroups()
    tap.done()


if __name__ == "__main__":
    main()
