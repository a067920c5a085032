"""SIGKILL of workers and keepers under load: no connection is lost, and no byte is lost, doubled or reordered.

The control runs the same with worker_keeper off, where the oracle must see connections close.
"""

import os
from signal import SIGKILL, SIGSTOP

import continuity
import ws_client
from backend import Held, Reply


class Kill(continuity.TestCase):
    def test_workers_killed_at_random(self):
        self.start(env=continuity.LINGER).expect_deaths()
        self.kill_workers_under_load(connections=300)

    def test_control_without_keepers(self):
        self.start(main="worker_keeper off;").expect_deaths()
        oracle = self.watch(connections=100, busy=10)
        self.kill_workers(oracle, 1)
        oracle.wait_faults("closed")
        oracle.finish_quietly()
        self.assertEqual(set(oracle.kinds()), {"closed"})

    def test_a_webhook_in_flight_is_sent_again_under_the_same_id(self):
        app = self.backend()
        held = Held(Reply(200, "answer", {"Content-Type": "text/plain"}))
        app.on("beamgate.message", held)
        self.start(f"webhook app {{ url {app.url}/hook; }} server {{ listen 127.0.0.1:0;"
                   " location = /app { websocket raw; webhook app; } }", workers=1).expect_deaths()
        client = self.track(ws_client.connect(self.running.address(), "/app"))
        client.send("question")
        first = app.wait("beamgate.message")
        os.kill(self.running.worker_pids()[0], SIGKILL)
        again = app.wait("beamgate.message", count=2)
        self.assertEqual(again.header("webhook-id"), first.header("webhook-id"))
        self.assertEqual(again.body, first.body)
        held.release()
        self.assertEqual(client.recv(), "answer")
        client.send("another")
        self.assertEqual(client.recv(), "answer")
        self.assertNotEqual(app.wait("beamgate.message", count=3).header("webhook-id"), first.header("webhook-id"))
        client.close()
        app.wait_events("beamgate.disconnected")
        self.assertEqual((len(app.seen("beamgate.connect")), len(app.events("beamgate.connected"))), (1, 1),
                         "the successor opens nothing anew")

    def test_a_keeper_killed_and_then_its_worker(self):
        self.start(workers=1).expect_deaths()
        slot, = self.wait_slots(1)
        oracle = self.watch(connections=100, busy=10, subscribers=5)
        for role in ("keeper", "standby"):
            with self.subTest(role=role):
                os.kill(getattr(slot, role), SIGKILL)
                after, = self.wait_slots(1, without=[getattr(slot, role)])
                self.assertEqual(after.worker, slot.worker, "the worker does not notice")
                oracle.wait_messages(200)
                os.kill(after.worker, SIGKILL)
                slot, = self.wait_slots(1, without=[after.worker])
                oracle.wait_messages(200)
        oracle.finish()

    def test_a_keeper_and_its_worker_killed_at_once(self):
        self.start(workers=1).expect_deaths()
        slot, = self.wait_slots(1)
        oracle = self.watch(connections=100, busy=10, subscribers=5)
        for first, second in (("keeper", "worker"), ("worker", "keeper"), ("standby", "worker"), ("worker", "standby")):
            with self.subTest(first=first, second=second):
                victims = getattr(slot, first), getattr(slot, second)
                for victim in victims:
                    os.kill(victim, SIGKILL)
                slot, = self.wait_slots(1, without=victims)
                oracle.wait_messages(200)
        oracle.finish()

    def test_both_keepers_killed_and_then_the_worker(self):
        """The worker that is left gives its connections to a complete slot, again and again; then nobody is lost with
        any worker."""
        self.start(workers=2).expect_deaths()
        slots = self.wait_slots(2)
        oracle = self.watch(connections=300, busy=20, subscribers=20)
        publisher = self.publish(oracle)
        files = self.open_files()
        for _ in range(3):
            doomed = slots[0]
            mark = self.running.log_mark()
            self.kill_keepers(doomed)
            self.running.wait_log(r"\bworker_repaired\b.*\bleft=0\b", after=mark, timeout=continuity.SETTLE_S)
            slots = self.wait_slots(2, without=doomed)
            oracle.wait_messages(200)
        for slot in slots:
            os.kill(slot.worker, SIGKILL)
        slots = self.wait_slots(2, without=[slot.worker for slot in slots])
        oracle.wait_messages(200)
        publisher.stop()
        oracle.finish()
        self.check_nothing_left(files, 2)
        self.assertEqual(self.running.metrics()["beamgate_workers_repaired_total"], 3)

    def test_both_keepers_killed_while_there_is_no_master(self):
        """The next master sees what is missing."""
        self.start(workers=2).expect_deaths()
        doomed, other = self.wait_slots(2)
        oracle = self.watch(connections=100, busy=10)
        self.running.lose_master()
        self.kill_keepers(doomed)
        self.running.start_another_master()
        self.running.wait_log(r"\bworker_repaired\b", timeout=continuity.SETTLE_S)
        self.assertIn(other, self.wait_slots(2, without=doomed))
        oracle.wait_messages(200)
        oracle.finish()

    def test_a_whole_slot_killed_is_lost_alone_and_soon_back(self):
        self.start(workers=2).expect_deaths()
        doomed, other = self.wait_slots(2)
        oracle = self.watch(connections=100, busy=10)
        workers = self.workers_of({peer.name for peer in oracle.echoes})
        theirs = [peer for peer in oracle.echoes if workers[peer.name] == doomed.worker]
        self.assertTrue(0 < len(theirs) < 100)
        os.kill(doomed.worker, SIGSTOP)  # Nobody shall have the time to help it.
        self.kill_keepers(doomed)
        os.kill(doomed.worker, SIGKILL)
        after = self.wait_slots(2, without=doomed)
        self.assertIn(other, after)
        oracle.wait_faults("closed", len(theirs))
        with ws_client.connect(self.running.address(), "/echo") as client:
            client.send("back")
            self.assertEqual(client.recv(), "back")
        oracle.finish_quietly()
        self.assertEqual(oracle.kinds(), {"closed": len(theirs)})
        self.assertEqual({peer.state for peer in theirs}, {"ended"})


if __name__ == "__main__":
    continuity.main()
