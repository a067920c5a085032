"""HUP under load: no connection notices, whether settings change or the number of workers does.

What shows that anything moved at all: connections are found at other workers than before, and the workers that are
gone are gone at once, without any client having been told to leave.
"""

import beamgate
import continuity
import http_client
from continuity import HTTP

RELOADS = 20 if not beamgate.sanitized() else 6
SPREAD = 0.1  # Of the mean: how far from it a worker may be after a rebalance.


class Reload(continuity.TestCase):
    def wait_balance(self, workers, connections):
        """Until so many workers have about as many connections each, and all together all of them."""
        def balanced():
            try:
                counts = list(self.connections_per_worker().values())
            except (AssertionError, KeyError, OSError, EOFError):
                return False
            mean = connections / workers
            # The question itself is a connection, and visitors come and go.
            return (len(counts) == workers and sum(counts) >= connections and
                    all(abs(count - mean) <= mean * SPREAD + 3 for count in counts))
        beamgate.until(balanced, continuity.SETTLE_S, f"{connections} connections spread over {workers} workers")

    def test_many_under_load(self):
        self.start()
        oracle = self.watch(connections=200, busy=20, subscribers=20, visitors=3)
        publisher = self.publish(oracle)
        for number in range(RELOADS):
            extra = f"server {{ listen 127.0.0.1:0; location / {{ return 200 generation{number}; }} }}"
            self.reload(http=HTTP + (extra if number % 2 else ""))
            oracle.wait_messages(100)
        oracle.wait_visits(20)
        publisher.stop()
        oracle.finish()

    def test_more_and_fewer_workers(self):
        connections = 400
        self.start(main="worker_shutdown_timeout 60s;")
        oracle = self.watch(connections=connections, busy=20, subscribers=20, visitors=3)
        publisher = self.publish(oracle)
        connections += 20
        for workers in (4, 1, 2):
            before = self.workers_of({peer.name for peer in oracle.echoes})
            self.reload(workers=workers)
            self.running.wait_workers(workers, continuity.SETTLE_S)
            self.wait_balance(workers, connections)
            oracle.wait_messages(200)
            oracle.wait_visits(20)
            after = self.workers_of(before)
            self.assertTrue([end for end in before if after.get(end) != before[end]],
                            "some connections are served by another process now")
        publisher.stop()
        oracle.finish()

    def test_an_invalid_configuration_changes_nothing(self):
        self.start()
        oracle = self.watch(connections=50, busy=5, visitors=1)
        before = self.running.worker_pids()
        self.reload(r"\breload_failed\b", http=HTTP.replace("websocket echo", "websocket echoo"), workers=4)
        oracle.wait_messages(200)
        self.assertEqual(self.running.worker_pids(), before)
        oracle.finish()

    def test_control_a_server_that_is_gone_is_seen(self):
        """The oracle's visitors do see it when an address stops being served."""
        self.start()
        oracle = self.watch(connections=10, busy=2, visitors=2)
        self.running.write_config(http=HTTP.replace("127.0.0.1:0", "127.0.0.9:0"))
        self.reload()
        oracle.wait_faults("refused")
        self.assertEqual(http_client.get(self.running.addresses()[-1], "/status").status, 200)


if __name__ == "__main__":
    continuity.main()
