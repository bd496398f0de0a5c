#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""A thousand clients at once and ten thousand files in use: what the server holds is what it was given, not what is
asked of it. It gets few descriptors, so that most of the files it serves cannot stay open."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.environ.get("AEGIS_SOURCE", ".") + "/tests"]
import tap

CONNECTIONS, FILES, BATCH = 1000, 10000, 250
DESCRIPTORS = 4096  # of the process; a quarter of them for files
MOST_CONNECTIONS = 1024  # LIMIT_NFS_CONNECTIONS
GROWTH_KIB = 128 * 1024  # from a tenth of the files and clients to all of them
NFS, MOUNT = 100003, 100005
GETATTR, READ, WRITE, CREATE = 1, 6, 7, 8


def words(*values):
    return struct.pack(f">{len(values)}I", *values)


def opaque(data):
    return words(len(data)) + data + bytes(-len(data) % 4)


class Client:
    """One connection; calls go out together and answers are put in order by their number."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number, self.held = 0, b""

    def send(self, program, procedure, arguments):
        out = []
        for a in arguments:
            self.number += 1
            message = words(self.number, 0, 2, program, 3, procedure, 0, 0, 0, 0) + a
            out.append(words(0x80000000 | len(message)) + message)
        self.socket.sendall(b"".join(out))
        self.first, self.wanted = self.number - len(arguments) + 1, len(arguments)

    def receive(self):
        answers = {}
        while len(answers) < self.wanted:
            while len(self.held) < 4 or len(self.held) < 4 + (size := struct.unpack_from(">I", self.held)[0] & 0x7fffffff):
                piece = self.socket.recv(1 << 20)
                if not piece:
                    raise ConnectionError("the server closed the connection")
                self.held += piece
            record, self.held = self.held[4:4 + size], self.held[4 + size:]
            answers[struct.unpack_from(">I", record)[0]] = record[24:]
        return [answers[self.first + i] for i in range(self.wanted)]

    def call(self, program, procedure, arguments):
        self.send(program, procedure, arguments)
        return self.receive()


def handle_at(reply, offset):
    n = struct.unpack_from(">I", reply, offset)[0]
    return reply[offset + 4:offset + 4 + n]


def status(reply):
    return struct.unpack_from(">I", reply)[0]


def in_batches(clients, procedure, arguments):
    """Each client in turn gets a batch, and many have one under way."""
    answers = []
    for at in range(0, len(arguments), BATCH * 8):
        used = []
        for i in range(at, min(at + BATCH * 8, len(arguments)), BATCH):
            client = clients[(i // BATCH) % len(clients)]
            client.send(NFS, procedure, arguments[i:i + BATCH])
            used.append(client)
        for client in used:
            answers += client.receive()
    return answers


def grown(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def use_all(clients, handles):
    """All files written, read and asked about."""
    body = b"x" * 100
    results = [in_batches(clients, WRITE, [opaque(h) + words(0, 0, 100, 0) + opaque(body) for h in handles]),
               in_batches(clients, READ, [opaque(h) + words(0, 0, 100) for h in handles]),
               in_batches(clients, GETATTR, [opaque(h) for h in handles])]
    return sum(status(r) != 0 for answers in results for r in answers), sum(body in r for r in results[1])


def is_served(port, root):
    """Whether a further client is; else its connection is closed at once."""
    client = Client(port)
    try:
        return status(client.call(NFS, GETATTR, [opaque(root)])[0]) == 0
    except ConnectionError:
        return False
    finally:
        client.socket.close()


def run(server, port, export):
    clients = [Client(port) for _ in range(CONNECTIONS // 10)]
    root = handle_at(clients[0].call(MOUNT, 1, [opaque(export)])[0], 4)
    names = [b"file-%05d" % i for i in range(FILES)]

    def create(some):
        made = in_batches(clients, CREATE, [opaque(root) + opaque(n) + words(0, 1, 0o644, 0, 0, 0, 0, 0) for n in some])
        tap.equal(f"{len(some)} files are made", {status(r) for r in made}, {0})
        return [handle_at(r, 8) for r in made]

    handles = create(names[:FILES // 10])
    tap.equal("each is written, read and asked about", use_all(clients, handles), (0, len(handles)))
    before = grown(server.pid)
    clients += [Client(port) for _ in range(CONNECTIONS - len(clients))]
    handles += create(names[FILES // 10:])
    tap.equal("likewise all, by a thousand clients", use_all(clients, handles), (0, FILES))
    answers = [c.call(NFS, GETATTR, [opaque(root)])[0] for c in clients]
    tap.equal("every client is answered", {status(a) for a in answers}, {0})
    after = grown(server.pid)
    tap.ok("memory stays within bounds", after - before < GROWTH_KIB, f"from {before} to {after} KiB")
    print(f"# from {before} to {after} KiB")
    open_now = len(os.listdir(f"/proc/{server.pid}/fd"))
    tap.ok("and so do descriptors", open_now < DESCRIPTORS // 4 + CONNECTIONS + 64, open_now)
    clients += [Client(port) for _ in range(MOST_CONNECTIONS - len(clients))]
    clients[-1].call(NFS, GETATTR, [opaque(root)])
    tap.ok("one client too many is turned away", not is_served(port, root))
    clients.pop().socket.close()
    end = time.monotonic() + 60
    while not (served := is_served(port, root)) and time.monotonic() < end:
        time.sleep(0.05)
    tap.ok("until there is room again", served)


def main():
    with tempfile.TemporaryDirectory(prefix="aegis-many-") as directory:
        program = os.path.join(os.environ.get("AEGIS_BUILD", "build/debug"), "bin/aegis")
        server = subprocess.Popen(["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", program, "nfs", "serve",
                                   directory, "--export", "/many"], stdout=subprocess.PIPE, text=True)
        try:
            port = None
            for line in server.stdout:
                if line.startswith("serving "):
                    port = int(line.split(" on 127.0.0.1:")[1].split()[0].rstrip(",:"))
                if line.startswith("mount "):
                    break
            run(server, port, b"/many")
        finally:
            server.terminate()
            tap.equal("it ends well", server.wait(60), 0)
    tap.done()


if __name__ == "__main__":
    main()
