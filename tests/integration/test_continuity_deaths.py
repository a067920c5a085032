"""A worker dies in the middle of a move, at every step of it: each connection goes on in exactly one place.

Needs a build with BEAMGATE_FAULTS, where files beside the binary say at which points processes die (common/fault);
the file of a fault that happens once is gone afterwards, which shows that it has happened.  The moves are those of an
upgrade: of the binary to itself, or to one with faults that the old one has not, which must be undone.
Control: without keepers, the connections of who dies are closed.
"""

import contextlib
import os
import re
from collections import Counter

import beamgate
import continuity

CONNECTIONS, SUBSCRIBERS = 400, 20
BATCH = 64  # Connections that move together.
NEW_SLOTS = 128  # From this number on, when the old ones are below.
TIMES = (1, 3) if not beamgate.sanitized() else (2,)  # At which batch.


@continuity.needs_faults
class Deaths(continuity.TestCase):
    def begin(self, **options):
        self.start_copy(**options).expect_deaths()
        self.oracle = self.watch(connections=CONNECTIONS, busy=20, subscribers=SUBSCRIBERS, silence_max=60,
                                 sources=0)  # So that a port is one client's.
        self.publisher = self.publish(self.oracle)
        return self.oracle

    def holders(self):
        """How many workers have each client's connection."""
        count = Counter()
        ends = {peer.name for peer in self.oracle.echoes + self.oracle.subscribers}
        for pid in self.running.worker_pids():
            count.update(list(self.workers_of(ends, [pid])))
        return [count[end] for end in ends]

    def check_each_in_one_place(self, slots=2):
        self.running.wait_workers(slots, continuity.SETTLE_S)
        everybody = CONNECTIONS + SUBSCRIBERS
        beamgate.until(lambda: self.holders() == [1] * everybody, continuity.SETTLE_S,
                       "every connection held by exactly one worker")
        def known():
            with contextlib.suppress(AssertionError, KeyError, OSError, EOFError):
                return everybody <= sum(self.connections_per_worker().values()) <= everybody + 2  # Publisher, question.
        beamgate.until(known, continuity.SETTLE_S, "every connection counted once")

    def finish(self):
        self.publisher.stop()
        self.oracle.finish()

    def test_at_every_step(self):
        self.begin()
        files = self.open_files()
        for step in continuity.STEPS:
            for time in TIMES:
                with self.subTest(step=step, time=time):
                    path = self.plan(step, f"kill {time} once")
                    self.try_upgrade()
                    self.assertFalse(path.exists(), "nobody came to that point")
                    self.oracle.wait_messages(200)
                    self.check_each_in_one_place()
        self.assertIn(" upgraded ", self.try_upgrade()[-1])
        self.oracle.wait_messages(200)
        self.finish()
        self.check_nothing_left(files, 2)

    # Another binary, which is no good.

    def check_undone(self, point, fault, reason):
        """The old version serves again, and the log says why."""
        self.begin()
        before = self.running.worker_pids()
        self.install(beamgate.binary())  # The one that runs has no faults from now on.
        self.plan(point, fault)
        lines = "\n".join(self.try_upgrade())
        self.assertRegex(lines, rf"\bupgrade_undone\b.*\breason=.*{reason}")
        self.assertRegex(lines, rf"\bupgrade_failed\b.*\breason=.*{reason}")
        self.assertEqual(self.running.worker_pids(), before, "those from before the upgrade")
        self.assertIsNone(self.running.process.poll(), "the master is the same process")
        self.oracle.wait_messages(200)
        self.check_each_in_one_place()
        self.install(beamgate.binary())
        os.unlink(f"{self.installed}.faults/{point}")
        self.assertRegex(self.try_upgrade()[-1], r"\bupgraded\b")
        self.finish()
        self.running.stop()  # The exit status is 0 all the same.
        return lines

    def check_crashes(self, point, fault):
        lines = self.check_undone(point, fault, "(the destination died|the other worker)")
        self.assertRegex(lines, r"\bworker_died\b.*\bsignal=11\b.*\bcause=crashed\b")
        return lines

    def moved_to_new(self, lines):
        """How many connections each of the moves to new workers has moved."""
        ends = re.findall(r"\bmove_ended\b.*\bto=(\d+) moved=(\d+)", lines)
        return [int(moved) for slot, moved in ends if int(slot) >= NEW_SLOTS]

    def test_a_new_worker_that_dies_before_it_serves(self):
        self.check_undone("worker-begun", "exit", "the new worker died before it was ready")

    def test_a_new_worker_that_crashes_at_the_first_offer(self):
        lines = self.check_crashes("destination-offered", "segv")
        self.assertEqual(set(self.moved_to_new(lines)), {0})

    def test_a_new_worker_that_crashes_between_prepared_and_commit(self):
        self.check_crashes("destination-prepared", "segv")

    def test_a_new_worker_that_crashes_after_half_is_committed(self):
        lines = self.check_crashes("destination-done", f"segv {CONNECTIONS // 2 // BATCH // 2 + 1}")
        self.assertGreaterEqual(max(self.moved_to_new(lines)), BATCH, "what is served by the old ones has come back")

    def test_control_without_keepers(self):
        self.begin(main="worker_keeper off;")
        self.plan("destination-done", "kill 2 once")
        self.try_upgrade()
        self.oracle.wait_faults("closed", BATCH)
        self.publisher.stopping.set()
        self.oracle.finish_quietly()


if __name__ == "__main__":
    continuity.main()
