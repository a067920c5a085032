"""SIGKILL of the master: workers serve on, and the next master that is started goes on with them.

What is published while there is no master comes later, once and in order; only what the dead one had in its hands is
lost, and its publisher is told.  The control runs with master_keeper off, where workers that lose their master end.
"""

import contextlib
import os
import random
import threading
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGQUIT, SIGTERM, SIGUSR2

import beamgate
import continuity
import http_client
import ws_client
import ws_frame
from oracle import Publisher, publication
from wire import Timeout

ROUNDS = 6 if not beamgate.sanitized() else 3


class Refused(Publisher):
    """A publisher that goes on when one of its publications may have been lost with the master."""

    refused = 0

    def publish(self, connection, sequence):
        connection = connection or http_client.Connection(self.oracle.address)
        response = connection.request("POST", f"/api/publish?channel={self.channel}", {"Content-Type": "text/plain"},
                                      publication(self.source, sequence))
        self.refused += response.status != 200
        return connection


class MasterCase(continuity.TestCase):
    def keeper(self):
        """The master's keeper, once there is one and no other."""
        return beamgate.until(lambda: len(found := self.running.pids_titled("beamgate: master keeper")) == 1 and found,
                              continuity.SETTLE_S, "one keeper of the master")[0]

    def publish_text(self, channel, text, key=None):
        headers = {"Content-Type": "text/plain", **({"Idempotency-Key": key} if key else {})}
        response = http_client.post(self.running.address(), f"/api/publish?channel={channel}", text, headers)
        self.assertEqual(response.status, 200, response)
        return response.json()["result"]


class Kill(MasterCase):
    def test_under_load(self):
        self.start().expect_deaths()
        oracle = self.watch(connections=200, busy=20)
        self.wait_slots(2)
        files = self.open_files()
        for _ in range(ROUNDS):
            workers = self.running.worker_pids()
            self.running.lose_master()
            oracle.wait_messages(200)
            self.running.start_another_master()
            self.assertEqual(self.running.worker_pids(), workers, "the same workers")
            self.keeper()
            oracle.wait_messages(200)
        self.reload()
        oracle.wait_messages(200)
        self.reload(workers=3, result=r"\bresized workers=3")
        oracle.wait_messages(200)
        self.reload(workers=2, result=r"\bresized workers=2")
        self.wait_slots(2)
        self.upgrade()
        oracle.wait_messages(200)
        oracle.finish()
        self.check_nothing_left(files, 2)
        self.running.stop()
        self.assertFalse(self.running.path("beamgate.pid.keeper").exists())

    def test_while_much_is_published(self):
        self.start().expect_deaths()
        oracle = self.watch(connections=20, busy=2, subscribers=20, talkers=0)
        publishers = [Refused(oracle, "room", name) for name in ("a", "b", "c")]
        for publisher in publishers:
            self.addCleanup(publisher.stopping.set)
            publisher.start()

        def hear(count):
            target = oracle.messages + count
            oracle.wait_for(lambda: oracle.messages >= target, "more messages", continuity.SETTLE_S)

        for _ in range(ROUNDS):
            hear(500)
            self.running.lose_master()
            self.running.start_another_master()
        hear(500)
        for publisher in publishers:
            publisher.stop()
        oracle.finish_quietly()
        self.assertLessEqual(set(oracle.kinds()), {"gap"}, oracle.text())
        # Every subscriber misses at most what was under way: each publisher has one publication at a time.
        self.assertLessEqual(oracle.kinds()["gap"], ROUNDS * 20 * len(publishers), oracle.text())
        self.assertLessEqual(sum(publisher.refused for publisher in publishers), ROUNDS * len(publishers))

    def test_control_without_its_keeper(self):
        self.start(main="master_keeper off; worker_shutdown_timeout 1s;").expect_deaths()
        oracle = self.watch(connections=50, busy=5)
        self.assertEqual(self.running.pids_titled("beamgate: master keeper"), [])
        self.running.lose_master()
        oracle.wait_faults("closed", 50)
        oracle.finish_quietly()
        beamgate.until(lambda: not self.running.members(), continuity.SETTLE_S, "the end of all workers")

    def test_in_the_middle_of_reloads_and_upgrades(self):
        """Whatever the dead master was about to do: its successor ends it, and all are served meanwhile."""
        self.start_copy().expect_deaths()
        oracle = self.watch(connections=100, busy=10)
        dice = random.Random(5)
        for number in range(2 * ROUNDS):
            mark = self.running.log_mark()
            if number % 2:
                self.running.write_config(workers=2 + number % 3)
                self.running.signal(SIGHUP)
                begun = dice.choice([r"signal number=1\b", r"configuration_in_force", r"\breloaded\b", r"move_started",
                                     r"connections_moved"])
            else:
                self.running.signal(SIGUSR2)
                begun = dice.choice([r"upgrade_executes", r"worker_started", r"worker_ready", r"move_started",
                                     r"connections_moved", r"\bupgraded\b"])
            try:
                self.running.wait_log(begun, after=mark, timeout=5)
            except Timeout:
                pass  # Nothing had to move: it is as good a moment as any other.
            self.running.lose_master()
            oracle.wait_messages(100)
            self.running.start_another_master()
            oracle.wait_messages(100)
        self.reload(workers=2)
        self.wait_slots(2)
        oracle.wait_messages(100)
        oracle.finish()

    def test_workers_die_while_there_is_none(self):
        self.start().expect_deaths()
        slots = self.wait_slots(2)
        oracle = self.watch(connections=100, busy=10, subscribers=5, talkers=0)
        self.running.lose_master()
        os.kill(slots[0].worker, SIGKILL)
        self.wait_slots(2, without=[slots[0].worker])
        os.kill(slots[1].keeper, SIGKILL)
        self.wait_slots(2, without=[slots[1].keeper])
        oracle.wait_messages(200)
        self.running.start_another_master()
        os.kill(slots[1].worker, SIGKILL)
        self.wait_slots(2, without=[slots[1].worker])
        self.publish_text("room", publication(b"h", 1).decode())
        oracle.published[b"h"] = 1
        oracle.wait_messages(200)
        oracle.finish()

    def test_a_whole_slot_dies_afterwards(self):
        """It is no child of the new master, which notices all the same."""
        self.start().expect_deaths()
        doomed, other = self.wait_slots(2)
        self.running.lose_master()
        self.running.start_another_master()
        for pid in (doomed.keeper, doomed.standby, doomed.worker):
            os.kill(pid, SIGKILL)
        after = self.wait_slots(2, without=doomed)
        self.assertIn(other, after)


