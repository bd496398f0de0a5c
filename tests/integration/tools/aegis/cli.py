#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The command line as people and scripts see it: words, exit codes, files, completion."""

import json
import os
import re
import shutil
import subprocess
import tempfile

import tap

AEGIS = os.path.join(os.environ["AEGIS_BUILD"], "bin", "aegis")
FOLDER = tempfile.mkdtemp(prefix="aegis-cli-")
ENV = {"PATH": os.environ["PATH"], "HOME": FOLDER}
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
    if name in os.environ:
        ENV[name] = os.environ[name]

MANIFEST = """apiVersion: 100monkeys.ai/v1
kind: Agent
metadata: {name: tester, version: 1.0.0}
spec:
  runtime: {language: python, version: "3.11"}
  tools: [fs.read, web.search]
  execution: {memory: true}
"""
CONFIG = """apiVersion: 100monkeys.ai/v1
kind: NodeConfig
metadata: {name: n}
spec:
  node: {id: x, type: edge}
  database: {url: "env:DB_URL"}
"""


def run(*args, stdin=None, env=None, cwd=FOLDER):
    result = subprocess.run([AEGIS, *args], input=stdin, capture_output=True, text=True,
                            cwd=cwd, env={**ENV, **(env or {})}, timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def write(name, text):
    path = os.path.join(FOLDER, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return name


def expect(name, args, code, out=None, err=None, **more):
    got = run(*args, **more)
    ok = got[0] == code and (out is None or out in got[1]) and (err is None or err in got[2])
    tap.ok(name, ok, f"exit {got[0]}, wanted {code}\nstdout: {got[1]}\nstderr: {got[2]}")
    return got


def check_usage():
    expect("without arguments: help", [], 0, out="Usage: aegis")
    expect("help", ["help"], 0, out="config generate")
    expect("--help of a verb", ["agent", "validate", "--help"], 0, out="Examples:")
    expect("help of a group", ["help", "agent"], 0, out="agent validate")
    expect("help of nothing", ["help", "nope"], 2, err="aegis nope: there is no such verb; see: aegis help")
    expect("help of a slip", ["help", "agnet"], 2, err="did you mean: aegis agent?")
    expect("help of a slip in a group", ["help", "agent", "lst"], 2, err="did you mean: aegis agent list?")
    expect("a slip in an argument", ["schema", "agnet"], 2, err="accepted: agent config policy; did you mean agent?")
    expect("usage of what takes no arguments", ["version", "x"], 2, err="usage: aegis version\n")
    expect("a count of none", ["agent", "list", "--limit", "0"], 2, err="--limit 0: accepted: 1 to 1000")
    expect("version", ["version"], 0, out="aegis 0.")
    expect("version as YAML", ["version", "--output", "yaml"], 0, out="name: aegis\n")
    expect("unknown verb", ["frobnicate"], 2, err="aegis frobnicate: there is no such verb; see: aegis help")
    expect("a slip in a group's name", ["agnet", "list"], 2, err="did you mean: aegis agent?")
    expect("a slip in a verb", ["agent", "lst"], 2, err="did you mean: aegis agent list?")
    expect("a slip in an option", ["agent", "list", "--confg", "x"], 2, err="did you mean --config?")
    expect("a port in the environment that is none", ["agent", "list"], 2,
           err="AEGIS_PORT eighty: accepted: 1 to 65535", env={"AEGIS_PORT": "eighty"})
    expect("a port that would do nothing", ["nfs", "serve", ".", "--port", "2049"], 2, err="--listen ADDRESS:PORT")
    expect("a file where a folder is expected", ["nfs", "serve", __file__], 2, err="Not a directory")
    expect("group alone", ["config"], 2, err="aegis config needs a verb; see: aegis help config")
    expect("unknown verb of a group", ["agent", "fly"], 2, err="aegis agent fly: there is no such verb")
    expect("--version", ["--version"], 0, out="aegis 0.")
    for port in ("abc", "99999", "0"):
        expect(f"port {port}", ["--port", port, "version"], 2, err=f"--port {port}: accepted: 1 to 65535")
    expect("unknown option", ["version", "--nope"], 2, err="unknown option --nope")
    expect("option without value", ["version", "--output"], 2, err="--output needs a value: FORMAT")
    expect("flag with value", ["config", "show", "--paths=1"], 2, err="--paths takes no value")
    expect("bad word of an option", ["--output=xml", "version"], 2,
           err="--output xml: accepted: text table json yaml")
    expect("too few arguments", ["agent", "validate"], 2,
           err="too few arguments; usage: aegis agent validate FILE...")
    expect("too many arguments", ["version", "x"], 2, err="too many arguments: x;")
    expect("bad word", ["schema", "swarm"], 2, err="aegis schema swarm: accepted: agent config")


def check_agents():
    write("good.yaml", MANIFEST)
    write("bad.yaml", MANIFEST.replace("spec:", "spec:\n  modle: x"))
    _, out, _ = expect("a valid manifest", ["agent", "validate", "good.yaml"], 0,
                       out="good.yaml: valid: agent tester 1.0.0\n")
    tap.ok("what has no effect is named", "good.yaml:7: no effect yet: spec.execution.memory" in out, out)
    tap.ok("what would be refused is named",
           "good.yaml:6: a run would be refused: spec.tools[1]: the tool \"web.search\"" in out, out)
    write("volume.yaml", MANIFEST + "  volumes: [{name: a, storage_class: persistent, mount_path: /workspace/a}]\n")
    expect("a field that is missing says what is accepted", ["agent", "validate", "volume.yaml"], 2,
           out='"access_mode" is required: Whether it may be written. Accepted: ')
    expect("an invalid manifest", ["agent", "validate", "bad.yaml"], 2,
           out="bad.yaml:5:3: spec.modle: unknown field")
    expect("an absent manifest", ["agent", "validate", "gone.yaml"], 1, err="gone.yaml")
    expect("standard input", ["agent", "validate", "-"], 0, out="-: valid", stdin=MANIFEST)
    expect("several, one bad", ["agent", "validate", "good.yaml", "bad.yaml"], 2, out="good.yaml: valid")
    _, out, _ = expect("as JSON", ["agent", "validate", "bad.yaml", "--output", "json"], 2)
    value = json.loads(out)
    tap.equal("JSON says what and where",
              [value["valid"], value["findings"][0]["line"], value["findings"][0]["path"]],
              [False, 5, "spec.modle"])
    _, out, _ = expect("several as JSON",
                       ["agent", "validate", "good.yaml", "bad.yaml", "--output=json"], 2)
    tap.equal("JSON is a list of them", [v["valid"] for v in json.loads(out)], [True, False])


def check_config():
    expect("no file: embedded defaults", ["config", "show"], 0,
           out="# from embedded defaults: no file was found\n")
    expect("generate", ["config", "generate"], 0, out="wrote ./aegis-config.yaml")
    expect("generate does not replace", ["config", "generate"], 4, err="exists; accepted")
    expect("a file is no form of the result", ["config", "generate", "--output", "x.yaml"], 2,
           err="named by --out")
    expect("generate says as JSON what it wrote", ["config", "generate", "--out", "json", "--output", "json"], 0,
           out='"wrote"')
    tap.ok("into the file that --out names", os.path.exists(os.path.join(FOLDER, "json")))
    expect("generate replaces if told so", ["config", "generate", "--examples", "--force"], 0)
    expect("what is generated is valid", ["config", "validate"], 0, out="./aegis-config.yaml: valid")
    os.unlink(os.path.join(FOLDER, "aegis-config.yaml"))

    write("c.yaml", CONFIG)
    expect("unset variable is a warning", ["config", "validate", "c.yaml"], 0,
           out="c.yaml:6:19: warning: spec.database.url: the environment variable DB_URL is not set here")
    expect("and an error if strict", ["config", "validate", "c.yaml", "--strict"], 2,
           out="c.yaml: not valid")
    code, out, err = run("config", "show", "c.yaml", env={"DB_URL": "postgresql://u:hush@h/d"})
    tap.ok("show expands and hides secrets",
           code == 0 and "url: \"env:DB_URL\"" in out and "hush" not in out + err, out + err)
    tap.ok("show names what has no effect", "# without effect: spec.database (line 6)" in out, out)
    write("shown.yaml", out)
    expect("what is shown loads again", ["config", "validate", "shown.yaml"], 0)
    expect("a file that is named must exist", ["config", "show", "-c", "gone.yaml"], 1,
           err="--config names gone.yaml, which does not exist")
    expect("by variable too", ["config", "show"], 1, err="AEGIS_CONFIG_PATH names gone.yaml",
           env={"AEGIS_CONFIG_PATH": "gone.yaml"})
    write(".aegis/config.yaml", CONFIG)
    _, out, _ = expect("the home directory is searched", ["config", "show", "--paths"], 0,
                       out="/.aegis/config.yaml (found)")
    tap.ok("paths in order", out.startswith("# working directory: ./aegis-config.yaml (absent)\n"), out)
    _, out, _ = expect("show as JSON", ["config", "show", "--output", "json"], 0)
    tap.equal("JSON holds the configuration", json.loads(out)["config"]["spec"]["node"]["id"], "x")
    write("bad.yaml", CONFIG.replace("edge", "egde"))
    write("probe.yaml", "apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\n"
          "spec:\n  node: {id: n, type: edge}\n  require: {probes: {files.mediatio: prevent}}\n")
    expect("a probe that is not", ["config", "validate", "probe.yaml"], 2,
           out='spec.require.probes.files.mediatio: there is no such probe; did you mean "files.mediation"?')
    expect("bad configuration", ["config", "validate", "bad.yaml"], 2,
           out="bad.yaml:5:23: spec.node.type: \"egde\" is not accepted; accepted: edge, orchestrator, "
               "hybrid; did you mean \"edge\"?\n")
    expect("show of a bad one", ["config", "show", "bad.yaml"], 2, err="bad.yaml:5:23")


def check_policy_paths():
    """Paths are relative to the folder that the command is run in, whatever the configuration and the daemon say."""
    text = '@id("none")\nforbid (principal, action, resource);\n'
    write("here/rules/1.cedar", text)
    write("here/cases.json", json.dumps({"policies": "rules", "tests": [
        {"name": "t", "request": {"action": "fs:read", "paths": ["/workspace"]}, "expect": {"decision": "deny"}}]}))
    for verb, path, out in (("check", "here/rules", "here/rules: valid: 1 policies"), ("format", "here/rules/1.cedar", "forbid"),
                            ("validate", "here/rules/1.cedar", "valid"), ("test", "here/cases.json", "1 passed")):
        expect(f"policy {verb} of a path of this folder", ["policy", verb, path], 0, out=out)
        expect(f"policy {verb} from elsewhere", ["policy", verb, path], 1, cwd="/", err="No such file or directory")
    expect("and says where it looked", ["policy", "check", "here/rules"], 1, cwd="/", err="that you are in, /: ")
    expect("a set that is none", ["policy", "show", "nowhere"], 1, err="accepted: current, the hash of a set")
    expect("a policy that is not there", ["policy", "show", "here/rules", "nome"], 1, err="did you mean none?")
    write("here/none/1.cedar", "// nothing\n")
    expect("a set without policies says so", ["policy", "show", "here/none"], 0, out="// this set has no policies\n")
    write("context.yaml", CONFIG.replace("  database: {url: \"env:DB_URL\"}\n", '  security_contexts: [{name: coder, capabilities: []}]\n'))
    ask = ["policy", "authorize", "--action", "fs:read", "--path", "/workspace/x", "-c", "context.yaml", "--context"]
    expect("a slip in a context", [*ask, "codr"], 1, err="did you mean coder?")
    expect("no such context", [*ask, "zzzzzz"], 1, err="it has: coder")
    expect("policy diff, too", ["policy", "diff", "here/rules", "here/rules"], 0)


def check_schema():
    for what in ("agent", "config"):
        _, out, _ = expect(f"schema {what}", ["schema", what], 0)
        tap.equal(f"schema {what} is one", json.loads(out)["$schema"],
                  "https://json-schema.org/draft/2020-12/schema")
        expect(f"reference {what}", ["schema", what, "--reference"], 0,
               out="| field | type | required |")


def check_replaced(folders):
    """A program that was put out of the way by a new build is still the one that runs."""
    path = os.path.join(FOLDER, "old", "aegisd")
    write("old/aegisd", "")
    shutil.copy(shutil.which("sleep"), path)
    with subprocess.Popen([path, "600"]) as process:
        try:
            os.rename(path, path + ".gone")
            os.unlink(path + ".gone")
            write("run/aegisd.pid", f"{process.pid}\n")
            _, out, _ = run("daemon", "status", "-c", "d.yaml", *folders)
            tap.ok("a program that was replaced still runs", f"aegisd        running ({process.pid})" in out, out)
        finally:
            process.kill()
    shutil.rmtree(os.path.join(FOLDER, "run"))


def check_daemon():
    folders = ["--run-dir", os.path.join(FOLDER, "run"), "--state-dir", os.path.join(FOLDER, "state")]
    write("d.yaml", CONFIG.replace("  database: {url: \"env:DB_URL\"}\n",
                                   f"  daemon: {{data_directory: {FOLDER}/data}}\n"))
    expect("status of nothing", ["daemon", "status", "-c", "d.yaml", *folders], 5, out="door          does not answer at unix:")
    expect("stop of nothing", ["daemon", "stop", "-c", "d.yaml", *folders], 1, err="neither aegisd nor aegis-helper runs")
    expect("relative folder", ["daemon", "stop", "--run-dir", "x"], 2, err="--run-dir x: an absolute path is accepted")
    if os.path.exists("/etc/systemd/system/aegisd.service"):
        tap.skip("uninstall of nothing", "a service is installed here")
    else:
        expect("uninstall of nothing", ["daemon", "uninstall"], 1, err="no service is installed")

    check_replaced(folders)
    copy = os.path.join(FOLDER, "bin")
    os.makedirs(copy)
    shutil.copy(AEGIS, copy)
    aegis = [os.path.join(copy, "aegis"), "daemon", "install", "--print", "-c", "d.yaml", *folders]
    result = subprocess.run(aegis, capture_output=True, text=True, env={**ENV, "PATH": "/nonexistent"}, cwd=FOLDER,
                            timeout=60, check=False)
    tap.ok("programs must be found", result.returncode == 1 and "neither beside this program" in result.stderr,
           result.stderr)
    for name in ("aegisd", "aegis-helper", "aegis-bootstrap"):
        write(f"bin/{name}", "#!/bin/sh\n")
        os.chmod(os.path.join(copy, name), 0o755)
    result = subprocess.run(aegis, capture_output=True, text=True, env=ENV, cwd=FOLDER, timeout=60, check=False)
    want = (f'ExecStart="{copy}/aegisd" "--user" ', f'"--config" "{FOLDER}/d.yaml"\n',
            f'ExecStart="{copy}/aegis-helper" "--uid" ', f'"--slots" "1000000:256" "--bootstrap" "{copy}/aegis-bootstrap"')
    tap.ok("units name what they start", result.returncode == 0 and all(w in result.stdout for w in want), result.stdout)
    installed = any(os.path.exists(f"{top}/systemd/system/aegisd.service") for top in ("/etc", "/lib"))
    if os.geteuid() == 0 and not installed:
        for was in ("1\n", None):
            os.makedirs(os.path.join(FOLDER, "run"), exist_ok=True)
            path = os.path.join(FOLDER, "run", "aegis-helper.pid")
            if was:
                write("run/aegis-helper.pid", was)
            elif os.path.exists(path):
                os.unlink(path)
            result = subprocess.run([os.path.join(copy, "aegis"), "daemon", "start", "-c", "d.yaml", *folders], text=True,
                                    capture_output=True, env=ENV, cwd=FOLDER, timeout=60, check=False)
            now = None
            if os.path.exists(path):
                with open(path, encoding="utf-8") as f:
                    now = f.read()
            tap.equal("a start that comes to nothing leaves the pid file as it was",
                      (result.returncode, "ended at once" in result.stderr, now), (10, True, was))
    else:
        tap.skip("a start that comes to nothing leaves the pid file as it was", "needs root, and no service of that name")
    if os.geteuid() == 0 and shutil.which("setpriv"):
        os.chmod(FOLDER, 0o755)
        result = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", AEGIS, "daemon", "start", "-c",
                                 os.path.join(FOLDER, "d.yaml"), *folders], capture_output=True, text=True, env=ENV,
                                cwd="/", timeout=60, check=False)
        tap.ok("start needs root", result.returncode == 3 and "needs root" in result.stderr, result.stderr)
    elif os.geteuid() != 0:
        expect("start needs root", ["daemon", "start", "-c", "d.yaml", *folders], 3, err="needs root")
    else:
        tap.skip("start needs root", "setpriv is not installed")


