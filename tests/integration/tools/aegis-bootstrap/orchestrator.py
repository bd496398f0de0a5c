# SPDX-License-Identifier: AGPL-3.0-only
"""A stand-in for the dispatch gateway of aegisd on a Unix socket, played from a script.

A script is a list of steps, one per request; a step is a function request -> Reply. Every request is
kept in `requests`: a dict with `path`, `headers` (lower case) and `body` (parsed JSON).
"""

import json
import os
import socket
import threading


class Reply:
    def __init__(self, body=None, status=200, raw=None, drop=False, head_only=False, chunked=False):
        self.body = json.dumps(body).encode() if body is not None else b""
        self.status = status
        self.raw = raw
        self.drop = drop  # close without an answer, as a daemon that dies
        self.head_only = head_only  # close in the middle of the answer
        self.chunked = chunked

    def bytes(self):
        if self.raw is not None:
            return self.raw
        head = f"HTTP/1.1 {self.status} X\r\nContent-Type: application/json\r\n"
        if self.chunked:
            half = len(self.body) // 2
            parts = [self.body[:half], self.body[half:]]
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p) + b"0\r\n\r\n"
            return (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + body
        return (head + f"Content-Length: {len(self.body)}\r\n\r\n").encode() + self.body


def dispatch(call_id, command, *args, **fields):
    return Reply({"type": "dispatch", "dispatch_id": call_id, "action": "exec", "command": command,
                  "args": list(args), **fields})


def final(content):
    return Reply({"type": "final", "content": content, "tool_calls_executed": 0, "conversation": []})


class Orchestrator:
    def __init__(self, path, steps):
        self.path = path
        self.steps = list(steps)
        self.requests = []
        self.answered = 0
        self.listener = None
        self.lock = threading.Lock()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            os.unlink(self.path)
            self.listener = None

    def _serve(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(conn,), daemon=True).start()

    def _talk(self, conn):
        with conn:
            request = self._read(conn)
            if request is None:
                return
            with self.lock:
                self.requests.append(request)
                step = self.steps.pop(0) if self.steps else final("script is over")
            reply = step(request) if callable(step) else step
            if reply.drop:
                return
            data = reply.bytes()
            try:
                conn.sendall(data[: len(data) // 2] if reply.head_only else data)
                self.answered += 1
            except OSError:
                pass

    @staticmethod
    def _read(conn):
        data = b""
        while b"\r\n\r\n" not in data:
            more = conn.recv(65536)
            if not more:
                return None
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        while len(body) < int(headers.get("content-length", 0)):
            more = conn.recv(65536)
            if not more:
                return None
            body += more
        return {"path": lines[0].split()[1], "method": lines[0].split()[0], "headers": headers,
                "body": json.loads(body) if body else None}
