"""kill -9 of a worker without a keeper, under load: the others do not notice, and the place is filled again.

The killed worker's own connections end (with a keeper they do not: test_continuity_kill.py); everything else must
go on: the connections of other workers get every publication, the successor serves within 100 ms of the death, and
clients that come back are served.
"""

import os
import threading
import time
from signal import SIGKILL, SIGABRT

import beamgate
import http_client
import ws_client
from listeners import Listeners
from test_pubsub import HTTP

READY = r"\bworker_ready\b"
WITHOUT_KEEPER = "worker_keeper off;"
CLIENTS = 200
REPLACED_WITHIN_S = 5  # At once, and not after a pause; machines may be busy.


class Load(threading.Thread):
    """Publishes numbers until stopped, over new connections where the old one died with its worker."""

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.accepted = []
        self.unsure = set()  # The connection broke before the answer: accepted or not.
        self.stopping = threading.Event()
        self.moved = threading.Condition()
        self.error = None

    def run(self):
        try:
            number = 0
            while not self.stopping.is_set():
                number = self.publish_on_one_connection(number)
        except BaseException as error:
            self.error = error

    def publish_on_one_connection(self, number):
        try:
            connection = http_client.Connection(self.address)
        except ConnectionError:
            return number
        with connection:
            while not self.stopping.is_set():
                try:
                    response = connection.request("POST", "/api/publish?channel=room", {"Content-Type": "text/plain"},
                                                  str(number))
                except (OSError, EOFError):
                    self.unsure.add(number)
                    return number + 1
                if response.status != 200:
                    raise AssertionError(response)
                with self.moved:
                    self.accepted.append(number)
                    self.moved.notify_all()
                number += 1
        return number

    def wait_for(self, count):
        with self.moved:
            target = len(self.accepted) + count
            if not self.moved.wait_for(lambda: len(self.accepted) >= target or self.error, 30):
                raise AssertionError(f"no {count} more publications within 30 s")

    def stop(self):
        self.stopping.set()
        self.join(30)
        if self.error:
            raise self.error


class WorkerDeath(beamgate.TestCase):
    def kill_and_wait(self, gateway, victim, number=SIGKILL):
        """Kills a worker; gives the seconds until a new one is ready."""
        gateway.expect_deaths()
        mark = gateway.log_mark()
        begun = time.monotonic()
        os.kill(victim, number)
        gateway.wait_log(READY, after=mark, timeout=20)
        return time.monotonic() - begun

    def test_under_load(self):
        gateway = self.gateway(HTTP, main=WITHOUT_KEEPER, workers=4)
        listeners = self.track(Listeners(gateway.address(), "/hub/room", CLIENTS))
        load = Load(gateway.address())
        load.start()
        self.addCleanup(load.stopping.set)
        reading = threading.Thread(target=listeners.run, args=(load.stopping.is_set, 120))
        reading.start()
        load.wait_for(200)
        before = gateway.worker_pids()
        took = self.kill_and_wait(gateway, before[1])
        self.assertLess(took, REPLACED_WITHIN_S)
        load.wait_for(200)
        load.stop()
        reading.join(30)

        listeners.run(lambda: self.settled(listeners, load), 30)
        gone = CLIENTS - len(listeners.living())
        self.assertGreater(gone, 0, "the victim held some of the clients")
        self.assertLess(gone, CLIENTS * 3 // 4, "and the others kept theirs")
        numbers = [int(message) for message in listeners.messages]
        self.assertEqual(numbers, sorted(set(numbers)), "once, in order")
        self.assertEqual(set(load.accepted) - set(numbers), set(), "no accepted publication is lost")
        self.assertLessEqual(set(numbers) - set(load.accepted), load.unsure)
        self.assertEqual(set(gateway.worker_pids()) & {before[1]}, set())
        self.assertEqual(len(gateway.worker_pids()), 4)

    def settled(self, listeners, load):
        listeners.messages_so_far()
        return listeners.level() and str(load.accepted[-1]).encode() in listeners.messages[-3:]

    def test_clients_come_back(self):
        gateway = self.gateway(HTTP, main=WITHOUT_KEEPER, workers=1)
        with ws_client.connect(gateway.address(), "/hub/room") as client:
            self.kill_and_wait(gateway, gateway.worker_pids()[0])
            self.assertEqual(client.recv_close(), 1006)
        with ws_client.connect(gateway.address(), "/hub/room") as client:
            client.send("here again")
            self.assertEqual(client.recv(), "here again")

    def test_connections_that_wait_in_the_queue_of_the_dead_are_served_by_its_successor(self):
        """The master holds the listening sockets, so what connects between death and successor only waits."""
        gateway = self.gateway(HTTP, main=WITHOUT_KEEPER, workers=1)
        gateway.expect_deaths()
        os.kill(gateway.worker_pids()[0], SIGKILL)
        with ws_client.connect(gateway.address(), "/hub/room") as client:
            client.send("patient")
            self.assertEqual(client.recv(), "patient")

    def test_a_worker_that_keeps_dying_is_not_restarted_in_a_tight_loop(self):
        gateway = self.gateway(HTTP, main=WITHOUT_KEEPER, workers=2)
        gateway.expect_deaths()
        deaths = 5
        begun = time.monotonic()
        mark = gateway.log_mark()
        survivor = gateway.worker_pids()[0]
        for death in range(deaths):
            victim = beamgate.until(lambda: [p for p in gateway.worker_pids() if p != survivor], 30, "a victim")[0]
            os.kill(victim, SIGABRT if death % 2 else SIGKILL)
            gateway.wait_log(READY, count=death + 1, after=mark, timeout=30)
        self.assertGreater(time.monotonic() - begun, 0.35, "delays grow with the deaths: 50, 100, 200 ms")
        with ws_client.connect(gateway.address(), "/hub/room") as client:
            client.send("still there")
            self.assertEqual(client.recv(), "still there")

if __name__ == "__main__":
    beamgate.main()
