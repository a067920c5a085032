"""A worker that dies of what it serves: exactly that connection closes, everything else goes on.

Needs a build with BEAMGATE_FAULTS, where a message "fault:segv" to an echo location is one to die of.  Controls:
worker_keeper off, where a crash closes others too, and worker_watchdog 0, where a loop is not ended.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import beamgate
import continuity
import http_client
import ws_client
from wire import Timeout

# What a process says when it dies of an uncaught exception, or of the C library's checks.
LAST_WORDS = r"terminate called.*|what\(\):.*|free\(\): .*"
CRASHES = 8  # Fewer than make a slot begin anew without its connections.
PEER_ADDRESS_TO_COOKIE = 16  # Record: so_cookie, accepted_ms, peer_address.
RECORD_BYTES, CARRY = 256, 16


class Crash(continuity.TestCase):
    def die_of(self, fault, answer=(1006, 1011)):
        """Sends the fault on a connection of its own, which must close."""
        with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as guilty:
            guilty.send(f"fault:{fault}")
            self.assertIn(guilty.recv_close(), answer)

    def check_named(self, mark):
        self.running.wait_log(r"\bconnection=[0-9a-f]{16}\b.*\bdoing=\w+", after=mark)

    def test_only_a_build_for_tests_dies_on_demand(self):
        """No release does, and a build that does says so."""
        self.start()
        for_tests = "BEAMGATE_BUILT_WITH_FAULTS" in os.environ
        details = subprocess.run([beamgate.binary(), "-V"], capture_output=True, text=True).stderr
        self.assertEqual("fault injection: on" in details, for_tests)
        self.assertEqual(b".faults/" in Path(beamgate.binary()).read_bytes(), for_tests, "looks for planned faults")
        if not for_tests:
            with ws_client.connect(self.running.address(), "/echo") as client:
                client.send("fault:abort")
                self.assertEqual(client.recv(), "fault:abort")

    @continuity.needs_faults
    def test_a_client_that_no_record_knows_yet(self):
        """The worker dies between accept() and its step: the successor serves the client all the same."""
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="beamgate-test-"))
        listens = {"TCP": "127.0.0.1:0", "TCP, any address": "*:0", "Unix": f"unix:{directory}/socket"}
        for what, listen in listens.items():
            with self.subTest(listen=what):
                self.start_copy(http=f"server {{ listen {listen}; location = /echo {{ websocket echo; }} }}",
                                workers=1).expect_deaths()
                with ws_client.connect(self.running.address(), "/echo") as before:
                    fault = self.plan("client-accepted", "kill 1 once")
                    with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as client:
                        for each in (client, before):
                            each.send("still here?")
                            self.assertEqual(each.recv(), "still here?")
                self.assertFalse(fault.exists(), "it has happened")
                self.running.wait_log(r"worker_adopted connections=1 lost=0")
                self.running.stop()

    @continuity.needs_faults
    def test_each_way_of_dying_closes_the_guilty_connection_alone(self):
        faults = ["segv", "abort", "stack", "throw", "exit"]
        if not beamgate.sanitized():
            faults.append("double_free")  # A sanitizer ends the process its own way.
        self.start().expect_deaths(LAST_WORDS)
        oracle = self.watch(connections=100, busy=10, subscribers=5)
        for fault in faults:
            with self.subTest(fault=fault):
                mark = self.running.log_mark()
                self.die_of(fault)
                self.check_named(mark)
                self.running.wait_workers(2, continuity.SETTLE_S)
                oracle.wait_messages(200)
        oracle.finish()

    @continuity.needs_faults
    def test_control_without_keepers(self):
        self.start(main="worker_keeper off;", workers=1).expect_deaths(LAST_WORDS)
        oracle = self.watch(connections=20, busy=2)
        self.die_of("exit")  # A sanitizer would speak of anything else.
        oracle.wait_faults("closed", 20)

    @continuity.needs_faults
    def test_the_watchdog_ends_a_loop_and_its_connection(self):
        self.start(main="worker_watchdog 1s;", workers=1).expect_deaths(LAST_WORDS)
        oracle = self.watch(connections=50, busy=5)
        mark = self.running.log_mark()
        self.die_of("loop")
        self.check_named(mark)
        oracle.wait_messages(200)
        oracle.finish()

    @continuity.needs_faults
    def test_control_without_a_watchdog(self):
        self.start(main="worker_watchdog 0;", workers=1).expect_deaths()
        worker, = self.running.worker_pids()
        with ws_client.connect(self.running.address(), "/echo", timeout=3) as guilty:
            guilty.send("fault:loop")
            with self.assertRaises(Timeout):
                guilty.recv_close()
            self.assertTrue(beamgate.is_alive(worker), self.running.log())
            os.kill(worker, SIGKILL)

    @continuity.needs_faults
    def test_a_poisonous_publication_kills_each_worker_twice_at_most(self):
        self.start().expect_deaths(LAST_WORDS)
        oracle = self.watch(connections=50, busy=5, subscribers=20)
        before = self.running.worker_pids()
        mark = self.running.log_mark()
        with contextlib.suppress(ConnectionError, EOFError):  # The worker that asks for it may die before it answers.
            http_client.post(self.running.address(), "/api/publish?channel=room", "fault:segv",
                             {"Content-Type": "text/plain"}, timeout=continuity.SETTLE_S)
        self.running.wait_log(r"dead_letter|dead.lettered", after=mark, timeout=continuity.SETTLE_S)
        oracle.wait_messages(500)
        publisher = self.publish(oracle)
        oracle.wait_messages(500)
        publisher.stop()
        oracle.finish()
        deaths = [line for line in self.running.log().splitlines() if "worker_died" in line]
        self.assertLessEqual(len(deaths), 2 * len(before))

    @continuity.needs_faults
    def test_a_crash_loop_leaves_the_other_slot_alone(self):
        self.start().expect_deaths(LAST_WORDS)
        oracle = self.watch(connections=60, busy=6)
        other = self.running.worker_pids()[1]
        crashes = 0
        while crashes < CRASHES:
            with contextlib.suppress(ConnectionError, EOFError, ws_client.Closed, Timeout):
                with ws_client.connect(self.running.address(), "/echo", timeout=continuity.SETTLE_S) as guilty:
                    if other not in self.workers_of({guilty.wire.sock.getsockname()}).values():
                        guilty.send("fault:segv")
                        guilty.recv_close()
                        crashes += 1
        self.running.wait_workers(2, continuity.SETTLE_S)
        self.assertIn(other, self.running.worker_pids(), "the other worker lives")
        oracle.finish()

    def address_of(self, parts, client):
        """Offset of the peer address in the record of a client."""
        address, port = client.wire.sock.getsockname()
        known = [socket.inet_aton(address) + bytes(12) + port.to_bytes(2, order) for order in ("little", "big")]
        found = [start + data.find(key) for start, data in parts for key in known if key in data]
        self.assertEqual(len(found), 1, "places where the address is")
        return found[0]

    def test_corrupted_records_cost_their_own_connections(self):
        self.start(workers=1).expect_deaths()
        slot, = self.wait_slots(1)
        oracle = self.watch(connections=50, busy=5)
        clients = [self.track(ws_client.connect(self.running.address(), "/echo")) for _ in range(3)]
        for client in clients:
            client.send("well")
            self.assertEqual(client.recv(), "well")
        os.kill(slot.worker, SIGSTOP)
        with open(continuity.arena_path(slot.keeper), "r+b", buffering=0) as file:
            parts = list(continuity.used_parts(file.fileno()))
            file.seek(self.address_of(parts, clients[0]) - PEER_ADDRESS_TO_COOKIE)
            file.write(os.urandom(8))
            file.seek(self.address_of(parts, clients[1]) // RECORD_BYTES * RECORD_BYTES + CARRY)
            file.write(b"\xfe\xff\xff\x7f" * 4)  # Lengths and references far outside.
        os.kill(slot.worker, SIGKILL)
        self.wait_slots(1, without=[slot.worker])
        for client in clients[:2]:
            self.assertIn(client.recv_close(timeout=continuity.SETTLE_S), (1006, 1011))
        clients[2].send("still well")
        self.assertEqual(clients[2].recv(), "still well")
        oracle.wait_messages(200)
        oracle.finish()


if __name__ == "__main__":
    continuity.main()
