"""What "channels" blocks say holds for clients of plain HTTP and TCP too: who may follow and publish, how fast and how many,
the newest publication for who comes, and presence."""

import json

import beamgate
import event_stream
import http_client
from wire import Wire, open_socket

HTTP = """
channels secret { subscribe denied; }
channels members { subscribe token; }
channels news { cache on; history 1 1m; }
channels small { subscribers_max 1; }
channels quiet { publish off; }
channels slow { rate 1r/s burst=2; }
channels there { presence on; }
server {
    listen 127.0.0.1:0;
    location = /any { sse argument=channel; }
    location = /poll { longpoll argument=channel; longpoll_timeout 100ms; }
    location = /secret { sse secret; }
    location /api/ { api on; }
    location = /metrics { metrics; }
}
"""


class ChannelRules(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, main="line { listen 127.0.0.1:0; }", workers=1)
        self.http, self.line = self.running.addresses()

    def open(self, path, expect=200):
        return self.track(event_stream.Reader(self.http, path, expect=expect))

    def client(self, room, answer=None):
        wire = Wire(open_socket(self.line))
        self.addCleanup(wire.close)
        wire.send(f"JOIN {room}\n".encode())
        self.assertEqual(wire.read_until(b"\n").decode(), f"{answer or f'OK joined {room}'}\n")
        return wire

    def say(self, wire, text):
        wire.send(text.encode() + b"\n")

    def hear(self, wire):
        return wire.read_until(b"\n")[:-1].decode()

    def api(self, method, body):
        return http_client.post(self.http, f"/api/{method}", body).json()["result"]

    def test_who_may_follow(self):
        for channel in ("secret", "members"):
            self.open(f"/any?channel={channel}", expect=403)
            self.open(f"/any?channel=open&channel={channel}", expect=403)
            self.assertEqual(http_client.get(self.http, f"/poll?channel={channel}").status, 403)
            self.client(channel, "ERR not allowed")
        secret = self.open("/secret").wait_joined()  # The configuration itself says so.
        self.api("publish", {"channel": "secret", "data": "told"})
        self.assertEqual(secret.next().data, '"told"')

    def test_how_many(self):
        first = self.open("/any?channel=small").wait_joined()
        refused = self.open("/any?channel=small", expect=503)
        self.assertEqual(refused.head.header("retry-after"), "1")
        self.assertEqual(http_client.get(self.http, "/poll?channel=small").status, 503)
        self.client("small", "ERR the room is full")
        first.close()
        beamgate.until(lambda: http_client.get(self.http, "/poll?channel=small").status == 204)

    def test_who_may_publish_and_how_fast(self):
        quiet = self.client("quiet")
        self.say(quiet, "hello")
        self.assertEqual(self.hear(quiet), "ERR not allowed")
        listener, fast = self.client("slow"), self.client("slow")
        for number in range(3):
            self.say(fast, f"{number}")
        self.assertEqual(self.hear(fast), "ERR too fast")
        self.assertEqual(self.running.metrics()["beamgate_websocket_rate_exceeded_total"], 1)
        self.assertEqual([self.hear(listener), self.hear(listener)], ["0", "1"])

    def test_the_newest_for_who_comes(self):
        for number in range(3):
            self.api("publish", {"channel": "news", "data": {"n": number}})
        stream, line = self.open("/any?channel=news"), self.client("news")
        self.assertEqual((json.loads(stream.next().data), json.loads(self.hear(line))), ({"n": 2}, {"n": 2}))
        self.api("publish", {"channel": "news", "data": {"n": 3}})
        self.assertEqual((json.loads(stream.next().data), json.loads(self.hear(line))), ({"n": 3}, {"n": 3}))

    def test_presence(self):
        stream, line = self.open("/any?channel=there").wait_joined(), self.client("there")
        present = self.api("presence", {"channel": "there"})["presence"]
        self.assertEqual(len(present), 2)
        line.close()
        stream.close()
        beamgate.until(lambda: self.api("presence", {"channel": "there"})["presence"] == {})


if __name__ == "__main__":
    beamgate.main()
