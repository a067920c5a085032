"""What the tests of continuity share: their gateway, its processes by role, and the clients that watch it.

A slot is a worker, its keeper and the keeper's standby; they share one descriptor table, and that is how they are
told from those of another slot (kcmp(2)).
"""

import contextlib
import ctypes
import os
import random
import shutil
import socket
import tempfile
import unittest
from collections import namedtuple
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGSTOP, SIGUSR2

import beamgate
import http_client
from oracle import Oracle, Publisher
from wire import split_address

HTTP = """
server {
    listen 127.0.0.1:0 backlog=4096;
    keepalive_requests 1000000;
    location = /echo { websocket echo; websocket_message_max 2m; }
    location ~ "^/hub/(?<channel>[a-z0-9-]+)$" {
        websocket raw; websocket_subscribe $channel; websocket_publish $channel;
    }
    location /api/ { api on; }
    location = /status { status on; }
    location = /metrics { metrics on; }
}
"""
STEPS = ("source-frozen", "source-offered", "source-answered", "source-committed", "source-given", "source-told",
         "destination-offered", "destination-built", "destination-prepared", "destination-committed",
         "destination-served", "destination-done")  # Of a move: points at which a process may die.
# A build with BEAMGATE_FAULTS then spends much of its time where a kill is most awkward; others do not care.
LINGER = {"BEAMGATE_LINGER_US": "200"}
UPGRADE_ENDS = r"\bupgraded\b|\bupgrade_failed\b"
SETTLE_S = 30  # Until processes are as they should be again; far above what it takes.
SYS_KCMP, KCMP_FILES = 312, 2

Slot = namedtuple("Slot", "worker keeper standby")

needs_faults = unittest.skipUnless(os.environ.get("BEAMGATE_BUILT_WITH_FAULTS"),
                                   "the binary can't die on demand: BEAMGATE_FAULTS is off")
needs_next = unittest.skipUnless(os.environ.get("BEAMGATE_NEXT"), "beamgate_next is not built: BEAMGATE_NEXT is off")


def kills():
    return 10 if beamgate.sanitized() else 30


def share_files(one, other):
    """Whether two processes have one descriptor table."""
    answer = beamgate.libc.syscall(SYS_KCMP, one, other, KCMP_FILES, 0, 0)
    if answer < 0 and ctypes.get_errno() in (1, 38):  # EPERM, ENOSYS
        raise unittest.SkipTest("kcmp(2) is not to be had here")
    return answer == 0


