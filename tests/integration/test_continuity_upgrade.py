"""USR2 under load: another binary takes over, and no client notices; one that can't leaves all as it was.

Between two builds whose records have another layout (BEAMGATE_NEXT).  What shows that anything happened: the version
that /status tells, and other worker processes under the same master process id.
"""

import os
import subprocess
from signal import SIGHUP, SIGKILL, SIGUSR2

import beamgate
import continuity
import http_client
from continuity import HTTP

ROUNDS = 2


class Upgrade(continuity.TestCase):
    def wait_version(self, next_one):
        beamgate.until(lambda: self.version().endswith("-next") == next_one, continuity.SETTLE_S, "the other version")

    def publish_with_key(self, key):
        response = http_client.post(self.running.address(), "/api/publish?channel=side", "text",
                                    {"Content-Type": "text/plain", "Idempotency-Key": key})
        self.assertEqual(response.status, 200, response)
        return response.json()["result"]

    @continuity.needs_next
    def test_there_and_back_under_load(self):
        self.start_copy()
        oracle = self.watch(connections=300, busy=20, subscribers=20, visitors=3)
        publisher = self.publish(oracle)
        before = [self.publish_with_key(f"key-{n}") for n in range(3)]
        files = self.open_files()
        self.assertFalse(self.version().endswith("-next"))
        for number in range(ROUNDS):
            for next_one, binary in ((True, os.environ["BEAMGATE_NEXT"]), (False, beamgate.binary())):
                with self.subTest(round=number, next=next_one):
                    self.install(binary)
                    self.upgrade()
                    self.wait_version(next_one)
                    oracle.wait_messages(300)
                    oracle.wait_visits(20)
        self.assertIsNone(self.running.process.poll(), "the master is the same process")
        self.assertEqual([self.publish_with_key(f"key-{n}") for n in range(3)], before, "keys are remembered")
        more = self.publish_with_key("another")
        self.assertEqual((more["epoch"], more["offset"]), (before[-1]["epoch"], before[-1]["offset"] + 1))
        publisher.stop()
        oracle.finish()
        self.check_nothing_left(files, 2)

    def test_with_few_descriptors_to_spare(self):
        """A move holds no connection twice in one process: the limit is hardly above what there is."""
        self.start_copy(main="worker_rlimit_nofile 700;", events="worker_connections 500;", workers=1)
        oracle = self.watch(connections=450, busy=10)
        for _ in range(2):
            self.upgrade()
            oracle.wait_messages(100)
        oracle.finish()

    def test_to_the_same_binary(self):
        self.start_copy()
        oracle = self.watch(connections=100, busy=10, subscribers=5, visitors=2)
        for _ in range(3):
            self.upgrade()
            oracle.wait_messages(100)
        self.reload()
        oracle.finish()

    def test_a_new_worker_that_dies_on_trial(self):
        """A few connections meet the new code first; nobody else does when it fails them."""
        self.trial = "60s"
        self.start_copy().expect_deaths()
        oracle = self.watch(connections=300, busy=20, subscribers=10)
        old = self.running.worker_pids()
        mark = self.running.log_mark()
        self.running.signal(SIGUSR2)
        self.running.wait_log(r"replacement_on_trial slot=\d+ connections=64", count=2, after=mark, timeout=continuity.SETTLE_S)
        new = sorted(set(self.running.worker_pids()) - set(old))
        self.assertEqual(len(new), 2)
        oracle.wait_messages(200)
        os.kill(new[0], SIGKILL)
        reason = self.running.wait_log(r'upgrade_failed reason="(.*)"', after=mark, timeout=continuity.SETTLE_S)
        self.assertIn("on trial", reason.group(1))
        beamgate.until(lambda: self.running.worker_pids() == old, continuity.SETTLE_S, "the old workers alone")
        oracle.wait_messages(200)
        self.running.write_config(main="upgrade_trial 50ms;")
        self.reload()
        self.upgrade()
        oracle.wait_messages(200)
        oracle.finish()

    def bad_binaries(self):
        """Name to what is done to the installed file."""
        def script(text):
            def install():
                path = self.installed.with_suffix(".script")
                path.write_text("#!/bin/sh\n" + text)
                self.install(path)
            return install

        asked = subprocess.run([beamgate.binary(), "--handover-version"], capture_output=True, text=True)
        answers = f'case " $* " in *" -t "*) exit 0;; *--handover-version*) echo "{asked.stdout.strip()}"; exit 0;; esac\n'
        return {"missing": self.installed.unlink,
                "not executable": lambda: self.installed.chmod(0o644),
                "fails the test": script("exit 1\n"),
                "knows no handover": script('case " $* " in *" -t "*) exit 0;; esac\nexit 1\n'),
                "ends at once": script(answers + "exit 3\n"),
                "dies at once": script(answers + "kill -SEGV $$\n")}

    def check_unchanged(self, oracle, pids, mark):
        self.running.wait_log(r"\bupgrade_(failed|refused)\b.*\breason=", after=mark, timeout=continuity.SETTLE_S)
        oracle.wait_messages(100)
        oracle.wait_visits(3)
        self.assertEqual(self.running.worker_pids(), pids)
        self.assertIsNone(self.running.process.poll())

    def test_a_binary_that_is_no_good_changes_nothing(self):
        self.start_copy()
        oracle = self.watch(connections=100, busy=10, subscribers=5, visitors=2)
        pids = self.running.worker_pids()
        for name, spoil in self.bad_binaries().items():
            with self.subTest(name):
                self.install(beamgate.binary())
                spoil()
                mark = self.running.log_mark()
                self.running.signal(SIGUSR2)
                self.check_unchanged(oracle, pids, mark)
        self.install(beamgate.binary())
        self.upgrade()
        oracle.finish()

    def test_a_broken_configuration_changes_nothing(self):
        self.start_copy()
        oracle = self.watch(connections=100, busy=10, visitors=2)
        pids = self.running.worker_pids()
        self.running.write_config(http=HTTP.replace("websocket echo", "websocket echoo"))
        mark = self.running.log_mark()
        self.running.signal(SIGUSR2)
        self.check_unchanged(oracle, pids, mark)
        self.running.write_config(http=HTTP)
        self.upgrade()
        oracle.finish()

    @continuity.needs_next
    def test_signals_meanwhile_are_queued_or_refused(self):
        self.start_copy()
        oracle = self.watch(connections=100, busy=10, subscribers=5, visitors=2)
        self.install(os.environ["BEAMGATE_NEXT"])
        for number in (SIGUSR2, SIGHUP, SIGUSR2, SIGHUP, SIGHUP, SIGUSR2):
            self.running.signal(number)
            oracle.wait_messages(5)
        self.wait_version(True)
        self.running.wait_workers(2, continuity.SETTLE_S)
        oracle.wait_messages(200)
        self.reload()
        self.running.wait_workers(2, continuity.SETTLE_S)
        oracle.finish()

    def test_control_the_oracle_sees_a_restart(self):
        self.start_copy()
        oracle = self.watch(connections=20, busy=2, subscribers=2)
        self.running.stop()
        oracle.wait_faults("closed", 22)


if __name__ == "__main__":
    continuity.main()
