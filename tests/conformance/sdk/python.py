#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Upstream's Python SDK, unmodified, against a whole node: each call of its client returns the
model that it declares, and what this build does not serve raises 501.

AEGIS_SDK_PYTHON  a checkout of the SDK. It is on no registry: the project called aegis-sdk there is
                  another one, so nothing is installed by that name.
What the SDK needs is installed into a virtual environment of the build, if it is not there.
"""

import asyncio
import inspect
import os
import subprocess
import sys
import threading

SOURCE = os.environ.get("AEGIS_SOURCE", ".")
sys.path[:0] = [SOURCE + "/tests", SOURCE + "/tests/integration/spine", SOURCE + "/tests/integration/daemon/api"]
import tap

SDK = os.environ.get("AEGIS_SDK_PYTHON", "")
NEEDS = ["httpx", "pydantic", "pyyaml", "cryptography"]  # as its pyproject.toml says

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: sdk, version: "%s"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "%s"}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 240s}
  tools: [fs.write]
"""


def environment():
    """Goes on in an interpreter that has what the SDK needs; skips where there is none."""
    if not os.path.isfile(os.path.join(SDK, "aegis", "client.py")):
        tap.skip_all("AEGIS_SDK_PYTHON names no checkout of the Python SDK")
    try:
        import cryptography, httpx, pydantic, yaml  # noqa: F401
        return
    except ImportError as e:
        if os.environ.get("AEGIS_SDK_INSIDE"):
            tap.skip_all(f"{e} in the virtual environment")
    place = os.path.join(os.environ["AEGIS_BUILD"], "tests", "sdk-python")
    python = os.path.join(place, "bin", "python3")
    if not os.path.exists(os.path.join(place, "complete")):
        for command in ([sys.executable, "-m", "venv", place], [python, "-m", "pip", "install", "-q", *NEEDS]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            except (OSError, subprocess.TimeoutExpired) as e:
                tap.skip_all(f"what the SDK needs cannot be installed: {e}")
            if done.returncode:
                lines = (done.stderr or done.stdout).strip().splitlines() or ["?"]
                tap.skip_all(f"what the SDK needs cannot be installed: {lines[-1]}")
        open(os.path.join(place, "complete"), "w").close()
    os.environ["AEGIS_SDK_INSIDE"] = "1"
    os.execv(python, [python, *sys.argv])


environment()
sys.path.insert(0, SDK)
import doors
import httpx
import model
import node as nodes
from aegis import client as sdk
from aegis import types
from aegis.seal import crypto, envelope

SERVED = set()  # methods that were called


class Sdk:
    def __init__(self, client):
        self.client = client

    async def call(self, want, method, *args, **options):
        """Calls it; one test: it returns that type."""
        SERVED.add(method)
        try:
            got = await getattr(self.client, method)(*args, **options)
        except Exception as e:  # the SDK raises what httpx, json and pydantic raise
            body = e.response.text if isinstance(e, httpx.HTTPStatusError) else ""
            tap.ok(f"{method} returns {want.__name__}", False, f"{e!r}\n{body}")
            raise SystemExit(1)
        tap.ok(f"{method} returns {want.__name__}", isinstance(got, want), repr(got))
        return got

    async def stream(self, method, *args, until=None, **options):
        SERVED.add(method)
        got = []
        async for event in getattr(self.client, method)(*args, **options):
            got.append(event)
            if event.event_type == until:
                break
        tap.ok(f"{method} yields {types.ExecutionEvent.__name__}s with a type",
               got and all(isinstance(e, types.ExecutionEvent) and e.event_type != "unknown" for e in got), repr(got))
        return [e.event_type for e in got]


def manifest(version, instruction="Write a file."):
    return MANIFEST % (version, *sys.version_info[:2], instruction)


async def agents(s):
    deployed = await s.call(types.DeployAgentResponse, "deploy_agent", manifest("1.0.0"))
    await s.call(types.DeployAgentResponse, "deploy_agent", manifest("1.0.0", "Other."), force=True, scope="global")
    agent = await s.call(types.AgentDetail, "get_agent", deployed.id)
    found = await s.call(types.AgentDetail, "lookup_agent", "sdk")
    tap.equal("both are that agent", (agent.id, found.id), (deployed.agent_id, deployed.agent_id))
    change = agent.manifest
    change["metadata"]["version"] = "1.1.0"
    updated = await s.call(types.AgentDetail, "update_agent", agent.id, change)
    tap.equal("the update is a version", updated.version, "1.1.0")
    listed = await s.call(types.AgentListResponse, "list_agents", limit=10)
    tap.equal("one agent is listed", [a.name for a in listed.items], ["sdk"])
    versions = await s.call(types.AgentVersionListResponse, "list_agent_versions", agent.id)
    tap.equal("with two versions", versions.count, 2)
    return agent.id


async def executions(s, agent):
    one = await s.call(types.StartExecutionResponse, "start_execution", agent, "hello", intent="greet")
    seen = await s.stream("stream_execution", one.execution_id)
    tap.equal("the stream runs from start to end", (seen[0], seen[-1]), ("ExecutionStarted", "ExecutionCompleted"))
    await s.stream("stream_execution", one.execution_id, token=node.key())
    two = await s.call(types.ExecuteAgentResponse, "execute_agent", agent, {"word": "hello"}, context_overrides={"a": 1})
    await s.stream("stream_execution", two.execution_id)
    await s.stream("stream_agent_events", agent, until="ExecutionCompleted")
    detail = await s.call(types.ExecutionDetail, "get_execution", one.execution_id)
    tap.equal("it completed", (detail.status, detail.output), ("completed", "done"))
    listed = await s.call(types.ExecutionListResponse, "list_executions", agent_id=agent, limit=10, offset=0,
                          status="completed")
    tap.equal("both are listed", listed.count, 2)
    data = await s.call(bytes, "get_execution_file", one.execution_id, "note.txt")
    tap.equal("the file is what it wrote", data, b"hello")
    try:
        await s.client.cancel_execution(one.execution_id, "late")
        code = 200
    except httpx.HTTPStatusError as e:
        code = e.response.status_code
    tap.equal("what has ended is not cancelled", code, 409)
    stopped = await s.client.start_execution(agent, "wait")
    await s.call(dict, "cancel_execution", stopped.execution_id, "enough")
    await s.call(dict, "delete_execution", one.execution_id)


async def signed_calls(s):
    key = crypto.Ed25519Key.generate()
    got = await s.call(types.SealAttestationResponse, "attest_seal", {
        "public_key": key.get_public_key_base64(), "workload_id": "sdk", "security_context": "tester"})
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "aegis.system.info", "arguments": {}}}
    body = envelope.create_seal_envelope(got.security_token, call, key)
    answer = await s.call(dict, "invoke_seal", body)
    tap.ok("the signed call was made", '"aegis"' in answer["payload"]["result"]["content"][0]["text"], answer)
    tools = await s.call(types.SealToolsResponse, "list_seal_tools", "tester")
    tap.equal("its context's tools", [t["name"] for t in tools.tools], ["aegis.system.info"])
    await s.call(types.SealToolsResponse, "list_seal_tools")