def arena_path(pid):
    """The memory that holds the records of a process's slot, as a file."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if "memfd:beamgate-arena" in os.readlink(f"/proc/{pid}/fd/{number}"):
                return f"/proc/{pid}/fd/{number}"
    raise LookupError("no arena among the descriptors")


def used_parts(number):
    """(offset, bytes) of the parts of a file that are no holes: an arena is as long as it may ever become."""
    at = 0
    with contextlib.suppress(OSError):  # ENXIO: only a hole is left.
        while True:
            at = os.lseek(number, at, os.SEEK_DATA)
            end = os.lseek(number, at, os.SEEK_HOLE)
            yield at, os.pread(number, end - at, at)
            at = end


def end_in_proc(field):
    """Of /proc/net/tcp."""
    address, port = (int(part, 16) for part in field.split(":"))
    return socket.inet_ntoa(address.to_bytes(4, "little")), port


def workers_of(gateway, clients, workers=None, index=0):
    """A client (its IPv4 address and port) of the index-th address to the process id of the worker (of all, or of
    those given) that holds its connection."""
    port = split_address(gateway.address(index))[1]
    inodes = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ours, client = map(end_in_proc, fields[1:3])
        if ours[1] == port and client in clients:
            inodes[f"socket:[{fields[9]}]"] = client
    found = {}
    for pid in workers or gateway.worker_pids():
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                client = inodes.get(os.readlink(f"/proc/{pid}/fd/{number}"))
                if client:
                    found[client] = pid
    return found


class TestCase(beamgate.TestCase):
    trial = "50ms"  # Of new binaries; as long as users have it only where it matters.
    index = 0       # Of the address that is watched; the first one answers what is asked of the API.
    watching = {}   # What all of its oracles are told.

    def start(self, http=HTTP, **options):
        options.setdefault("events", "worker_connections 16384;")
        options["main"] = f"upgrade_trial {self.trial}; {options.get('main', '')}"
        self.running = self.gateway(http, **options)
        return self.running

    def watch(self, index=None, **options):
        """An oracle that watches the gateway from now on, at its address `index`; /hub/room is its hub location."""
        hub = options.pop("subscribers", 0)
        address = self.running.address(self.index if index is None else index)
        oracle = Oracle(address, hub=("/hub/room", hub) if hub else None, api_address=self.running.address(),
                        **self.watching, **options)
        self.addCleanup(oracle.close)
        return oracle.open()

    def publish(self, oracle):
        publisher = Publisher(oracle, "room")
        self.addCleanup(publisher.stopping.set)
        publisher.start()
        return publisher

    # Processes.

    def slots(self):
        """The complete slots, by the age of their workers."""
        keepers = self.running.pids_titled("beamgate: keeper process")
        standbys = self.running.pids_titled("beamgate: standby keeper")
        found = []
        for worker in self.running.worker_pids():
            keeper = [pid for pid in keepers if share_files(worker, pid)]
            standby = [pid for pid in standbys if share_files(worker, pid)]
            if len(keeper) == 1 and len(standby) == 1:
                found.append(Slot(worker, keeper[0], standby[0]))
        return found

    def wait_slots(self, count, without=(), timeout=SETTLE_S):
        """Until there are `count` complete slots and none of the processes named is in them."""
        def complete():
            slots = self.slots()
            return len(slots) == count and not any(pid in slot for slot in slots for pid in without) and slots
        return beamgate.until(complete, timeout, f"{count} complete slots without {without}")

    def kill_keepers(self, slot):
        """Both at once, so that its worker has none."""
        for number in (SIGSTOP, SIGKILL):  # Stopped first: the one that is left shall not become the other.
            for pid in (slot.keeper, slot.standby):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def workers_of(self, clients, workers=None):
        return workers_of(self.running, clients, workers, self.index)

    def kill_workers(self, oracle, kills):
        """Kills a random worker, again and again.  A successor is let live until it has answered somebody: dying
        before it serves, several times in a row, counts as its own fault."""
        dice = random.Random(kills)
        busy = {peer.name: peer for peer in oracle.echoes if peer.depth}
        somebody = {worker: busy[end] for end, worker in self.workers_of(busy).items()}
        for _ in range(kills):
            victim = dice.choice(sorted(somebody))
            peer = somebody.pop(victim)
            before = peer.answered
            os.kill(victim, SIGKILL)
            successor, = beamgate.until(lambda: set(self.running.worker_pids()) - set(somebody) - {victim},
                                        SETTLE_S, "a successor")
            oracle.wait_for(lambda: peer.answered > before + 3 * peer.depth or peer.state == "ended",
                            f"answers for {peer}", SETTLE_S)
            somebody[successor] = peer

    def kill_workers_under_load(self, connections):
        """Kills workers kills() times while an oracle watches, and returns it: nothing was lost, and nothing is left."""
        oracle = self.watch(connections=connections, busy=20, subscribers=20)
        publisher = self.publish(oracle)
        self.wait_slots(2)
        files = self.open_files()
        self.kill_workers(oracle, kills())
        publisher.stop()
        oracle.finish()
        self.check_nothing_left(files, 2)
        self.assertGreater(oracle.published[b"http"], 0)
        return oracle

    def connections_per_worker(self):
        """Process id to the number of connections, as the API says."""
        info = http_client.post(self.running.address(), "/api/info", {}).json()["result"]
        return {worker["pid"]: worker["num_connections"] for worker in info["nodes"][0]["workers"]}

    def open_files(self):
        """Descriptors of the master and of all workers, to see that none are left behind."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in [self.running.pid, *self.running.worker_pids()])

    def check_nothing_left(self, files_before, slots):
        """As many descriptors as before (a few come and go with requests), as many processes as there should be: the
        master with its keeper, and three of each slot."""
        beamgate.until(lambda: self.open_files() <= files_before + 12, SETTLE_S, "no more descriptors than before")
        beamgate.until(lambda: len(self.running.members()) == 2 + 3 * slots, SETTLE_S,
                       f"three processes for each of {slots} slots, and the master's two")

    def version(self):
        return http_client.get(self.running.address(), "/status").json()["version"]

    # Reload and upgrade.

    def reload(self, result=r"\breloaded\b", **changes):
        if changes:
            self.running.write_config(**changes)
        mark = self.running.log_mark()
        self.running.signal(SIGHUP)
        self.running.wait_log(result, after=mark, timeout=SETTLE_S)

    def start_copy(self, binary=None, **options):
        """Starts a copy of the binary, which install() can replace."""
        directory = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="beamgate-binary-")))
        self.installed = directory / "beamgate"
        self.install(binary or beamgate.binary())
        return self.start(binary=self.installed, **options)

    def install(self, binary):
        """Puts another binary in the place of the one that runs, as a package does: by rename."""
        fresh = self.installed.with_suffix(".new")
        shutil.copy(binary, fresh)
        fresh.chmod(0o755)
        fresh.rename(self.installed)

    def plan(self, point, fault):
        """Processes of the installed binary die so at this point from now on."""
        directory = Path(f"{self.installed}.faults")
        directory.mkdir(exist_ok=True)
        fresh = directory.with_suffix(".new")
        fresh.write_text(fault)
        path = directory / point
        fresh.rename(path)
        return path

    def try_upgrade(self):
        """USR2, until it has ended one way or the other; the lines that it logged."""
        mark = self.running.log_mark()
        self.running.signal(SIGUSR2)
        self.running.wait_log(UPGRADE_ENDS, after=mark, timeout=2 * SETTLE_S)
        with self.running.changed:
            return self.running.lines[mark:]

    def upgrade(self):
        """USR2, until every worker is another process than before."""
        before = set(self.running.worker_pids())
        self.running.signal(SIGUSR2)
        return beamgate.until(
            lambda: (now := set(self.running.worker_pids())) and len(now) == len(before) and not now & before and now,
            SETTLE_S, "new workers")


main = beamgate.main
