"""A death whose worker has much memory: neither a core file nor the kernel's out-of-memory killer costs a connection.

The memory is the body of a request that a `proxy_pass` location collects: the worker's own, not the arena's.  What a
core file must hold of it, and what of other shared memory, is the control of what it must not hold of the arena.
Control of "does not wait for the core file": without a keeper, nobody serves until it is written.
"""

import contextlib
import glob
import mmap
import os
import re
import resource
import struct
import unittest
from collections import namedtuple
from pathlib import Path
from signal import SIGKILL, SIGSEGV

import beamgate
import continuity
import http_client
import ws_client
from ws_frame import TEXT

HTTP = continuity.HTTP.replace("location /api/", """location /collect {
        proxy_pass http://127.0.0.1:1; proxy_buffer_size 1g; client_max_body_size 0; client_body_timeout 1h;
    }
    location /api/""")
CORE_BYTES = 256 << 20  # Takes much longer to write than a successor takes to serve.
CORE_FILE_S = 300  # On a slow disk that others write to as well.
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
PT_LOAD = 1
LIMIT_BYTES = 192 << 20
PIECE = b"what a client uploads " * 40_000
IN_THE_ARENA = b"what only the arena may hold"

Mapping = namedtuple("Mapping", "start end name flags")
Segment = namedtuple("Segment", "start end bytes")


def mappings(pid):
    """What a process has mapped, with the VmFlags of smaps."""
    found = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)", line)
        if head:
            found.append(Mapping(int(head[1], 16), int(head[2], 16), head[3], set()))
        elif line.startswith("VmFlags:"):
            found[-1].flags.update(line.split()[1:])
    return found


def segments(core):
    """The parts of memory that a core file names, and how many bytes of each are in it."""
    at, size, count = (struct.unpack_from(form, core, where)[0] for form, where in (("<Q", 32), ("<H", 54), ("<H", 56)))
    headers = [struct.unpack_from("<IIQQQQQQ", core, at + n * size) for n in range(count)]
    return [Segment(start, start + in_memory, in_file)
            for kind, _, _, start, _, in_file, in_memory, _ in headers if kind == PT_LOAD]


class MemoryCgroup:
    """A limit of memory for the processes put into it; of either version of cgroups."""

    def __init__(self):
        self.path = None
        for root, limit, events in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
                                    ("/sys/fs/cgroup", "memory.max", "memory.events")):
            path = Path(root, f"beamgate-test-{os.getpid()}")
            with contextlib.suppress(OSError):
                path.mkdir()
                if (path / limit).exists():
                    self.path, self.limit, self.events = path, path / limit, path / events
                    return
                path.rmdir()
        raise unittest.SkipTest("no out-of-memory kill can be had here: there is no writable memory cgroup below"
                                " /sys/fs/cgroup (needs root, and cgroups mounted for writing)")

    def hold(self, pids, limit_bytes):
        self.limit.write_text(str(limit_bytes))
        for name, swap in (("memory.memsw.limit_in_bytes", limit_bytes), ("memory.swap.max", 0)):
            if (self.path / name).exists():
                (self.path / name).write_text(str(swap))
        for pid in pids:
            (self.path / "cgroup.procs").write_text(str(pid))

    def kills(self):
        return int(re.search(r"^oom_kill (\d+)$", self.events.read_text(), re.MULTILINE)[1])

    def close(self):
        def remove():
            with contextlib.suppress(OSError):
                self.path.rmdir()
            return not self.path.exists()
        beamgate.until(remove, continuity.SETTLE_S, f"the end of {self.path}")