def sample(parameter):
    name, kind = parameter.name, str(parameter.annotation)
    if "Dict" in kind or name == "payload":
        return {}
    return 1 if "int" in kind else [] if "List" in kind else b"x" if name in ("file", "source") else "x"


async def the_rest(s):
    """Every call that was not made above: 501, and the dispatch gateway's own answer."""
    for name, method in inspect.getmembers(sdk.AegisClient, inspect.isfunction):
        if name.startswith("_") or name in SERVED or name == "aclose":
            continue
        args = {p.name: sample(p) for p in list(inspect.signature(method).parameters.values())[1:]
                if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        try:
            asked = getattr(s.client, name)(**args)
            if inspect.isasyncgen(asked):
                async for _ in asked:
                    pass
            else:
                await asked
            got = "an answer"
        except httpx.HTTPStatusError as e:
            got = e.response.status_code
        except Exception as e:
            got = repr(e)
        tap.equal(f"{name} says that it is not served", got, 403 if name == "dispatch_gateway" else 501)


async def drive():
    async with sdk.AegisClient(f"http://127.0.0.1:{node.port}", bearer_token=node.key()) as client:
        s = Sdk(client)
        await s.call(dict, "health_live")
        await s.call(dict, "health_ready")
        agent = await agents(s)
        await executions(s, agent)
        await s.call(dict, "delete_agent", agent)
        await signed_calls(s)
        await the_rest(s)
    async with sdk.AegisClient(f"http://127.0.0.1:{node.port}", bearer_token="wrong") as client:
        try:
            await client.list_agents()
            code = 200
        except httpx.HTTPStatusError as e:
            code = e.response.status_code
        tap.equal("a wrong key is refused", code, 401)


hold = threading.Event()  # keeps the model from answering the run that is cancelled


def answer(messages):
    if "wait" in str(messages):
        hold.wait(120)
    if model.turns(messages) == 0:
        return [("fs.write", {"path": "/workspace/note.txt", "content": "hello"})]
    return "done"


nodes.as_root_or_skip()
node = doors.Node(model.serve(answer))
node.configure("  llm_providers:", """  security_contexts:
    - {name: tester, capabilities: [{tool_pattern: "aegis.*"}]}
  llm_providers:""")
try:
    node.start()
    asyncio.run(asyncio.wait_for(drive(), 300))
finally:
    hold.set()
    node.stop()
    if tap._failed or sys.exc_info()[0]:
        print("\n".join("# " + line for line in node.logs().splitlines()))
    node.remove()
    node.remove_cgroups()
tap.done()