def complete(*words):
    """What bash offers for the last of these words."""
    script = (f"source <({AEGIS} completion bash); COMP_WORDS=({' '.join(repr(w) for w in words)});"
              "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _aegis; echo \"${COMPREPLY[*]}\"")
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=FOLDER,
                            env=ENV, timeout=60, check=False)
    return result.stdout.split()


def check_completion():
    tap.ok("first word", {"agent", "config", "help"} <= set(complete("aegis", "")))
    tap.equal("second word", complete("aegis", "config", "v"), ["validate"])
    tap.equal("after a global option", complete("aegis", "--output", "json", "config", "v"), ["validate"])
    tap.equal("words of an argument", complete("aegis", "schema", ""), ["agent", "config", "policy"])
    tap.equal("words of an option", complete("aegis", "--output", "y"), ["yaml"])
    tap.equal("options of a verb", complete("aegis", "config", "show", "--pa"), ["--paths"])
    tap.ok("files", "good.yaml" in complete("aegis", "agent", "validate", "go"))
    tap.equal("what a verb takes no files for", complete("aegis", "agent", "show", "go"), [])
    tap.equal("nor an option", complete("aegis", "--port", "go"), [])
    tap.ok("files of an option", "good.yaml" in complete("aegis", "--config", "go"))
    tap.ok("files of an option by its letter", "good.yaml" in complete("aegis", "config", "generate", "-o", "go"))
    tap.ok("options where nothing else is taken", "--status" in complete("aegis", "agent", "list", ""))
    tap.ok("words behind help", {"agent", "doctor"} <= set(complete("aegis", "help", "")))
    tap.equal("and the second", complete("aegis", "help", "config", "v"), ["validate"])
    for shell in ("zsh", "fish"):
        _, out, _ = expect(f"script for {shell}", ["completion", shell], 0, out="validate")
        if not shutil.which(shell):
            tap.skip(f"{shell} reads it", f"{shell} is not installed")
            continue
        path = os.path.join(FOLDER, f"completion.{shell}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(out)
        tap.ok(f"{shell} reads it", subprocess.run([shell, "-n", path], check=False).returncode == 0)
    for name in ("aegisd", "aegis-helper"):
        program = os.path.join(os.path.dirname(AEGIS), name)
        function = "_" + name.replace("-", "_")
        result = subprocess.run(["bash", "-c", f"source <({program} --completion bash); COMP_WORDS=({name} --ver);"
                                 f"COMP_CWORD=1; {function}; echo ${{COMPREPLY[*]}}; COMP_WORDS=({name} --runtimes go);"
                                 f"COMP_CWORD=2; {function}; echo ${{COMPREPLY[*]}}"],
                                capture_output=True, text=True, cwd=FOLDER, env=ENV, timeout=60, check=False)
        tap.equal(f"{name}: options and files", result.stdout.split(), ["--version", "good.yaml"])
        result = subprocess.run([program, "--completion", "tcsh"], capture_output=True, text=True, env=ENV, check=False)
        tap.ok(f"{name}: unknown shell", result.returncode == 2 and "accepted: bash, zsh, fish" in result.stderr, result.stderr)
    expect("unknown shell", ["completion", "tcsh"], 2, err="accepted: bash zsh fish")


def check_completion_whole():
    """Every verb and option that the manual page has is offered, of both programs."""
    for program in (AEGIS, AEGIS + "-audit"):
        name = os.path.basename(program)
        page = subprocess.run([program, "help", "--manual"], capture_output=True, text=True, env=ENV, timeout=60,
                              check=False).stdout.replace("\\-", "-").split(".SH VERBS")[1].split(".SH EXIT STATUS")[0]
        wanted = {}
        for part in re.split(r'^\.SS "', page, flags=re.M)[1:]:
            words = re.match(r"[a-z -]+?(?= [\[A-Z]| [a-z]+\||\")", part)[0].split()[1:]
            wanted[" ".join(words)] = set(re.findall(r"^\.B (?:-\w, )?(--[a-z-]+)", part, re.M))
        script = f"source <({program} completion bash)\n" + "".join(
            f"COMP_WORDS=({name} {verb} --); COMP_CWORD={1 + len(verb.split())}; _{name.replace('-', '_')}; echo \"${{COMPREPLY[*]}}\"\n"
            f"COMP_WORDS=({name} {verb}); COMP_CWORD={len(verb.split())}; _{name.replace('-', '_')}; echo \"${{COMPREPLY[*]}}\"\n"
            for verb in wanted)
        lines = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=FOLDER, env=ENV, timeout=60,
                               check=False).stdout.splitlines()
        missing = [(verb, wanted[verb] - set(options.split()), words) for verb, options, words in
                   zip(wanted, lines[0::2], lines[1::2]) if wanted[verb] - set(options.split()) or verb.split()[-1] not in words.split()]
        tap.equal(f"{name}: every verb and option is offered", (missing, len(wanted) > 10, len(lines)), ([], True, 2 * len(wanted)))