class Memory(continuity.TestCase):
    def upload(self, wanted):
        """A client whose request the worker collects, `wanted` bytes so far and never all of it."""
        connection = http_client.Connection(self.running.address(), timeout=continuity.SETTLE_S)
        self.addCleanup(connection.close)
        connection.send(b"POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        for _ in range(0, wanted, len(PIECE)):
            connection.send(PIECE)
        return connection

    def fill(self, worker, wanted):
        self.upload(wanted)
        beamgate.until(lambda: beamgate.memory(worker)["Private_Dirty"] > wanted, continuity.SETTLE_S, "the memory filled")

    def half_a_message(self):
        """A client that is not heard to the end: what it has said waits in the arena."""
        client = self.track(ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S))
        client.send_frame(TEXT, IN_THE_ARENA, fin=False)
        client.ping(b"heard")
        client.recv_frame()
        return client

    def arena_of(self, worker):
        """Once it is the only one: a successor looks at its predecessor's, too, until it has taken over."""
        def arenas():
            return [mapping for mapping in mappings(worker) if "memfd:beamgate-arena" in mapping.name]
        return beamgate.until(lambda: len(found := arenas()) == 1 and found, continuity.SETTLE_S, "one arena")[0]

    def shared_of(self, worker):
        """Other memory that workers share."""
        found = [m for m in mappings(worker) if "memfd:beamgate-" in m.name and "memfd:beamgate-arena" not in m.name]
        self.assertTrue(found)
        return found

    def test_an_arena_is_marked_to_stay_out_of_core_files(self):
        self.start(workers=1).expect_deaths()
        for _ in range(2):
            worker, = self.running.worker_pids()
            self.assertIn("dd", self.arena_of(worker).flags)
            for other in self.shared_of(worker):
                self.assertNotIn("dd", other.flags, other)
            os.kill(worker, SIGKILL)
            self.wait_slots(1, without=[worker])  # Its successor's is no other.

    # Core files.

    def allow_core(self, worker):
        pattern = Path(CORE_PATTERN).read_text().strip()
        if pattern.startswith(("|", "/")):
            self.skipTest(f"core files do not appear where a test may look for them: {CORE_PATTERN} is {pattern!r}")
        resource.prlimit(worker, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.pattern = pattern

    def core(self):
        """The core file, once it is written."""
        found = [path for path in glob.glob(f"{self.running.directory}/*")
                 if os.path.basename(path).startswith(self.pattern.partition("%")[0])]
        self.assertEqual(len(found), 1, os.listdir(self.running.directory))
        with open(found[0], "rb") as file:
            core = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.addCleanup(core.close)
        return core

    def test_a_core_file_delays_nobody_and_holds_nothing_of_the_arena(self):
        self.start(HTTP, workers=1).expect_deaths()
        slot, = self.wait_slots(1)
        # Nobody is being served when the signal comes, so that nobody is to blame.
        oracle = self.watch(connections=100, busy=0, idle_period=3600)
        client = self.half_a_message()
        with open(continuity.arena_path(slot.keeper), "rb") as file:
            self.assertTrue(any(IN_THE_ARENA in part for _, part in continuity.used_parts(file.fileno())))
        self.fill(slot.worker, CORE_BYTES)
        self.allow_core(slot.worker)
        arena, shared = self.arena_of(slot.worker), self.shared_of(slot.worker)
        os.kill(slot.worker, SIGSEGV)
        client.send_frame(0, b" and no core file", fin=True)
        self.assertEqual(client.recv(), (IN_THE_ARENA + b" and no core file").decode())
        self.assertTrue(beamgate.is_alive(slot.worker), "the dead worker is still being written down")
        oracle.finish()
        beamgate.until(lambda: not os.path.exists(f"/proc/{slot.worker}"), CORE_FILE_S, "the core file")
        self.running.wait_log(rf"\bworker_died\b.*\bpid={slot.worker}\b.*\bcause=crashed\b")
        core = self.core()
        self.assertEqual(self.bytes_within(core, arena), 0)
        self.assertEqual(core.find(IN_THE_ARENA), -1)
        self.assertNotEqual(core.find(PIECE), -1, "the worker's own memory is in it")
        for other in shared:
            self.assertGreater(self.bytes_within(core, other), 0, other)

    def bytes_within(self, core, mapping):
        """How much of a mapping a core file holds."""
        inside = [part for part in segments(core) if mapping.start <= part.start < mapping.end]
        self.assertTrue(inside, f"{mapping} is not named at all")
        return sum(part.bytes for part in inside)

    def test_control_without_a_keeper_all_wait_for_the_core_file(self):
        self.start(HTTP, main="worker_keeper off;", workers=1).expect_deaths()
        worker, = self.running.worker_pids()
        self.fill(worker, CORE_BYTES)
        self.allow_core(worker)
        os.kill(worker, SIGSEGV)
        with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as client:
            self.assertFalse(os.path.exists(f"/proc/{worker}"))
            client.send("at last")
            self.assertEqual(client.recv(), "at last")
        self.assertNotEqual(self.core().find(PIECE), -1)

    # Out of memory.

    def test_a_large_worker_killed(self):
        self.start(HTTP, workers=1).expect_deaths()
        slot, = self.wait_slots(1)
        oracle = self.watch(connections=100, busy=10, subscribers=5)
        self.fill(slot.worker, CORE_BYTES)
        os.kill(slot.worker, SIGKILL)
        self.wait_slots(1, without=[slot.worker])
        oracle.wait_messages(200)
        oracle.finish()

    def test_the_kernel_kills_a_worker_for_its_memory(self):
        cgroup = MemoryCgroup()
        self.addCleanup(cgroup.close)
        self.start(HTTP, workers=2).expect_deaths()
        slots = self.wait_slots(2)
        oracle = self.watch(connections=200, busy=20, subscribers=10, visitors=2)
        publisher = self.publish(oracle)
        cgroup.hold(self.running.members(), LIMIT_BYTES)
        for number in range(1, 4):
            with contextlib.suppress(OSError):
                self.upload(4 * LIMIT_BYTES)  # Until nobody takes it any more.
            beamgate.until(lambda: cgroup.kills() >= number, continuity.SETTLE_S, "a kill")
            self.running.wait_log(r"\bworker_died\b.*\bsignal=9\b.*\bcause=killed\b", count=number)
            self.wait_slots(2)
            oracle.wait_messages(200)
        publisher.stop()
        oracle.finish()
        after = self.wait_slots(2)
        self.assertEqual({slot.keeper for slot in after}, {slot.keeper for slot in slots}, "only workers were killed")
        # The kernel takes its time to take back what a killed one had.
        beamgate.until(lambda: len(self.running.members()) == 2 + 3 * 2, continuity.SETTLE_S, "the killed are gone")


if __name__ == "__main__":
    continuity.main()
