"""Event streams, lines and long polls are records like WebSockets: they go on through upgrades, reloads and the deaths of
workers, and whoever follows the room meanwhile hears everything once and in order."""

import os
import threading
from signal import SIGKILL

import beamgate
import continuity
import event_stream
import http_client
from wire import Wire, open_socket

HTTP = """
channels room { history 10000 10m; }
server {
    listen 127.0.0.1:0;
    keepalive_requests 1000000;
    location = /sse { sse room; }
    location = /two { sse room other; }
    location = /poll { longpoll other; longpoll_timeout 1h; }
    location /api/ { api on; }
    location = /status { status on; }
    location = /metrics { metrics on; }
}
"""
MAIN = "line { listen 127.0.0.1:0; line_rate 0; line_send_queue 16m; }"
READERS = 8


class Streams(continuity.TestCase):
    def begin(self, copy=False, main="", **options):
        start = self.start_copy if copy else self.start
        start(http=HTTP, main=MAIN + main, **options)
        self.http, self.line = self.running.addresses()[:2]
        self.streams = [self.track(event_stream.Reader(self.http, "/sse" if n % 2 else "/two", timeout=60)).wait_joined()
                        for n in range(READERS)]
        self.lines = []
        for _ in range(READERS):
            wire = Wire(open_socket(self.line, 60), 60)
            self.addCleanup(wire.close)
            wire.send(b"JOIN room\n")
            self.assertEqual(wire.read_until(b"\n"), b"OK joined room\n")
            self.lines.append(wire)
        self.polls = []
        for _ in range(READERS):
            connection = self.track(http_client.Connection(self.http, timeout=60))
            connection.send_request("GET", "/poll")
            self.polls.append(connection)
        self.wait_for_polls()
        self.published = 0

    def wait_for_polls(self):
        """All are there, and joined (half of the streams have two channels)."""
        def there():
            metrics = self.running.metrics()
            return (metrics["beamgate_long_polls_active"], metrics["beamgate_event_streams_active"],
                    metrics["beamgate_lines_active"], metrics["beamgate_hub_subscriptions"]) == (
                        READERS, READERS, READERS, READERS * 3 + READERS // 2)
        beamgate.until(there, 30, "all of them")

    def publish(self, count=20):
        for _ in range(count):
            answer = http_client.request(self.http, "POST", "/api/publish?channel=room", {"Content-Type": "text/plain"},
                                         str(self.published))
            self.assertEqual(answer.status, 200)
            self.published += 1

    def publish_throughout(self, change):
        """Publishes one after the other while `change` happens."""
        stop = threading.Event()
        failed = []

        def run():
            while not stop.is_set():
                try:
                    self.publish(1)
                except (OSError, EOFError):
                    failed.append(self.published)  # Its own connection was to a worker that has just died: said again.
                except BaseException as error:
                    failed.append(error)
                    raise
        publisher = threading.Thread(target=run)
        publisher.start()
        try:
            change()
        finally:
            stop.set()
            publisher.join(30)
        return failed

    def check(self, exact=True):
        """Everybody has heard everything, once and in order."""
        self.publish(1)
        last = str(self.published - 1)
        expected = [str(n) for n in range(self.published)]
        for reader in self.streams:
            heard = []
            while not heard or heard[-1] != last:
                event = reader.next()
                self.assertEqual(event.name, "message", event)
                heard.append(event.data)
            self.assertEqual(heard if exact else sorted(set(heard), key=int), expected)
        for wire in self.lines:
            heard = []
            while not heard or heard[-1] != last:
                heard.append(wire.read_until(b"\n")[:-1].decode())
            self.assertEqual(heard if exact else sorted(set(heard), key=int), expected)

    def check_polls(self):
        self.wait_for_polls()
        answer = http_client.request(self.http, "POST", "/api/publish?channel=other", {"Content-Type": "text/plain"}, "news")
        self.assertEqual(answer.status, 200)
        for connection in self.polls:
            self.assertEqual([p["data"] for p in connection.read_response().json()["publications"]], ["news"])

    def test_an_upgrade(self):
        self.begin(copy=True, workers=2)
        self.publish()
        self.assertEqual(self.publish_throughout(lambda: [self.upgrade() for _ in range(2)]), [])
        self.check()
        self.check_polls()

    def test_deaths_of_workers(self):
        self.begin(workers=2)
        self.running.expect_deaths()
        self.publish()

        def kill():
            for _ in range(3):
                self.wait_slots(2)
                victim = self.running.worker_pids()[0]
                os.kill(victim, SIGKILL)
                beamgate.until(lambda: len(self.running.worker_pids()) == 2 and victim not in self.running.worker_pids(),
                               continuity.SETTLE_S)
        failed = self.publish_throughout(kill)
        # A publication whose answer was lost may have been made, and is made again.
        self.check(exact=not failed)
        self.check_polls()

    def test_a_reload(self):
        self.begin(workers=2)
        self.publish()
        self.assertEqual(self.publish_throughout(self.reload), [])
        self.check()
        self.check_polls()


if __name__ == "__main__":
    continuity.main()
