#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The include check must refuse each kind of wrong arrow, and read the table that ARCHITECTURE.md holds."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["AEGIS_SOURCE"], "tools"))
import lint
import tap

ROOMS = {room.name: room for room in (
    lint.Room("low", [], []), lint.Room("low/inner", [], []), lint.Room("mid", ["plain.h"], ["low"]),
    lint.Room("high", [], ["low", "mid"]))}


def refused(name, target):
    return lint.check_one_include(name, target, ROOMS)


tap.equal("a room may include its own headers", refused("mid/a.c", "mid/private.h"), None)
tap.equal("and the public header below it", refused("mid/a.c", "low/low.h"), None)
tap.equal("and a header named in brackets", refused("high/a.c", "mid/plain.h"), None)
tap.ok("an arrow upwards is refused", "no such arrow" in (refused("low/a.c", "mid/mid.h") or ""))
tap.ok("a private header is refused", "reaches into mid" in (refused("high/a.c", "mid/private.h") or ""))
tap.ok("a folder inside another is a room of its own", "reaches into low" in (refused("low/inner/a.c", "low/x.h") or ""))
tap.ok("a header of no room is refused", "no room" in (refused("high/a.c", "elsewhere/x.h") or ""))
tap.equal("a test may look inside the room it mirrors", refused("tests/unit/mid/a.c", "mid/private.h"), None)
tap.ok("but into no other", "private to mid" in (refused("tests/unit/high/a.c", "mid/private.h") or ""))
rooms = lint.read_rooms()
tap.ok("the real table has the lowest room, which uses none", rooms["daemon/base"].allowed == [])
tap.equal("lengths are counted from brace to brace", list(lint.function_lengths("int f(void)\n{\n\tx();\n}\n")), [(2, "f", 3)])
tap.done()
