"""Looks for bytes in the memory of processes, as somebody would who has got at it: memory.places(pids, wanted).

What a process maps is read through /proc/PID/mem.  Not looked at: what the kernel has no memory for (the holes of an
arena, a sanitizer's terabytes of shadow).
"""

import contextlib
import os
import re

import continuity

MAPPED_MAX = 1 << 30
PIECE = 1 << 20


def places(pids, wanted):
    """Where any of the names in `wanted` (name to bytes) is found: [(process, mapping, name)]."""
    return sorted({(pid, where, name) for pid in pids for where, part in parts(pid)
                   for name, secret in wanted.items() if secret in part})


def parts(pid):
    """(mapping, bytes), overlapping."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            begin, end, rights, where = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)", line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if not rights.startswith("r") or where in ("[vvar]", "[vsyscall]"):
                continue
            if end - begin <= MAPPED_MAX:
                for at in range(begin, end, PIECE):
                    with contextlib.suppress(OSError):  # Behind the end of a file.
                        yield where or "anonymous", os.pread(memory.fileno(), min(PIECE + 64, end - at), at)
    with contextlib.suppress(LookupError), open(continuity.arena_path(pid), "rb") as arena:
        yield from (("arena", part) for _, part in continuity.used_parts(arena.fileno()))
