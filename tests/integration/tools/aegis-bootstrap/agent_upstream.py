# SPDX-License-Identifier: AGPL-3.0-only
"""An agent's own program as people write it for upstream: urllib against AEGIS_ORCHESTRATOR_URL,
commands run by the script itself, the final content printed."""

import json
import os
import subprocess
import sys
import urllib.request

URL = os.environ["AEGIS_ORCHESTRATOR_URL"].rstrip("/") + "/v1/dispatch-gateway"


def post(message):
    request = urllib.request.Request(URL, data=json.dumps(message).encode(),
                                     headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read().decode())


execution = os.environ["AEGIS_EXECUTION_ID"]
reply = post({"type": "generate", "agent_id": os.environ.get("AEGIS_AGENT_ID", ""),
              "execution_id": execution, "iteration_number": 1, "model_alias": "default",
              "prompt": sys.argv[1], "messages": []})
while reply.get("type") == "dispatch":
    command = " ".join([reply["command"]] + reply.get("args", []))
    done = subprocess.run(command, shell=True, capture_output=True, timeout=reply["timeout_secs"])
    reply = post({"type": "dispatch_result", "execution_id": execution,
                  "dispatch_id": reply["dispatch_id"], "exit_code": done.returncode,
                  "stdout": done.stdout.decode(), "stderr": done.stderr.decode(),
                  "duration_ms": 1, "truncated": False})
print(reply["content"])
