#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What tools/bench works out of a figure, and what it refuses as none."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["AEGIS_SOURCE"], "tools"))
import bench
import tap


def refused(figure):
    try:
        bench.complete(figure)
    except ValueError as error:
        return str(error)
    return None


whole = {"area": "rt", "name": "echo", "value": 0.5, "unit": "us", "peer": "liburing", "peer_value": 0.4}
tap.equal("the ratio follows", bench.complete(whole)["ratio"], 1.25)
tap.equal("a ratio target is met", bench.complete({**whole, "target": "<= 1.5"})["met"], True)
tap.equal("a ratio target is missed", bench.complete({**whole, "target": "<= 1.2"})["met"], False)
tap.equal("a target upwards", bench.complete({**whole, "target": ">= 1.3"})["met"], False)
tap.equal("no target, no verdict", bench.complete(whole)["met"], None)
alone = {"area": "rt", "name": "echo", "value": 0.5, "unit": "us", "target": "<= 0.6"}
tap.equal("without a peer the target is about the value", bench.complete(alone)["met"], True)
absent = {**alone, "peer": "bubblewrap", "peer_value": None}
tap.equal("a peer that is not here leaves it open", bench.complete(absent)["met"], None)
tap.equal("what the benchmark says itself stands", bench.complete({**alone, "met": False})["met"], False)
tap.ok("an unknown key is refused", "valeu" in (refused({**whole, "valeu": 1}) or ""))
tap.ok("a missing key is refused", refused({"area": "rt"}))
tap.ok("a text for a number is refused", refused({**whole, "value": "fast"}))
tap.ok("a list is refused", refused([]))
tap.done()
