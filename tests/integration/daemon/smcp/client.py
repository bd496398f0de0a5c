# SPDX-License-Identifier: AGPL-3.0-only
"""A client of SMCP in plain Python, Ed25519 included (RFC 8032 section 5.1), so that it runs inside a
sandbox, where no library is: Client signs, ask sends.

As a program it is a workload: it attests on the relay of its sandbox, reads and writes by signed calls
and prints one JSON object of what came of each.
"""

import base64
import datetime
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    u, v = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = v - u, d - c, d + c, v + u
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


BASE = base_point()


def encode(point):
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


class Key:
    def __init__(self):
        digest = hashlib.sha512(os.urandom(32)).digest()
        self.scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self.prefix = digest[32:]
        self.public = encode(times(self.scalar, BASE))

    def sign(self, message):
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % L
        point = encode(times(r, BASE))
        h = int.from_bytes(hashlib.sha512(point + self.public + message).digest(), "little") % L
        return point + ((r + h * self.scalar) % L).to_bytes(32, "little")


def text(b):
    return base64.b64encode(b).decode()


class Client:
    def __init__(self, protocol="smcp/v1"):
        self.protocol = protocol
        self.base = "/v1/" + protocol.split("/")[0]
        self.key = Key()
        self.token = ""
        self.count = 0

    def attestation(self, workload_id, scope):
        member = "security_context" if self.protocol.startswith("seal") else "requested_scope"
        return {"public_key": text(self.key.public), "workload_id": workload_id, member: scope}

    def envelope(self, method, params=None, ahead_s=0):
        self.count += 1
        payload = {"jsonrpc": "2.0", "id": f"req-{self.count}", "method": method}
        if params is not None:
            payload["params"] = params
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead_s)
        message = {"payload": payload, "security_token": self.token, "timestamp": int(now.timestamp())}
        canonical = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return {"protocol": self.protocol, "security_token": self.token,
                "signature": text(self.key.sign(canonical.encode())), "payload": payload,
                "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z")}

    def call(self, tool, arguments=None, ahead_s=0):
        return self.envelope("tools/call", {"name": tool, "arguments": arguments or {}}, ahead_s)


def ask(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def content(answer):
    return answer["payload"]["result"]["content"][0]["text"]


def workload():
    url, own = os.environ["AEGIS_ORCHESTRATOR_URL"], os.environ["AEGIS_EXECUTION_ID"]
    c = Client()
    said = {}
    said["other"] = ask(url + c.base + "/attest", c.attestation("00000000-0000-4000-8000-000000000000", "default"))
    said["attest"] = ask(url + c.base + "/attest", c.attestation(own, "default"))
    c.token = said["attest"][1].get("security_token", "")
    path = {"path": "/workspace/signed.txt"}
    said["write"] = ask(url + c.base + "/invoke", c.call("fs.write", {**path, "content": "by a signed call\n"}))
    said["read"] = ask(url + c.base + "/invoke", c.call("fs.read", path))
    said["denied"] = ask(url + c.base + "/invoke", c.call("fs.read", {"path": "/etc/passwd"}))
    said["delete"] = ask(url + c.base + "/invoke", c.call("fs.delete", path))
    once = c.call("fs.list", {"path": "/workspace"})
    said["once"] = [ask(url + c.base + "/invoke", once)[0] for _ in range(3)]
    seal = Client("seal/v1")
    said["seal"] = ask(url + seal.base + "/attest", seal.attestation(own, "default"))
    seal.token = said["seal"][1].get("security_token", "")
    said["seal read"] = ask(url + seal.base + "/invoke", seal.call("fs.read", path))
    said["spare"] = c.call("fs.read", path)
    print(json.dumps(said))


if __name__ == "__main__":
    sys.exit(workload())
