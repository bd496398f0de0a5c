#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""A model that says what is written here, behind OpenAI's chat completions API, on loopback.

It made conversation.jsonl: see README.md. Usage: script.py PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROGRAM = """\
def primes(limit):
    found = []
    for n in range(2, limit):
        if all(n % p for p in found):
            found.append(n)
    return found


print(*primes(30))
"""

TURNS = [
    ("I write the program first.", [("fs.write", {"path": "/workspace/primes.py", "content": PROGRAM})]),
    ("Now I run it.", [("cmd.run", {"command": "python3 primes.py"})]),
    ("And now the limit.", [("fs.read", {"path": "/etc/shadow"})]),
    (
        "The program printed: 2 3 5 7 11 13 17 19 23 29\n"
        "Reading /etc/shadow was denied by policy: only /workspace may be read.",
        [],
    ),
]


def message(turn):
    text, calls = TURNS[min(turn, len(TURNS) - 1)]
    answer = {"role": "assistant", "content": text}
    if calls:
        answer["tool_calls"] = [
            {
                "id": f"call_{turn}_{i}",
                "type": "function",
                "function": {"name": name.replace(".", "_"), "arguments": json.dumps(arguments)},
            }
            for i, (name, arguments) in enumerate(calls)
        ]
    return answer


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        turn = sum(m["role"] == "assistant" for m in request["messages"])
        answer = message(turn)
        body = json.dumps(
            {
                "model": "scripted",
                "choices": [
                    {
                        "index": 0,
                        "message": answer,
                        "finish_reason": "tool_calls" if "tool_calls" in answer else "stop",
                    }
                ],
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
