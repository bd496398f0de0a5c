#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The reference servers of the Model Context Protocol (npm), as children of a node: filesystem, memory and
everything over their standard input and output, everything also over Streamable HTTP, as a child and as
an address. They are what
operators run, and none of them is ours."""

import json
import os
import subprocess
import sys

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests" + path for path in (
    "", "/integration/spine", "/integration/daemon/api", "/integration/daemon/toolserver", "/peer")]
import doors
import mcpclient
import model
import node as nodes
import npm
import tap

nodes.as_root_or_skip()
PLACE = npm.install("mcp-servers", "node@22", "@modelcontextprotocol/server-filesystem",
                    "@modelcontextprotocol/server-memory", "@modelcontextprotocol/server-everything")
# Where the sandboxes see it: a directory that any of them can reach, whoever owns the cache.
INSIDE = "/opt/mcp"
REGISTRY = """runtime mcp
	language mcp
	version 22
	interpreter {inside}/node_modules/node/bin/node
	bind {place}/node_modules {inside}/node_modules
"""


def package(name):
    return f"{INSIDE}/node_modules/@modelcontextprotocol/server-{name}/dist/index.js"


def free_port():
    return doors.free_port()


PORT = free_port()
SERVERS = [
    {"name": "files", "executable": "mcp", "args": [package("filesystem"), "/workspace"]},
    {"name": "memory", "executable": "mcp", "args": [package("memory")],
     "environment": {"MEMORY_FILE_PATH": "/workspace/memory.jsonl"}},
    {"name": "everything", "executable": "mcp", "args": [package("everything")],
     "credentials": {"API_TOKEN": "env:AEGIS_TEST_SECRET"}},
    {"name": "inside", "executable": "mcp", "args": [package("everything"), "streamableHttp"], "http_port": 3001,
     "environment": {"PORT": "3001"}},
    {"name": "remote", "url": f"http://127.0.0.1:{PORT}/mcp"},
]
CONTEXTS = """  security_contexts:
    - name: all
      capabilities: [{tool_pattern: "files.*"}, {tool_pattern: "memory.*"}, {tool_pattern: "everything.*"}, {tool_pattern: "remote.*"}, {tool_pattern: "inside.*"}]
      deny_list: [files.move_file]
"""
os.environ["AEGIS_TEST_SECRET"] = "hush-1234"
node = doors.Node(model.serve(lambda messages: "done"))
node.configure("  llm_providers:", f"  mcp_servers: {json.dumps(SERVERS)}\n{CONTEXTS}  llm_providers:")


def register():
    """What an operator does: a runtime with the interpreter and what it needs. The helper writes the rest
    of the registry by itself, and reads it when it starts."""
    node.start_helper()
    node.kill("helper")
    path = node.state + "/runtimes"
    text = nodes.read(path)
    binds = "".join(line + "\n" for line in dict.fromkeys(line for line in text.splitlines() if line.startswith("\tbind ")))
    with open(path, "a") as f:
        f.write(REGISTRY.format(inside=INSIDE, place=PLACE) + binds)


def servers():
    return {s["name"]: s for s in node.call("GET", "/v1/tool-servers")[1]["items"]}


def ready(name):
    node.wait_for(f"{name}", lambda: servers()[name]["state"] == "ready", node.aegisd)


def filesystem(c):
    ready("files")
    names = [n for n in c.tools() if n.startswith("files.")]
    tap.ok("filesystem: its tools", {"files.write_file", "files.read_text_file", "files.list_directory"} <= set(names), names)
    tap.ok("filesystem: what is denied is not listed", "files.move_file" not in names, names)
    failed, text = c.call("files.write_file", {"path": "/workspace/a.txt", "content": "one\ntwo\n"})
    tap.ok("filesystem: writes", not failed, text)
    tap.equal("filesystem: reads", c.call("files.read_text_file", {"path": "/workspace/a.txt"}), (False, "one\ntwo\n"))
    failed, text = c.call("files.read_text_file", {"path": "/etc/passwd"})
    tap.ok("filesystem: refuses what lies outside", failed, text)
    failed, text = c.call("files.write_file", {"path": "/workspace/b.txt"})
    tap.ok("filesystem: arguments are held against its schema here", failed and "Invalid tool arguments" in text, text)
    failed, text = c.call("files.move_file", {"source": "/workspace/a.txt", "destination": "/workspace/c.txt"})
    tap.ok("filesystem: policy denies", failed and "TOOL_DENIED" in text, text)


def memory(c):
    ready("memory")
    entity = {"name": "aegis", "entityType": "daemon", "observations": ["runs agents"]}
    failed, text = c.call("memory.create_entities", {"entities": [entity]})
    tap.ok("memory: creates", not failed, text)
    failed, text = c.call("memory.search_nodes", {"query": "agents"})
    tap.ok("memory: finds", not failed and "aegis" in text, text)
    before = servers()["memory"]["starts"]
    node.stop()
    node.start()
    ready("memory")
    failed, text = mcpclient.Client(node, "all").call("memory.read_graph")
    tap.ok("memory: remembers after a restart of the node", not failed and "runs agents" in text, text)


def everything(c, name):
    ready(name)
    tap.equal(f"{name}: echo", c.call(f"{name}.echo", {"message": "h\u00e9"}), (False, "Echo: h\u00e9"))
    failed, text = c.call(f"{name}.get-sum", {"a": 2, "b": 40})
    tap.ok(f"{name}: sum", not failed and "42" in text, text)
    failed, text = c.call(f"{name}.get-tiny-image")
    tap.ok(f"{name}: a picture is named, not shown", not failed and "image/png" in text and "not shown" in text, text)
    failed, text = c.call(f"{name}.trigger-long-running-operation", {"duration": 1, "steps": 5})
    tap.ok(f"{name}: one that reports its progress", not failed and "completed" in text.lower(), text)


def environment(c):
    failed, text = c.call("everything.get-env")
    env = json.loads(text)
    tap.equal("everything: its credential", env.get("API_TOKEN"), "hush-1234")
    tap.ok("everything: nothing of the daemon's environment", "AEGIS_TEST_SECRET" not in env and "AEGIS_SOURCE" not in env,
           sorted(env))


remote = None
try:
    register()
    remote = subprocess.Popen([npm.node(PLACE), os.path.join(PLACE, "node_modules/@modelcontextprotocol/server-everything/dist/index.js"),
                               "streamableHttp"], env={**os.environ, "PORT": str(PORT)}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    node.start()
    c = mcpclient.Client(node, "all")
    filesystem(c)
    everything(c, "everything")
    environment(c)
    everything(c, "inside")
    everything(c, "remote")
    memory(c)
finally:
    node.stop()
    if remote:
        remote.kill()
        remote.wait()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs(80).splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
