#!/usr/bin/python3
"""Lets everything happen that connections are meant to survive, at random and for as long as wanted, under mixed load.

    cmake --preset release && cmake --build build/release --target beamgate
    tests/bench/soak.py --seconds 300                       # the same seed makes the same events
    tests/bench/soak.py --seconds 86400 --next build/release/beamgate_next
    tests/bench/soak.py --no-keepers                        # the control: ends with status 1 at the first kill

Events: SIGKILL of a worker, of a keeper, of a standby, of the master's keeper, of the master (a new one is started);
SIGHUP with other settings or another number of workers; SIGUSR2; and two of them at once.  The clients are an oracle
(tests/support/oracle.py), its publisher, and slow readers.
A round is some events, then as many workers as in the beginning and a look at what there is: processes, descriptors,
memory, memory that is shared, registrations in epoll sets whose file is gone.  The first round is there to warm up.
Status 1: a client saw a fault; or after the last round there are other processes, or more descriptors, than after the
second; or the later half of the rounds needed more memory than the half before it.
"""

import argparse
import contextlib
import os
import random
import re
import sys
import threading
import time
from collections import Counter, namedtuple
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGUSR2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import beamgate  # noqa: E402
import continuity  # noqa: E402
import ws_client  # noqa: E402
from oracle import Publisher  # noqa: E402

WORKERS = 2
WORKERS_MAX = 4
SETTLE_S = 120
QUIET_S = 30
TOGETHER_S = 1.5  # About what an upgrade takes.
RELOAD_ENDS = r"\breloaded\b|\breload_failed\b"
UPGRADE_ENDS = r"\bupgraded\b|\bupgrade_failed\b"
SPARE_FILES = 12  # Come and go with requests.
SPARE_BYTES = 16 << 20
SLOW_MESSAGES, SLOW_BYTES = 12, 100_000

Look = namedtuple("Look", "processes files bytes shared_bytes ghosts")


class SteadyPublisher(Publisher):
    """Not as fast as it can: each key is remembered for a while, and memory is to be flat."""

    def publish(self, connection, sequence):
        self.stopping.wait(0.02)
        return super().publish(connection, sequence)


class SlowReader(threading.Thread):
    """Asks for more than sockets hold, and reads the answers late."""

    def __init__(self, address, number):
        super().__init__(daemon=True)
        self.client = ws_client.connect(address, "/echo", timeout=SETTLE_S, receive_buffer=4096)
        self.number = number
        self.stopping = threading.Event()
        self.answers = 0
        self.error = None

    def run(self):
        try:
            while not self.stopping.is_set():
                asked = [f"{self.number} {self.answers + n} ".ljust(SLOW_BYTES, "s") for n in range(SLOW_MESSAGES)]
                for text in asked:
                    self.client.send(text)
                self.stopping.wait(1)
                for text in asked:
                    if self.client.recv() != text:
                        raise AssertionError(f"slow reader {self.number}: another answer")
                    self.answers += 1
            self.client.close()
        except BaseException as error:
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(SETTLE_S)


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
    """Of all files in memory that these processes have open."""
    sizes = {}
    for pid in pids:
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{number}").startswith("/memfd:"):
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


