"""Workers give up what they don't need of the kernel, whoever they are: first ones, successors, those of an upgrade.

What they have given up is read from /proc/PID/status.  In a build with BEAMGATE_FAULTS a worker also tries what only
somebody would try who has taken it over (execve), and what a library of another version might (mkdir).  Control:
worker_sandbox off, where neither is refused.
"""

import os
from signal import SIGHUP, SIGKILL, SIGUSR2

import beamgate
import continuity
import ws_client

LAST_WORDS = r"a worker made system call \d+.*"
EXECVE = {"x86_64": 59, "aarch64": 221}[os.uname().machine]
NOTHING = "0" * 16


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Sandbox(continuity.TestCase):
    def check(self, seccomp="2"):
        workers = self.running.worker_pids()
        self.assertTrue(workers)
        for pid in workers:
            found = status(pid)
            self.assertEqual((found["Seccomp"], found["NoNewPrivs"]), (seccomp, "1"), found)
            if seccomp == "2":
                for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    self.assertEqual(found[name], NOTHING, name)
                if os.geteuid() == 0:
                    self.assertEqual(found["CapBnd"], NOTHING)
        self.assertNotRegex(self.running.log(), r"system_call_refused|worker_sandbox_incomplete")
        return set(workers)

    def renewed(self, before):
        beamgate.until(lambda: len(self.running.worker_pids()) == 2 and not before & set(self.running.worker_pids()),
                       continuity.SETTLE_S, "other workers")
        self.running.wait_workers(2, continuity.SETTLE_S)

    def test_workers_of_every_kind_are_in_it(self):
        self.start_copy().expect_deaths()
        oracle = self.watch(connections=40, busy=4)
        before = self.check()
        mark = self.running.log_mark()
        self.running.signal(SIGHUP)
        self.running.wait_log(r"configuration_in_force", count=2, after=mark, timeout=continuity.SETTLE_S)
        self.assertEqual(self.check(), before)

        mark = self.running.log_mark()
        for pid in before:
            os.kill(pid, SIGKILL)
        self.running.wait_log(r"worker_adopted", count=2, after=mark, timeout=continuity.SETTLE_S)
        self.renewed(before)
        before = self.check()

        mark = self.running.log_mark()
        self.running.signal(SIGUSR2)
        self.running.wait_log(r"\bupgraded\b", after=mark, timeout=continuity.SETTLE_S)
        self.renewed(before)
        before = self.check()

        self.running.lose_master()
        self.check()
        self.running.start_another_master()
        self.assertEqual(self.check(), before)
        oracle.wait_messages(100)
        oracle.finish()

    def test_nothing_that_the_master_executes_gets_more_rights_either(self):
        self.start()
        self.assertEqual(status(self.running.pid)["NoNewPrivs"], "1")
        for title, count in (("keeper", 2), ("standby keeper", 2), ("master keeper", 1)):
            found = self.running.pids_titled(f"beamgate: {title} process")
            self.assertEqual([status(pid)["NoNewPrivs"] for pid in found], ["1"] * count, title)

    def test_control_it_can_be_switched_off(self):
        self.start(main="worker_sandbox off;")
        self.check(seccomp="0")

    @continuity.needs_faults
    def test_a_worker_that_executes_something_dies_and_its_connection_alone(self):
        self.start().expect_deaths(LAST_WORDS)
        oracle = self.watch(connections=50, busy=5)
        mark = self.running.log_mark()
        with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as guilty:
            guilty.send("fault:exec")
            self.assertIn(guilty.recv_close(), (1006, 1011))
        self.running.wait_log(r"connection_blamed", after=mark, timeout=continuity.SETTLE_S)
        self.assertRegex(self.running.log(), rf"a worker made system call {EXECVE}\b")
        oracle.wait_messages(100)
        oracle.finish()

    @continuity.needs_faults
    def test_a_call_that_is_not_on_the_list_fails_and_is_told_and_counted(self):
        self.start()
        with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as client:
            client.send("fault:mkdir")
            self.assertEqual(client.recv(), "fault:mkdir")  # It goes on.
        self.running.wait_log(r"system_call_refused call=mkdir", timeout=continuity.SETTLE_S)
        beamgate.until(lambda: self.running.metrics()["beamgate_system_calls_refused_total"] == 1, continuity.SETTLE_S)
        self.assertFalse(os.path.exists("/tmp/beamgate-never"))

    @continuity.needs_faults
    def test_control_without_it_programs_are_executed(self):
        self.start(main="worker_sandbox off; worker_keeper off;", workers=1).expect_deaths()
        worker, = self.running.worker_pids()
        with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as guilty:
            guilty.send("fault:exec")  # It becomes /bin/true, and ends.
            guilty.recv_close()
        self.running.wait_log(rf"worker_exited.*child={worker} status=0", timeout=continuity.SETTLE_S)


if __name__ == "__main__":
    beamgate.main()