def check_manual():
    _, out, _ = expect("manual page", ["help", "--manual"], 0, out=".SH NAME")
    tap.ok("manual page names every verb",
           all(f"aegis {v}" in out.replace("\\-", "-") for v in ("agent validate", "config show", "schema")))
    for program in (AEGIS, AEGIS + "-audit"):
        page = subprocess.run([program, "help", "--manual"], capture_output=True, text=True, env=ENV, check=False).stdout
        common, verbs = page.replace("\\-", "-").split(".SH OPTIONS")[1].split(".SH VERBS")
        common, own = (set(re.findall(r"^\.B (?:-\w, )?--([a-z-]+)", part, re.M)) for part in (common, verbs))
        tap.equal(f"{os.path.basename(program)}: no verb has an option of a global one's name",
                  (common & own - {"daemon"}, "output" in common), (set(), True))  # --daemon stands for a verb
    for name in ("aegisd", "aegis-helper", "aegis-bootstrap"):
        page, explained = (subprocess.run([os.path.join(os.path.dirname(AEGIS), name), option], capture_output=True, text=True,
                                          check=False) for option in ("--manual", "--help"))
        named = set(re.findall(r"^  --([a-z-]+)", explained.stdout, re.M))
        on_page = set(re.findall(r"^\.B --([a-z-]+)", page.stdout.replace("\\-", "-"), re.M))
        tap.ok(f"{name} has a page of its own with every option", page.returncode == explained.returncode == 0
               and page.stdout.startswith(f'.TH "{name.upper()}" 8 ') and named == on_page and "help" in named,
               f"{page.stderr}{explained.stderr}{named} {on_page}")


def check_full_disk():
    if not os.path.exists("/dev/full"):
        tap.skip("a full disk is a failure", "there is no /dev/full")
        return
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([AEGIS, "help"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENV,
                                timeout=60, check=False)
    tap.equal("a full disk is a failure", result.returncode, 10)


try:
    check_usage()
    check_agents()
    check_config()
    check_policy_paths()
    check_schema()
    check_daemon()
    check_completion()
    check_completion_whole()
    check_manual()
    check_full_disk()
finally:
    shutil.rmtree(FOLDER)
tap.done()