class Soak(continuity.TestCase):
    def begin(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.done = Counter()
        self.workers = WORKERS
        self.generation = 0
        self.under_way = None  # What tells in the log that it has ended, and from where on.
        self.start_copy(options.binary, workers=WORKERS, log_level="notice",
                        main="worker_keeper off;" if options.no_keepers else "").expect_deaths()
        self.binaries = [options.next or options.binary, options.binary]
        self.oracle = self.watch(connections=options.connections, busy=options.busy, subscribers=20, visitors=3,
                                 silence_max=60)
        self.publisher = SteadyPublisher(self.oracle, "room")
        self.publisher.start()
        self.slow = [SlowReader(self.running.address(), n) for n in range(options.slow)]
        for reader in self.slow:
            reader.start()

    # Events.

    def kill_one(self, title):
        pids = self.running.pids_titled(title)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.dice.choice(pids), SIGKILL)

    def kill_worker(self):
        self.kill_one("beamgate: worker process")

    def kill_keeper(self):
        self.kill_one("beamgate: keeper process")

    def kill_standby(self):
        self.kill_one("beamgate: standby keeper")

    def kill_master_keeper(self):
        self.kill_one("beamgate: master keeper")

    def kill_master(self):
        self.running.lose_master()
        self.running.start_another_master()

    def reload_settings(self):
        self.generation += 1
        extra = f"server {{ listen 127.0.0.1:0; location / {{ return 200 generation{self.generation}; }} }}"
        self.running.write_config(http=continuity.HTTP + extra * (self.generation % 2))
        self.tell(SIGHUP, RELOAD_ENDS)

    def resize(self, count=None):
        self.workers = count or self.dice.randint(1, WORKERS_MAX)
        self.running.write_config(workers=self.workers)
        self.tell(SIGHUP, RELOAD_ENDS)

    def upgrade(self):
        self.install(self.binaries[0])
        self.binaries.reverse()
        self.tell(SIGUSR2, UPGRADE_ENDS)

    def tell(self, number, ends):
        self.under_way = ends, self.running.log_mark()
        self.running.signal(number)

    EVENTS = (kill_worker, kill_worker, kill_keeper, kill_standby, kill_master_keeper, kill_master, reload_settings,
              resize, upgrade)
    TOGETHER = (kill_worker, kill_keeper, kill_standby)  # What may befall the others while they are under way.

    def happen(self, event):
        self.done[event.__name__] += 1
        event(self)

    def settle(self):
        """Until there are as many complete slots as configured, and clients have been heard."""
        def settled():
            if self.oracle.faults or self.options.no_keepers:
                return self.oracle.faults or len(self.running.worker_pids()) == self.workers
            return len(self.slots()) == self.workers and len(self.running.members()) == 2 + 3 * self.workers
        while self.under_way:
            ends, mark = self.under_way
            self.under_way = None
            if self.running.wait_log(ends, after=mark, timeout=SETTLE_S)[0] == "reload_failed":
                self.tell(SIGHUP, RELOAD_ENDS)  # A worker was killed while it prepared.
        beamgate.until(settled, SETTLE_S, f"{self.workers} complete slots and nothing else")
        self.oracle.wait_messages(self.options.busy * 10, SETTLE_S)

    def round(self):
        for _ in range(self.options.events):
            event = self.dice.choice(self.EVENTS)
            self.happen(event)
            if event not in self.TOGETHER and self.dice.random() < 0.7:
                self.publisher.stopping.wait(self.dice.random() * TOGETHER_S)
                self.happen(self.dice.choice(self.TOGETHER))
            self.settle()
        self.resize(WORKERS)
        self.settle()
        return self.look_when_quiet()

    # What there is.

    def look_when_quiet(self):
        """Once nothing is on its way between workers any more, or that does not come to an end."""
        deadline = time.monotonic() + QUIET_S
        before = None
        while True:
            look = self.look()
            quiet = before and look.ghosts == 0 and abs(look.files - before.files) <= SPARE_FILES // 2
            if quiet or time.monotonic() > deadline:
                return look
            before = look
            self.publisher.stopping.wait(1.5)

    def look(self):
        pids = self.running.members()
        memory = sum(beamgate.memory(pid)["Pss"] for pid in pids)
        return Look(len(pids), self.open_files(), memory, shared_bytes(pids), sum(map(ghosts, self.running.worker_pids())))

    def say(self, number, look):
        self.oracle.check()
        for reader in self.slow:
            if reader.error:
                raise reader.error
        print(f"round {number:4}  {time.monotonic() - self.began:7.0f} s  {sum(self.done.values()):6} events"
              f"  {look.processes} processes  {look.files} files  memory {look.bytes / (1 << 20):.1f} MiB"
              f"  shared {look.shared_bytes / (1 << 20):.1f} MiB  {look.ghosts} ghosts"
              f"  {self.oracle.messages:,} messages  {self.oracle.visits:,} visits", flush=True)

    def run_rounds(self):
        self.began = time.monotonic()
        looks = []
        while len(looks) < 3 or time.monotonic() - self.began < self.options.seconds:
            looks.append(self.round())
            self.say(len(looks), looks[-1])
        for reader in self.slow:
            reader.stop()
        self.publisher.stop()
        self.oracle.finish()
        return looks[1:]

    def grown(self, looks):
        """What there is more of than there was; text."""
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

    def soak(self, options):
        try:
            self.begin(options)
            grown = self.grown(self.run_rounds())
            slow = sum(reader.answers for reader in self.slow)
            print(f"{dict(sorted(self.done.items()))}; {self.running.log().count('worker_died')} workers died,"
                  f" {len(re.findall(r' upgraded ', self.running.log()))} upgrades,"
                  f" {len(re.findall(r'upgrade_failed', self.running.log()))} undone;"
                  f" {self.oracle.messages:,} messages, {slow:,} to slow readers, {self.oracle.visits:,} visits, 0 faults")
            return grown
        except BaseException:
            print(self.running.log(), file=sys.stderr)
            raise
        finally:
            self.doCleanups()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "beamgate")
    parser.add_argument("--next", type=Path, help="another build to upgrade to and back")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--events", type=int, default=8, help="in a round")
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--busy", type=int, default=20)
    parser.add_argument("--slow", type=int, default=4, help="readers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-keepers", action="store_true")
    options = parser.parse_args()
    os.environ["BEAMGATE_BINARY"] = str(options.binary)
    grown = Soak().soak(options)
    if grown:
        raise SystemExit("there is more than there was: " + "; ".join(grown))


if __name__ == "__main__":
    main()
