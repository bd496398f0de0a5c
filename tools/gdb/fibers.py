# SPDX-License-Identifier: AGPL-3.0-only
"""What every fiber of a stopped aegisd (or a core of it) is doing.

    (gdb) source tools/gdb/fibers.py
    (gdb) fibers            one line for each fiber: worker, state, name, what it waits for
    (gdb) fibers bt         the same, each with its back trace
    (gdb) fiber 7           the back trace of fiber 7 of that list

A parked fiber is a stack pointer below which daemon/rt/fiber_x86_64.S saved the registers. An unwinder
shows that stack to gdb as if the selected thread's newest frame had been called from it; nothing in the
process is written, so cores work too.
"""

import gdb
from gdb.unwinder import Unwinder, register_unwinder

# Upwards from the saved stack pointer; the return address follows.
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp")
WORD = 8


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class FiberUnwinder(Unwinder):
    """While `target` is set, the newest frame of the selected thread continues on that stack."""

    def __init__(self):
        super().__init__("aegis-fibers")
        self.target = None
        self.newest_sp = None

    def __call__(self, pending):
        if self.target is None or int(pending.read_register("rsp")) != self.newest_sp:
            return None
        word = gdb.lookup_type("unsigned long")
        stack = self.target.cast(word.pointer())
        # Older frames must not seem to lie below this one: it pretends to end where they begin.
        unwind = pending.create_unwind_info(FrameId(self.target, pending.read_register("rip")))
        for i, register in enumerate(SAVED):
            unwind.add_saved_register(register, stack[i])
        unwind.add_saved_register("rip", stack[len(SAVED)])
        unwind.add_saved_register("rsp", self.target.cast(word) + WORD * (len(SAVED) + 1))
        return unwind


_unwinder = FiberUnwinder()


def workers():
    """Every struct worker of the run."""
    for symbol in gdb.lookup_static_symbols("run"):
        if symbol.is_variable:
            run = symbol.value()
            return [run["workers"][i] for i in range(int(run["count"]))]
    raise gdb.GdbError("no runtime in this program: the variable `run` of daemon/rt/run.c is not there")


def list_nodes(head):
    node = head["next"]
    while node != head.address:
        yield node
        node = node["next"]


def fibers():
    """(worker, fiber) of all, in the order in which each worker started them."""
    fiber_type = gdb.lookup_type("struct fiber")
    offset = next(f.bitpos // 8 for f in fiber_type.fields() if f.name == "all")
    char = gdb.lookup_type("char").pointer()
    for worker in workers():
        for node in list_nodes(worker["fibers"]):
            yield worker, (node.cast(char) - offset).cast(fiber_type.pointer()).dereference()


def text(pointer):
    return pointer.string() if int(pointer) else ""


def describe(number, worker, fiber):
    state = str(fiber["state"]).replace("FIBER_", "").lower()
    line = f"{number:4} worker {int(worker['index'])}  {state:8} {text(fiber['name'])}"
    waits_for = text(fiber["waits_for"])
    if state == "parked" and waits_for:
        line += f", waits for {waits_for}"
    if fiber["group"]["cancelled"]:
        line += ", cancelled"
    if fiber["shield"]:
        line += ", shielded"
    return line


def frame_line(number, frame):
    name = frame.name() or "??"
    line = f"      #{number:<2} {frame.pc():#x} {name}"
    sal = frame.find_sal()
    if sal.symtab:
        line += f" at {sal.symtab.filename}:{sal.line}"
    return line


def back_trace(fiber):
    if str(fiber["state"]) == "FIBER_RUNNING":
        return ["      runs: its back trace is its thread's"]
    lines = []
    _unwinder.newest_sp = int(gdb.newest_frame().read_register("rsp"))
    _unwinder.target = fiber["sp"]
    try:
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame().older()
        while frame is not None and frame.is_valid():
            lines.append(frame_line(len(lines), frame))
            if frame.name() == "fiber_entry":
                break
            frame = frame.older()
    finally:
        _unwinder.target = None
        gdb.invalidate_cached_frames()
    return lines


class FibersCommand(gdb.Command):
    """List the fibers of all workers; `fibers bt` adds back traces."""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument not in ("", "bt"):
            raise gdb.GdbError("usage: fibers [bt]")
        count = 0
        for worker, fiber in fibers():
            print(describe(count, worker, fiber))
            if argument == "bt":
                print("\n".join(back_trace(fiber)))
            count += 1
        print(f"{count} fibers")


class FiberCommand(gdb.Command):
    """The back trace of one fiber, by its number in the list of `fibers`."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not argument.isdigit():
            raise gdb.GdbError("usage: fiber NUMBER, as `fibers` lists them")
        for number, (worker, fiber) in enumerate(fibers()):
            if number == int(argument):
                print(describe(number, worker, fiber))
                print("\n".join(back_trace(fiber)))
                return
        raise gdb.GdbError(f"there is no fiber {argument}; `fibers` lists them")


register_unwinder(None, _unwinder, replace=True)
FibersCommand()
FiberCommand()
