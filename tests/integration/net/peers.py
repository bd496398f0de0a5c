# SPDX-License-Identifier: AGPL-3.0-only
"""What the tests of this folder share: our server and client as processes, certificates, raw sockets."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import tap

BUILD = os.path.join(os.environ["AEGIS_BUILD"], "tests", "integration")


def need(*programs):
    """Skips the whole test if one of the peers is missing."""
    for program in programs:
        if not shutil.which(program):
            tap.skip_all(f"{program} is not installed")


class Server:
    """Our test server. ports: {"tcp": 4711, ...}; after stop() `output` has all it printed."""

    def __init__(self, *options):
        self.output = ""
        self.process = subprocess.Popen([os.path.join(BUILD, "net_test_server"), *map(str, options)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.ports = {}
        for line in self.process.stdout:
            self.output += line
            words = line.split()
            if words == ["ready"]:
                break
            if len(words) == 2 and words[0] in ("tcp", "tls"):
                self.ports[words[0]] = int(words[1])

    def connect(self, door="tcp", timeout=10):
        return socket.create_connection(("127.0.0.1", self.ports[door]), timeout)

    def wait_for_line(self, text, seconds=10):
        """The next line with this text, or ""."""
        found = []

        def read():
            for line in self.process.stdout:
                self.output += line
                if text in line:
                    found.append(line)
                    return
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(seconds)
        return found[0] if found else ""

    def stop(self, seconds=15):
        """Its exit status, or "hangs"."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            rest, _ = self.process.communicate(timeout=seconds)
            self.output += rest
            return self.process.returncode
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return "hangs"


def client(url, *options, seconds=30):
    """What our client prints for a call."""
    done = subprocess.run([os.path.join(BUILD, "net_test_client"), url, *map(str, options)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False)
    return done.stdout.decode("utf-8", "replace")


def ask(server, data, door="tcp", timeout=10):
    """Sends raw bytes and returns everything until the server closes, or b"hangs"."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    with server.connect(door, timeout) as s:
        s.sendall(data)
        return read_all(s)


def read_all(s):
    got = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except socket.timeout:
        return b"hangs"
    except ConnectionResetError:
        return got + b"reset"


def read_until(s, end):
    got = b""
    while end not in got:
        piece = s.recv(1)
        if not piece:
            break
        got += piece
    return got


def folder():
    path = tempfile.mkdtemp(prefix="aegis-net-")
    return path


class Certificates:
    """A CA and certificates by it, in PEM, made by openssl."""

    def __init__(self, path):
        self.path = path
        self.ca = self.file("ca.pem")
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", self.file("ca.key"), "-out", self.ca, "-days", "2", "-subj", "/CN=test CA")

    def file(self, name):
        return os.path.join(self.path, name)

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def make(self, name, subject, names="DNS:localhost,IP:127.0.0.1"):
        """Paths of a certificate and its key."""
        certificate, key = self.file(name + ".pem"), self.file(name + ".key")
        with open(self.file("extensions"), "w", encoding="ascii") as out:
            out.write(f"subjectAltName={names}\n")
        self._run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", key, "-out", self.file("request.pem"), "-subj", subject)
        self._run("x509", "-req", "-in", self.file("request.pem"), "-CA", self.ca, "-CAkey",
                  self.file("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", self.file("extensions"),
                  "-out", certificate)
        return certificate, key


class Script:
    """A TCP (or Unix) server that gives each connection the next of the given scripts: a function of the
    socket. Connections beyond them are closed at once."""

    def __init__(self, *scripts, unix=None):
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.socket.bind(unix or ("127.0.0.1", 0))
        self.socket.listen(16)
        self.port = None if unix else self.socket.getsockname()[1]
        self.accepted = 0
        self.scripts = scripts
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            s.settimeout(10)
            script = self.scripts[self.accepted] if self.accepted < len(self.scripts) else None
            self.accepted += 1
            threading.Thread(target=self._run, args=(s, script), daemon=True).start()

    @staticmethod
    def _run(s, script):
        with s:
            try:
                if script:
                    script(s)
            except OSError:
                pass

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"


def answers(*texts, then=None):
    """A script that reads a head and answers, once per text, and closes."""
    def run(s):
        for text in texts:
            if b"\r\n\r\n" not in read_until(s, b"\r\n\r\n"):
                return
            s.sendall(text.encode("latin-1") if isinstance(text, str) else text)
        if then:
            then(s)
    return run


def wait_port(port, seconds=10):
    """Waits until somebody listens there."""
    end = time.time() + seconds
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
