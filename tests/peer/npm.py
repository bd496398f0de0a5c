# SPDX-License-Identifier: AGPL-3.0-only
"""Packages of npm for peer tests, installed once into a cache that every build shares.

    place = npm.install("mcp", "node@22", "@modelcontextprotocol/server-memory")
    npm.node(place)     # the Node.js among them

AEGIS_NPM_CACHE  where they go; otherwise aegis/npm in the user's cache.
"""

import fcntl
import os
import subprocess

import tap


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("AEGIS_NPM_CACHE") or os.path.join(base, "aegis", "npm")


def node(place):
    return os.path.join(place, "node_modules", "node", "bin", "node")


def install(name, *packages):
    """Skips the whole test, with npm's reason, where they cannot be had."""
    place = os.path.join(cache(), name)
    os.makedirs(place, exist_ok=True)
    with open(place + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = os.path.join(place, "complete")
        want = "\n".join(packages)
        try:
            with open(mark) as f:
                if f.read() == want:
                    return place
        except OSError:
            pass
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", place, *packages],
                                  capture_output=True, text=True, timeout=240)
        except (OSError, subprocess.TimeoutExpired) as e:
            tap.skip_all(f"npm cannot install {', '.join(packages)}: {e}")
        if done.returncode or not os.path.exists(node(place)):
            lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["npm installed no node"]
            tap.skip_all(f"npm cannot install {', '.join(packages)}: {lines[0]}")
        with open(mark, "w") as f:
            f.write(want)
    return place