class Hub(MasterCase):
    def test_what_is_published_meanwhile_comes_later_and_in_order(self):
        self.start().expect_deaths()
        address = self.running.address()
        readers = [self.track(ws_client.connect(address, "/hub/room")) for _ in range(6)]
        writer = self.track(ws_client.connect(address, "/hub/room"))
        before = [self.publish_text("room", f"before {n}") for n in range(3)]
        self.running.lose_master()
        for number in range(200):
            writer.send(f"meanwhile {number}")
        self.running.start_another_master()
        after = self.publish_text("room", "after")
        self.assertEqual((after["epoch"], after["offset"]), (before[0]["epoch"], before[-1]["offset"] + 201))
        expected = [f"before {n}" for n in range(3)] + [f"meanwhile {n}" for n in range(200)] + ["after"]
        for reader in [*readers, writer]:
            self.assertEqual([reader.recv() for _ in expected], expected)

    def test_a_publication_waits_for_the_new_master(self):
        self.start().expect_deaths()
        self.running.lose_master()
        connection = self.track(http_client.Connection(self.running.address()))
        connection.send_request("POST", "/api/publish?channel=room", {"Content-Type": "text/plain"}, b"x")
        self.running.start_another_master()
        self.assertEqual(connection.read_response().status, 200)

    def test_subscriptions_made_meanwhile_are_complete_later(self):
        self.start().expect_deaths()
        self.running.lose_master()
        late = self.track(http_client.Connection(self.running.address()))
        late.send(ws_frame.handshake("late", "/hub/late", ws_frame.make_key()))
        self.running.start_another_master()
        response = late.read_head()
        self.assertEqual(response.status, 101, response)
        self.publish_text("late", "hello")
        client = ws_client.WebSocket(late.wire, response)
        self.assertEqual(client.recv(), "hello")

    def test_more_than_the_queue_holds_is_back_pressure(self):
        patient = ('server { listen 127.0.0.1:0; location = /hub { websocket raw; websocket_subscribe room;'
                   ' websocket_publish room; websocket_send_queue 64m; } }')
        self.start(patient, workers=1).expect_deaths()
        writer = self.track(ws_client.connect(self.running.address(), "/hub"))
        reader = self.track(ws_client.connect(self.running.address(), "/hub"))
        self.running.lose_master()
        text = "x" * 60_000
        count = 400  # 24 MB: three times what a worker keeps.
        sender = threading.Thread(target=lambda: [writer.send(f"{n} {text}") for n in range(count)], daemon=True)
        sender.start()
        self.running.start_another_master()
        for number in range(count):
            self.assertEqual(reader.recv().split(" ")[0], str(number))
        sender.join(continuity.SETTLE_S)

    def test_channels_nobody_listens_to_begin_anew(self):
        """Documented: their numbers and the idempotency keys were the dead master's alone."""
        self.start().expect_deaths()
        before = self.publish_text("empty", "x", key="k")
        self.assertEqual(self.publish_text("empty", "x", key="k"), before)
        self.running.lose_master()
        self.running.start_another_master()
        after = self.publish_text("empty", "x", key="k")
        self.assertNotEqual(after["epoch"], before["epoch"], "nobody can take its offsets for the old ones")
        self.assertEqual(after["offset"], 1)


