"""What the gateway's processes have: counted when nothing is on its way, and compared over the rounds of a soak."""

import contextlib
import os
import re
from collections import namedtuple
from pathlib import Path

import beamgate

SPARE_FILES = 12  # Come and go with requests.
SPARE_BYTES = 16 << 20

Look = namedtuple("Look", "processes files bytes shared_bytes ghosts")


def look(test):
    """What the gateway of a continuity.TestCase has."""
    running = test.running
    pids = running.members()
    return Look(processes=len(pids),
                files=test.open_files(),
                bytes=sum(beamgate.memory(pid)["Pss"] for pid in pids),
                shared_bytes=shared_bytes(pids),
                ghosts=sum(map(ghosts, running.worker_pids())))


def ghosts(pid):
    """Registrations in the epoll sets of a process that are of no file it has open under that number."""
    count = 0
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/fd/{number}") != "anon_inode:[eventpoll]":
                continue
            info = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
            for fd, inode in re.findall(r"tfd:\s*(\d+) .* ino:([0-9a-f]+)", info):
                try:
                    count += os.stat(f"/proc/{pid}/fd/{fd}").st_ino != int(inode, 16)
                except FileNotFoundError:
                    count += 1
    return count


def shared_bytes(pids):
    """Of all files in memory that these processes have open: the arenas, and what is handed over."""
    sizes = {}
    for pid in pids:
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{number}").startswith("/memfd:"):
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def grown(looks):
    """What there is more of than there was, as texts; the looks are in order."""
    if len(looks) < 2:
        return []
    first, last = looks[0], looks[-1]
    half = len(looks) // 2
    found = []
    if last.processes != first.processes:
        found.append(f"processes {first.processes} -> {last.processes}")
    if last.files > first.files + SPARE_FILES:
        found.append(f"descriptors {first.files} -> {last.files}")
    if last.ghosts > 0:
        found.append(f"{last.ghosts} registrations of files that are gone")
    for name in ("bytes", "shared_bytes"):
        before, after = (max(getattr(look, name) for look in part) for part in (looks[:half], looks[half:]))
        if after > before * 1.1 + SPARE_BYTES:
            found.append(f"{name} {before:,} -> {after:,}")
    return found
