#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""`aegis daemon install` where systemd is process 1: the units start in order, an agent runs, each unit restarts
alone while an execution goes on [4], stop and uninstall leave nothing. Its node is the machine's only one, with
the default directories, so it runs in a guest."""

import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["AEGIS_SOURCE"], "tests/integration/spine"))
import model
import tap

if os.environ.get("AEGIS_GUEST") != "systemd":
    tap.skip_all("not the systemd guest: tools/vm run --image systemd")

AEGIS = os.path.join(os.environ["AEGIS_BUILD"], "bin/aegis")
CONFIG = "/etc/aegis/config.yaml"
UNITS = ("aegis-helper", "aegisd")
PATIENCE_S = 120
AGENT = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: worker, version: "1.0.0"}
spec:
  runtime: {language: python, version: "%d.%d"}
  task: {instruction: "Work."}
  security:
    filesystem: {read: [/workspace], write: [/workspace]}
    resources: {cpu: 500, memory: 128Mi, timeout: 240s}
  tools: [cmd.run]
""" % sys.version_info[:2]

go_on = threading.Event()  # set: the model lets the agent end


def answer(messages):
    if model.turns(messages) == 0:
        return [("cmd.run", {"command": "python3 --version"})]
    go_on.wait(PATIENCE_S)
    return "done"


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)


def main_pid(unit):
    return int(systemctl("show", "--value", "-p", "MainPID", unit).stdout)


def states():
    return [systemctl("is-active", unit).stdout.strip() for unit in UNITS]


def wait_for(true):
    end = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


def aegis(name, *words, code=0, out=""):
    result = subprocess.run([AEGIS, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    tap.ok(name, result.returncode == code and out in result.stdout,
           f"exit {result.returncode}\n{result.stdout}{result.stderr}{journal()}")
    return result.stdout


def journal():
    return subprocess.run(["journalctl", "-n", "30", "-u", "aegisd", "-u", "aegis-helper"],
                          capture_output=True, text=True, check=False).stdout


def footprint():
    """What a node has on its host: processes by command, mounts and cgroups."""
    commands = subprocess.run(["pgrep", "-l", "^aegis"], capture_output=True, text=True, check=False).stdout
    with open("/proc/mounts", encoding="utf-8") as f:
        mounts = [line for line in f if "aegis" in line]
    cgroups = [folder for folder, _, _ in os.walk("/sys/fs/cgroup")
               if "aegis" in folder and "aegis-guest" not in folder]
    return {"processes": commands.split(), "mounts": mounts, "cgroups": cgroups}


def start_execution():
    text = aegis("an execution begins", "task", "execute", "worker", "--output", "json")
    return json.loads(text)["execution_id"]


def status(execution):
    result = subprocess.run([AEGIS, "task", "status", execution, "--output", "json"],
                            capture_output=True, text=True, check=False)
    return json.loads(result.stdout) if result.returncode == 0 else {}


def command_ran(execution):
    result = subprocess.run([AEGIS, "task", "logs", execution], capture_output=True, text=True, check=False)
    return "exit code 0" in result.stdout


def survives(name, strike):
    """An execution in the midst of its work goes on after what strike does."""
    go_on.clear()
    execution = start_execution()
    tap.ok(f"{name}: its command runs", wait_for(lambda: command_ran(execution)), journal())
    strike()
    tap.ok(f"{name}: both units are up", wait_for(lambda: states() == ["active", "active"]), journal())
    go_on.set()
    tap.ok(f"{name}: the execution completes",
           wait_for(lambda: status(execution).get("status") == "completed"), f"{status(execution)}\n{journal()}")
    tap.equal(f"{name}: in one iteration", status(execution).get("current_iteration"), 1)


def restart(unit):
    before = {u: main_pid(u) for u in UNITS}
    tap.equal(f"restart of {unit}", systemctl("restart", unit).returncode, 0)
    after = {u: main_pid(u) for u in UNITS}
    tap.equal(f"restart of {unit} is of it alone", [u for u in UNITS if before[u] != after[u]], [unit])


def kill(unit):
    pid = main_pid(unit)
    systemctl("kill", "--kill-whom=main", "-s", "KILL", unit)
    tap.ok(f"{unit} comes again when it is killed", wait_for(lambda: main_pid(unit) not in (0, pid)), journal())


def main():
    before = footprint()
    os.makedirs(os.path.dirname(CONFIG))
    port = model.serve(answer)
    with open(CONFIG, "w", encoding="utf-8") as f:
        f.write(f"""apiVersion: 100monkeys.ai/v1
kind: NodeConfig
metadata: {{name: guest}}
spec:
  node: {{id: guest, type: edge}}
  llm_providers:
    - name: scripted
      type: openai-compatible
      endpoint: "http://127.0.0.1:{port}/v1"
      enabled: true
      models: [{{alias: default, model: m, capabilities: [code], context_window: 8000}}]
""")
    with open("/root/agent.yaml", "w", encoding="utf-8") as f:
        f.write(AGENT)

    aegis("install", "daemon", "install", "--config", CONFIG, out="aegisd.service")
    verified = subprocess.run(["systemd-analyze", "verify", *(f"/etc/systemd/system/{u}.service" for u in UNITS)],
                              capture_output=True, text=True, check=False)
    tap.equal("systemd finds nothing amiss in the units", verified.stdout + verified.stderr, "")
    tap.equal("both are enabled", systemctl("is-enabled", *UNITS).stdout.split(), ["enabled"] * 2)
    aegis("start", "daemon", "start")
    tap.equal("both units are up", states(), ["active", "active"])
    aegis("status", "daemon", "status", out=f"running ({main_pid('aegisd')})")
    aegis("deploy", "agent", "deploy", "/root/agent.yaml", out="created worker")
    go_on.set()
    aegis("an agent runs", "agent", "run", "worker", out="done")

    for unit in UNITS:
        survives(f"restart of {unit}", lambda u=unit: restart(u))
        survives(f"death of {unit}", lambda u=unit: kill(u))

    tap.equal("reload", systemctl("reload", "aegisd").returncode, 0)
    aegis("a reload keeps it up", "daemon", "status", out="status: ok")
    aegis("stop", "daemon", "stop")
    tap.equal("both units are down", states(), ["inactive", "inactive"])
    tap.equal("stop leaves nothing", footprint(), before)

    aegis("start again", "daemon", "start")
    go_on.clear()
    execution = start_execution()
    tap.ok("a command runs", wait_for(lambda: command_ran(execution)), journal())
    aegis("stop --all", "daemon", "stop", "--all", out="sandboxes killed")
    tap.equal("stop --all leaves nothing", footprint(), before)
    aegis("uninstall", "daemon", "uninstall", out="removed")
    tap.ok("the units are gone", not any(os.path.exists(f"/etc/systemd/system/{u}.service") for u in UNITS))
    tap.equal("no unit failed", systemctl("--failed", "--plain", "--no-legend").stdout.strip(), "")
    tap.done()


if __name__ == "__main__":
    main()
