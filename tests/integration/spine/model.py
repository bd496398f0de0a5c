# SPDX-License-Identifier: AGPL-3.0-only
"""A model of the OpenAI kind on loopback whose answers a function makes from the conversation.

    port = serve(lambda messages: "text" or [(tool, arguments), ...])
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def turns(messages):
    return sum(1 for m in messages if m["role"] == "assistant")


def serve(answer):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = answer(question["messages"])
            message = {"role": "assistant", "content": reply if isinstance(reply, str) else None}
            if not isinstance(reply, str):
                turn = turns(question["messages"])
                message["tool_calls"] = [
                    {"id": f"c{turn}_{i}", "type": "function",
                     "function": {"name": name.replace(".", "_"), "arguments": json.dumps(arguments)}}
                    for i, (name, arguments) in enumerate(reply)]
            body = json.dumps({
                "model": "scripted",
                "choices": [{"index": 0, "message": message,
                             "finish_reason": "stop" if isinstance(reply, str) else "tool_calls"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the daemon that asked was killed

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