class Administration(MasterCase):
    def test_its_keeper_is_replaced(self):
        self.start().expect_deaths()
        keeper = self.keeper()
        os.kill(keeper, SIGTERM)  # It is nobody's to stop so.
        os.kill(keeper, SIGKILL)
        beamgate.until(lambda: self.keeper() != keeper, continuity.SETTLE_S, "another keeper")
        oracle = self.watch(connections=20, busy=2)
        self.running.lose_master()
        self.running.start_another_master()
        oracle.wait_messages(100)
        oracle.finish()

    def test_both_killed_leaves_workers_that_end(self):
        self.start(main="worker_shutdown_timeout 1s;").expect_deaths()
        keeper = self.keeper()
        self.running.process.send_signal(SIGKILL)
        os.kill(keeper, SIGKILL)
        self.running.process.wait()
        beamgate.until(lambda: not self.running.members(), continuity.SETTLE_S, "the end of all workers")
        mark = self.running.log_mark()
        self.running.start(wait=False)
        self.running.wait_log(r"\bready workers=2", after=mark, timeout=continuity.SETTLE_S)

    def test_no_worker_left_is_a_fresh_start(self):
        self.start().expect_deaths()
        self.wait_slots(2)
        self.running.lose_master()

        def kill_all_but_its_keeper():  # Again and again: a standby may have made another before it dies.
            members = self.running.members()
            for pid in members:
                with contextlib.suppress(OSError):
                    if "master keeper" not in beamgate.command_line(pid):
                        os.kill(pid, SIGKILL)
            return not members

        beamgate.until(kill_all_but_its_keeper, continuity.SETTLE_S, "the end of the master's keeper")
        mark = self.running.log_mark()
        self.running.start(wait=False)
        self.running.wait_log(r"\bready workers=2", after=mark, timeout=continuity.SETTLE_S)

    def test_a_zombie_does_not_hold_the_pid_file(self):
        """A container without an init has nobody who would wait for the dead master."""
        self.start().expect_deaths()
        self.wait_slots(2)
        dead = self.running.process
        self.addCleanup(dead.wait)
        os.kill(dead.pid, SIGKILL)
        beamgate.until(lambda: not beamgate.is_alive(dead.pid), continuity.SETTLE_S, "the master's end")
        self.assertEqual(self.running.run("-s", "reload").returncode, 1)
        mark = self.running.log_mark()
        self.running.start_another_master()
        self.assertEqual(Path(f"/proc/{dead.pid}/comm").read_text(), "beamgate\n", "nobody has waited for it")
        self.assertEqual(self.running.path("beamgate.pid").read_text(), f"{self.running.pid}\n")
        self.assertEqual(self.running.run("-s", "reload").returncode, 0)
        self.running.wait_log(r"\breloaded\b", after=mark, timeout=continuity.SETTLE_S)

    def test_a_second_gateway_is_refused(self):
        self.start()
        self.running.path("beamgate.pid").unlink()
        second = self.running.run()
        self.assertEqual(second.returncode, 1)
        self.assertIn("a living master", second.stderr)
        self.assertIn(f'no living process by the pid file "{self.running.path("beamgate.pid")}"', second.stderr)
        self.running.path("beamgate.pid").write_text(f"{self.running.pid}\n")
        self.assertIn(f"process {self.running.pid} by the pid file", self.running.run().stderr)
        self.assertEqual(http_client.get(self.running.address(), "/status").status, 200)

    def test_another_configuration_is_applied(self):
        self.start().expect_deaths()
        oracle = self.watch(connections=40, busy=4)
        self.running.lose_master()
        self.running.write_config(workers=3)
        mark = self.running.log_mark()
        self.running.start_another_master()
        self.running.wait_log(r"\bresized workers=3", after=mark, timeout=continuity.SETTLE_S)
        oracle.wait_messages(100)
        oracle.finish()

    def test_a_wrong_configuration_does_not_start_and_harms_nobody(self):
        self.start().expect_deaths()
        oracle = self.watch(connections=40, busy=4)
        good = self.running.config_path.read_text()
        self.running.lose_master()
        self.running.write_config(config="nonsense;")
        failed = self.running.run()
        self.assertEqual(failed.returncode, 1)
        self.assertIn("nonsense", failed.stderr)
        oracle.wait_messages(100)
        self.running.write_config(config=good)
        self.running.start_another_master()
        oracle.wait_messages(100)
        oracle.finish()

    def test_the_command_says_that_there_is_no_master(self):
        self.start().expect_deaths()
        self.running.lose_master()
        answer = self.running.run("-s", "reload")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("no running master", answer.stderr)
        self.running.start_another_master()
        mark = self.running.log_mark()
        self.assertEqual(self.running.run("-s", "reload").returncode, 0)
        self.running.wait_log(r"\breloaded\b", after=mark)

    def test_a_graceful_stop_afterwards(self):
        self.start().expect_deaths()
        client = self.track(ws_client.connect(self.running.address(), "/echo"))
        self.running.lose_master()
        self.running.start_another_master()
        self.running.signal(SIGQUIT)
        self.assertEqual(client.recv_close(), 1001)
        self.running.check_ended()


continuity.main()
