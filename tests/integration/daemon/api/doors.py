# SPDX-License-Identifier: AGPL-3.0-only
"""A node with both doors open: a Unix socket, and TCP on a loopback port with its key."""

import collections
import http.client
import json
import os
import socket
import sys

sys.path.append(os.environ.get("AEGIS_SOURCE", ".") + "/tests/integration/spine")
import node as nodes

Answer = collections.namedtuple("Answer", "status headers body json")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node(nodes.Node):
    def __init__(self, model_port):
        super().__init__(model_port)
        self.port = free_port()
        self.options = []
        self.configure("tcp: false", f"tcp: true\n  network: {{bind_address: 127.0.0.1, port: {self.port}}}")

    def configure(self, old, new):
        text = nodes.read(self.config)
        assert old in text, f"the configuration has no {old!r}"
        with open(self.config, "w") as f:
            f.write(text.replace(old, new))

    def spawn(self, name, command):
        return super().spawn(name, command + (self.options if name == "aegisd" else []))

    def key(self):
        return nodes.read(self.data + "/api.key").strip()

    def ask(self, method, path, body=None, headers=(), tcp=False, timeout=60):
        """One request; over TCP only the headers that are given, so no key unless it is there."""
        if tcp:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        else:
            c = nodes.Connection(self.socket, timeout)
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            try:
                c.request(method, path, body, headers=dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                pass  # it answered before it had the whole body
            answer = c.getresponse()
            data = answer.read()
            is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
            return Answer(answer.status, answer.headers, data, json.loads(data) if is_json and data else None)
        finally:
            c.close()

    def raw(self, data, timeout=60):
        """Bytes in, on the Unix socket; what came back until the daemon closed or paused for `timeout`."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(timeout)
            s.connect(self.socket)
            got = b""
            try:
                s.sendall(data)
                while piece := s.recv(65536):
                    got += piece
            except (TimeoutError, ConnectionError):
                pass
            return got
