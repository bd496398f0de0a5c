# SPDX-License-Identifier: AGPL-3.0-only
"""The checks of tools/lint. Each is a function that yields complaints; a clean tree yields none.

The slow ones (clang-tidy, the two compilers) remember by content what was clean, under build/lint, so a second
run looks only at what changed.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = os.cpu_count() or 1

FUNCTION_LINES = 70
FILE_LINES = 1000

LICENCE = "AGPL-3.0-only"
# The kernel's half and the headers it shares with us may go where the kernel goes.
BPF_LICENCE = "BSD-2-Clause OR GPL-2.0-only"
# Text that has no comments, or is data that others wrote.
NO_LICENCE_LINE = re.compile(r"(^|/)LICENSE|\.(md|json|jsonl|ndjson|txt|cedar\w*|bin|golden)$|^tests/fuzz/corpus/|/data/")
HAS_LICENCE_LINE = re.compile(r"^tools/deps\.txt$")

# policy/ decides and does nothing else: no I/O, no threads, no clock.
IMPURE_HEADERS = {"fcntl.h", "poll.h", "pthread.h", "signal.h", "sys/socket.h", "sys/stat.h", "sys/mman.h",
                  "netdb.h", "spawn.h", "sys/wait.h", "dirent.h", "threads.h", "liburing.h"}


def run(command, **options):
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **options)


def tracked():
    """The files of the tree: committed, or new and not ignored."""
    listing = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"]).stdout.splitlines()
    return sorted(name for name in set(listing) if os.path.isfile(os.path.join(TOP, name)))


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def c_files(files):
    return [name for name in files if name.endswith((".c", ".h"))]


def scripts(files, shell):
    found = []
    for name in files:
        if name.endswith((".c", ".h", ".md", ".json")) or name.startswith("tests/fuzz/corpus/"):
            continue
        with open(os.path.join(TOP, name), "rb") as file:
            first = file.readline(80)
        if re.match(rb"#!.*\b" + shell, first) or (shell == rb"(ba)?sh" and name.endswith(".sh")):
            found.append(name)
    return found


# The checks.

def check_licence(files, options):
    """every file names its licence (SPDX)"""
    for name in files:
        if NO_LICENCE_LINE.search(name) and not HAS_LICENCE_LINE.search(name):
            continue
        head = "\n".join(read(name).splitlines()[:3])
        found = re.search(r"SPDX-License-Identifier: (.+?)\s*(\*/|-->|$)", head, re.MULTILINE)
        want = BPF_LICENCE if name.startswith("bpf/") and name.endswith((".c", ".h")) else LICENCE
        if not found:
            yield f"{name}:1: no SPDX-License-Identifier in the first three lines; it should say {want}"
        elif found.group(1) != want:
            yield f"{name}:1: licence is {found.group(1)}; here it must be {want}"


def check_format(files, options):
    """clang-format has nothing to change (--fix applies it)"""
    names = c_files(files)
    if not names:
        return
    mode = ["-i"] if options.fix else ["--dry-run", "-Werror"]
    result = run(["clang-format", *mode, *names])
    if result.returncode != 0:
        yield from sorted({line for line in result.stdout.splitlines() if "error:" in line})


class Room:
    def __init__(self, name, headers, allowed):
        self.name = name
        self.allowed = allowed
        base = os.path.basename(name)
        # The structs that a BPF program set shares with user space are its public face.
        self.public = {f"{name}/{header}" for header in (f"{base}.h", f"{base}_api.h", *headers)}


def read_rooms():
    """The dependency table of ARCHITECTURE.md: name -> Room, in the order of the table."""
    block = re.search(r"^```deps\n(.*?)^```", read("ARCHITECTURE.md"), re.MULTILINE | re.DOTALL)
    if not block:
        sys.exit("tools/lint: ARCHITECTURE.md has no ```deps block")
    rooms = {}
    for line in block.group(1).splitlines():
        match = re.fullmatch(r"(\S+)\s*(?:\((.*)\))?\s*<-\s*(.*)", line.strip())
        if not match:
            sys.exit(f"tools/lint: in the ```deps block of ARCHITECTURE.md this is no line of the table: {line}")
        name, headers, allowed = match.groups()
        rooms[name] = Room(name, (headers or "").split(), allowed.split())
    return rooms


def room_of(path, rooms):
    """The longest room that holds the path, or None."""
    folder = os.path.dirname(path)
    while folder:
        if folder in rooms:
            return folder
        folder = os.path.dirname(folder)
    return None


INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]', re.MULTILINE)


def check_table(files, rooms):
    seen = set()
    for room in rooms:
        for other in rooms[room].allowed:
            if other not in rooms:
                yield f"ARCHITECTURE.md: {room} may use {other}, which is no line of the table"
            elif other not in seen:
                yield f"ARCHITECTURE.md: {room} may use {other}, which does not stand above it"
        seen.add(room)
    for name in c_files(files):
        if not name.startswith("tests/") and room_of(name, rooms) is None:
            yield f"{name}: its folder is no room of the table in ARCHITECTURE.md"
    for name in files:
        room = os.path.dirname(name)
        if os.path.basename(name) != "CMakeLists.txt" or room not in rooms:
            continue
        for library in set(re.findall(r"\baegis_(\w+)\b", read(name))):
            linked = [other for other in rooms if os.path.basename(other) == library]
            if linked and linked[0] != room and linked[0] not in rooms[room].allowed:
                yield f"{name}: {room} links aegis_{library}, which the table in ARCHITECTURE.md does not allow"


def check_one_include(name, target, rooms):
    mine, theirs = room_of(name, rooms), room_of(target, rooms)
    if name.startswith("tests/"):
        # A test may look inside the room that its own path mirrors, and no other; what fuzzes a parser or measures
        # a part may look at any.
        mine = room_of(re.sub(r"^tests/[^/]+/", "", name), rooms)
        fuzz_or_inner = name.startswith(("tests/fuzz/", "tests/bench/")) or theirs == mine
        if theirs and not fuzz_or_inner and target not in rooms[theirs].public:
            return f"includes {target}, which is private to {theirs}; a test of another room includes only its public header"
        return None
    if theirs is None:
        return f"includes {target}, which belongs to no room"
    if mine == theirs or mine is None:
        return None
    if target not in rooms[theirs].public:
        return f"reaches into {theirs}: of another room only {', '.join(sorted(rooms[theirs].public))} may be included"
    if theirs not in rooms[mine].allowed:
        return f"{mine} may not use {theirs}: the table in ARCHITECTURE.md has no such arrow"
    return None


def check_arrows(files, options):
    """includes follow the table in ARCHITECTURE.md, and reach only public headers"""
    rooms = read_rooms()
    yield from check_table(files, rooms)
    for name in c_files(files):
        text = read(name)
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            kind, target = match.groups()
            if kind == "<":
                if name.startswith("policy/") and target in IMPURE_HEADERS:
                    yield f"{name}:{line}: policy/ does no I/O and knows no threads, but includes <{target}>"
                continue
            if os.path.exists(os.path.join(TOP, target)):
                complaint = check_one_include(name, target, rooms)
                if complaint:
                    yield f"{name}:{line}: {complaint}"
            elif "/" not in target and os.path.exists(os.path.join(TOP, os.path.dirname(name), target)):
                yield f'{name}:{line}: include "{os.path.dirname(name)}/{target}": paths start at the root of the tree'


def check_text(files, options):
    """no unfinished work, no trailing blanks, and every file ends with a newline"""
    for name in files:
        if name.startswith("tests/fuzz/corpus/") or "/data/" in name or name == "LICENSE":
            continue
        text = read(name)
        if text and not text.endswith("\n"):
            yield f"{name}: no newline at the end"
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line) and name != "tools/lint.py":
                yield f"{name}:{number}: unfinished: {line.strip()}"
            if line.endswith((" ", "\t")) and not name.endswith(".md"):
                yield f"{name}:{number}: blanks at the end of the line"


def check_shell(files, options):
    """shellcheck has nothing to say"""
    names = scripts(files, rb"(ba)?sh")
    if names:
        result = run(["shellcheck", "--format=gcc", "--external-sources", *names])
        yield from result.stdout.splitlines()


def check_python(files, options):
    """Python files parse"""
    for name in sorted(set(scripts(files, rb"python3") + [name for name in files if name.endswith(".py")])):
        try:
            compile(read(name), name, "exec")
        except SyntaxError as error:
            yield f"{name}:{error.lineno}: {error.msg}"


def build(preset, target="all"):
    command = ["cmake", "--build", f"build/{preset}", "-j", str(JOBS), "--target", target, "--", "-k", "0"]
    for step in (["cmake", "--preset", preset], command):
        result = run(step)
        if result.returncode != 0:
            found = [line for line in result.stdout.splitlines() if re.search(r"(warning|error):", line)]
            return found or result.stdout.splitlines()[-40:]
    return []


def check_clang(files, options):
    """clang builds without a warning"""
    yield from build("clang")


def check_analyze(files, options):
    """gcc -fanalyzer finds nothing (the tests aside: it does not know that a failed assertion ends them)"""
    yield from build("analyze", "code")


def tidy_key(entry, dependencies, settings):
    """A name for (this source, all it includes of ours, how it is compiled, the settings)."""
    digest = hashlib.sha256(settings)
    digest.update(entry["command"].encode())
    for name in [entry["file"], *dependencies]:
        with open(name, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def read_dependencies(preset):
    """What each object was built from, as ninja recorded it: object -> files of ours."""
    found, current = {}, None
    for line in run(["ninja", "-C", f"build/{preset}", "-t", "deps"]).stdout.splitlines():
        if line and not line.startswith(" "):
            current = found.setdefault(line.split(":")[0], [])
        elif current is not None and line.strip():
            path = os.path.join(TOP, f"build/{preset}", line.strip())
            if os.path.realpath(path).startswith(TOP + os.sep):
                current.append(path)
    return found


def tidy(entry):
    result = subprocess.run(["clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", f"{TOP}/build/clang", entry["file"]],
                            cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if not re.match(r"\d+ warnings? (generated|treated)", line)]
    return result.returncode, lines


def check_tidy(files, options):
    """clang-tidy (bugprone, cert, concurrency, performance) finds nothing"""
    build("clang")  # for the compile commands and what each source includes; its complaints are check_clang's
    commands = f"{TOP}/build/clang/compile_commands.json"
    if not os.path.exists(commands):  # CMake writes none for a tree of headers
        return
    with open(commands, encoding="utf-8") as file:
        entries = [e for e in json.load(file) if e["file"].endswith(".c") and not e["file"].startswith(f"{TOP}/build/")]
    dependencies = read_dependencies("clang")
    settings = (read(".clang-tidy") + read("tests/.clang-tidy")).encode() + run(["clang-tidy", "--version"]).stdout.encode()
    clean = f"{TOP}/build/lint/tidy"
    os.makedirs(clean, exist_ok=True)
    todo, complaints = {}, set()
    for entry in entries:
        known = dependencies.get(re.search(r" -o (\S+)", entry["command"]).group(1))
        key = tidy_key(entry, sorted(known or []), settings)
        if known is None or not os.path.exists(f"{clean}/{key}"):
            todo.setdefault(entry["file"], (key, entry))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for (key, _), (status, lines) in zip(todo.values(), pool.map(lambda item: tidy(item[1]), todo.values())):
            if status == 0:
                open(f"{clean}/{key}", "w", encoding="utf-8").close()
            else:
                complaints |= {line.replace(TOP + "/", "") for line in lines if re.search(r"(error|warning):", line)}
    yield from sorted(complaints)


def function_lengths(text):
    """(line, name, lines) of each function of a file formatted as ours are: a brace in column 1 opens the body."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line != "{":
            continue
        end = next((n for n in range(number, len(lines)) if lines[n].startswith("}")), number)
        name = re.search(r"(\w+)\(", " ".join(lines[max(0, number - 3):number]))
        yield number + 1, name.group(1) if name else "?", end - number + 1


def report_lengths(files):
    """For information: where a concept may be missing."""
    for name in c_files(files):
        text = read(name)
        if text.count("\n") > FILE_LINES:
            yield f"{name}: {text.count(chr(10))} lines"
        for line, function, length in function_lengths(text):
            if length > FUNCTION_LINES:
                yield f"{name}:{line}: {function} has {length} lines"


FAST = {"licence": check_licence, "text": check_text, "arrows": check_arrows, "format": check_format,
        "shell": check_shell, "python": check_python}
SLOW = {"clang": check_clang, "analyze": check_analyze, "tidy": check_tidy}


def main():
    every = {**FAST, **SLOW}
    parser = argparse.ArgumentParser(
        prog="tools/lint", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="checks:\n" + "\n".join(f"  {name:8} {check.__doc__}" for name, check in every.items()))
    parser.add_argument("checks", metavar="CHECK", nargs="*", help="only these (default: all)")
    parser.add_argument("--fast", action="store_true", help="only the checks that compile nothing")
    parser.add_argument("--fix", action="store_true", help="let clang-format rewrite files")
    options = parser.parse_args()
    chosen = options.checks or list(FAST if options.fast else every)
    unknown = [name for name in chosen if name not in every]
    if unknown:
        parser.error(f"no check {unknown[0]}; checks: {', '.join(every)}")
    files = tracked()
    failed = 0
    for name in chosen:
        complaints = list(every[name](files, options))
        for line in complaints:
            print(line)
        print(f"{name}: {'clean' if not complaints else f'{len(complaints)} lines of complaints'}", flush=True)
        failed += bool(complaints)
    for line in report_lengths(files):
        print(f"note: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
