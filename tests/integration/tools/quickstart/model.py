#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Which model tools/quickstart finds (argument "choice"), and that it then works with it ("work"), in a network of its
own where nothing listens but what the test starts. Its work with the recorded conversation is tested in
tests/vm/spine/quickstart.
"""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer

import tap

SOURCE = os.environ["AEGIS_SOURCE"]
BUILD = os.environ["AEGIS_BUILD"]
PRIMES = "2 3 5 7 11 13 17 19 23 29"
KEYS = {  # variable: what is said of it
    "OPENAI_API_KEY": "of openai at https://api.openai.com/v1",
    "ANTHROPIC_API_KEY": "of anthropic at https://api.anthropic.com",
    "OPENROUTER_API_KEY": "of openrouter at https://openrouter.ai/api/v1",
    "GROQ_API_KEY": "of groq at https://api.groq.com/openai/v1",
    "MISTRAL_API_KEY": "of mistral at https://api.mistral.ai/v1",
    "DEEPSEEK_API_KEY": "of deepseek at https://api.deepseek.com/v1",
    "GEMINI_API_KEY": "of gemini at https://generativelanguage.googleapis.com",
}

spec = importlib.util.spec_from_file_location("script", SOURCE + "/examples/primes/script.py")
script = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(script)


class Model(script.Model):
    """The model of the example, which also lists what it offers and remembers what it was asked with."""

    asked = []

    def do_GET(self):
        body = json.dumps({"data": [{"id": "tiny-7b"}]} if self.path == "/v1/models" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        Model.asked.append((self.path, self.headers.get("x-api-key") or self.headers.get("Authorization")))
        if self.path != "/v1/messages":
            return super().do_POST()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, calls = script.TURNS[sum(m["role"] == "assistant" for m in request["messages"])]
        blocks = [{"type": "text", "text": text}] + [
            {"type": "tool_use", "id": f"toolu_{i}", "name": name.replace(".", "_"), "input": arguments}
            for i, (name, arguments) in enumerate(calls)]
        body = json.dumps({"type": "message", "role": "assistant", "model": "scripted", "content": blocks,
                           "stop_reason": "tool_use" if calls else "end_turn"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Mute(script.Model):
    """Some other program's server."""

    def do_GET(self):
        self.send_error(404)


class Server:
    def __init__(self, port, handler=Model):
        self.http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.http.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


def quickstart(*arguments, **variables):
    env = {k: v for k, v in os.environ.items() if k not in KEYS and not k.endswith("_BASE_URL") and "proxy" not in k.lower()}
    done = subprocess.run([SOURCE + "/tools/quickstart", *arguments], env={**env, **variables}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def expect(name, want, *arguments, **variables):
    code, out = quickstart("--which-model", *arguments, **variables)
    tap.ok(name, code == 0 and want in out and len(out.splitlines()) <= 2, f"exit {code}, wanted: {want}\n{out}")


def choices():
    expect("nothing there: the recorded conversation, and it says so", "a RECORDED conversation is played back")
    for key, said in KEYS.items():
        expect(f"{key}", f"{said}: {key} is set", **{key: "sk-1"})
    expect("an empty key is none", "RECORDED", OPENAI_API_KEY="")
    expect("another address of OpenAI", "of openai at http://127.0.0.1:9/v1", OPENAI_API_KEY="sk-1",
           OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    expect("another address of Anthropic", "of anthropic at http://127.0.0.1:9", ANTHROPIC_API_KEY="sk-1",
           ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    for port in (11434, 8080, 1234, 8000):
        with Server(port):
            expect(f"a server on port {port}", f"using tiny-7b on port {port} of this machine")
    with Server(11434), Server(8000):
        expect("Ollama before the others", "on port 11434")
        expect("a key before a server", "of groq", GROQ_API_KEY="sk-1")
        expect("what was asked for before all", "using tiny-7b at http://127.0.0.1:8000/v1", "--model",
               "http://127.0.0.1:8000/v1", OPENAI_API_KEY="sk-1")
    with Server(8080, Mute):
        expect("a server of another kind is none", "RECORDED")
        with Server(1234):
            expect("and is passed over", "on port 1234")


def works(name, said, key, path="/v1/chat/completions", **variables):
    Model.asked.clear()
    code, out = quickstart("--built", BUILD + "/bin", **variables)
    tap.ok(f"{name}: it runs", code == 0 and said in out and PRIMES in out and "RECORDED" not in out, out)
    tap.ok(f"{name}: a denied call, and the journal", "\nDenied: fs.read, because " in out and "consistent" in out.lower(), out)
    tap.equal(f"{name}: the model was asked", Model.asked, [(path, key)] * len(script.TURNS))


def work():
    with Server(11434):
        works("a server", "using tiny-7b on port 11434 of this machine", None)
        works("a key", "OPENAI_API_KEY is set", "Bearer sk-quick", OPENAI_API_KEY="sk-quick",
              OPENAI_BASE_URL="http://127.0.0.1:11434/v1")
        works("a key of Anthropic", "ANTHROPIC_API_KEY is set", "sk-ant", "/v1/messages", ANTHROPIC_API_KEY="sk-ant",
              ANTHROPIC_BASE_URL="http://127.0.0.1:11434")


def main():
    if os.environ.get("AEGIS_QUICKSTART_TEST") != "inside":
        os.environ["AEGIS_QUICKSTART_TEST"] = "inside"
        os.execvp("unshare", ["unshare", "--net", "--", sys.executable, "-B", os.path.abspath(__file__), *sys.argv[1:]])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    {"choice": choices, "work": work}[sys.argv[1]]()
    tap.done()


main()
