"""Publishing from HTTP to subscribers on every worker: each message once, in one order for all.

Shows the bus's promise: a publication that was accepted reaches every subscriber of the channel whichever
worker holds it, offsets count up without a gap, and all subscribers see the same order.
"""

import threading

import beamgate
import http_client
import ws_client
from listeners import Listeners

HTTP = """
server {
    listen 127.0.0.1:0;
    keepalive_requests 100000;
    location ~ "^/hub/(?<channel>[a-z0-9-]+)$" {
        websocket raw; websocket_subscribe $channel; websocket_publish $channel; websocket_ping_interval 0;
        websocket_idle_timeout 0;
    }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""
CLIENTS, MESSAGES, PUBLISHERS, PIPELINE = 1000, 10_000, 4, 50


class Publisher(threading.Thread):
    """Publishes p<number>-0, p<number>-1, ... over one connection, PIPELINE requests at a time."""

    def __init__(self, address, number, count):
        super().__init__()
        self.connection = http_client.Connection(address, timeout=60)
        self.number = number
        self.count = count
        self.offsets = {}
        self.epochs = set()
        self.error = None

    def run(self):
        try:
            for first in range(0, self.count, PIPELINE):
                batch = [f"p{self.number}-{i}" for i in range(first, min(first + PIPELINE, self.count))]
                for text in batch:
                    self.connection.send_request("POST", "/api/publish?channel=room", {"Content-Type": "text/plain"}, text)
                for text in batch:
                    self.keep(text, self.connection.read_response())
        except BaseException as error:
            self.error = error
        finally:
            self.connection.close()

    def keep(self, text, response):
        if response.status != 200 or "result" not in response.json():
            raise AssertionError(f"publish refused: {response}")
        result = response.json()["result"]
        self.offsets[result["offset"]] = text
        self.epochs.add(result["epoch"])


class PubSub(beamgate.TestCase):
    def test_a_thousand_clients_get_ten_thousand_messages_once_and_in_order(self):
        gateway = self.gateway(HTTP, workers=4)
        listeners = self.track(Listeners(gateway.address(), "/hub/room", CLIENTS))
        self.assertEqual(len(gateway.worker_pids()), 4)
        publishers = [Publisher(gateway.address(), n, MESSAGES // PUBLISHERS) for n in range(PUBLISHERS)]
        for publisher in publishers:
            publisher.start()
        messages = listeners.run_to(MESSAGES, timeout=240, broken=lambda: any(p.error for p in publishers))
        offsets = {}
        for publisher in publishers:
            publisher.join(30)
            self.assertIsNone(publisher.error)
            offsets.update(publisher.offsets)
        self.assertEqual(sorted(offsets), list(range(1, MESSAGES + 1)), "offsets count up without a gap")
        self.assertEqual(len(set.union(*(p.epochs for p in publishers))), 1)
        self.assertEqual(len(listeners.living()), CLIENTS)
        self.assertEqual([m.decode() for m in messages], [offsets[i] for i in range(1, MESSAGES + 1)])

    def test_frames_of_a_client_reach_the_others_on_every_worker(self):
        gateway = self.gateway(HTTP, workers=4)
        clients = [self.track(ws_client.connect(gateway.address(), "/hub/room", source=f"127.0.0.{2 + n}"))
                   for n in range(24)]
        for number, client in enumerate(clients):
            client.send(f"from {number}")
            for other in clients:
                self.assertEqual(other.recv(), f"from {number}")

    def test_channels_do_not_mix(self):
        gateway = self.gateway(HTTP, workers=2)
        one, two = (self.track(ws_client.connect(gateway.address(), f"/hub/{name}")) for name in ("one", "two"))
        for name in ("one", "two"):
            response = http_client.post(gateway.address(), f"/api/publish?channel={name}", f"for {name}",
                                        {"Content-Type": "text/plain"})
            self.assertEqual(response.status, 200)
        self.assertEqual(one.recv(), "for one")
        self.assertEqual(two.recv(), "for two")

    def test_a_publication_follows_an_accepted_subscription_at_once(self):
        """The 101 is only sent when the worker's interest is confirmed, so nothing can fall between."""
        gateway = self.gateway(HTTP, workers=4)
        with http_client.Connection(gateway.address()) as publisher:
            for number in range(200):
                with ws_client.connect(gateway.address(), f"/hub/fresh-{number}") as client:
                    publisher.request("POST", f"/api/publish?channel=fresh-{number}", {"Content-Type": "text/plain"},
                                      f"{number}")
                    self.assertEqual(client.recv(), f"{number}")


class Names(beamgate.TestCase):
    """What is for a user is heard by that user alone, and said by the application alone, however open a hub is."""

    def test_a_clients_text_makes_no_users_channel(self):
        gateway = self.gateway("""
            server {
                listen 127.0.0.1:0;
                location ~ ^/hear/(?<channel>.+)$ { websocket raw; websocket_subscribe $channel; }
                location ~ ^/say/(?<channel>.+)$ { websocket raw; websocket_publish $channel; }
                location ~ ^/own/(?<user>.+)$ { websocket raw; websocket_subscribe "#server-to-user-$user"; }
                location /api/ { api on; }
                location = /metrics { metrics; }
            }""")
        address = gateway.address()
        name = "%23server-to-user-ann"
        for way in ("hear", "say"):
            with self.assertRaises(ws_client.Refused) as refused:
                ws_client.connect(address, f"/{way}/{name}")
            self.assertEqual(refused.exception.status, 403)
            self.track(ws_client.connect(address, f"/{way}/a{name}"))
        self.assertEqual(gateway.metrics()['beamgate_websocket_handshakes_refused_total{reason="channel"}'], 2)
        own = self.track(ws_client.connect(address, "/own/ann"))
        http_client.post(address, "/api/publish", {"channel": "#server-to-user-ann", "data": 1})
        self.assertEqual(own.recv(), "1")


if __name__ == "__main__":
    beamgate.main()
