"""websocket_rate: what becomes of clients that send faster than they may."""

import time

import beamgate
import centrifuge_client
import ws_client
from backend import Backend, Reply

HTTP = """
webhook app {{ url {url}; }}
server {{
    listen 127.0.0.1:0;
    location = /delay {{ websocket echo; websocket_rate connection 20r/s burst=5; }}
    location = /drop {{ websocket echo; websocket_rate connection 1r/m burst=3 drop; }}
    location = /close {{ websocket echo; websocket_rate connection 1r/m burst=3 close; }}
    location = /address {{ websocket echo; websocket_rate address 1r/m burst=3 close; }}
    location = /user {{ websocket raw; webhook app; websocket_rate user 1r/m burst=3 close; }}
    location = /centrifuge {{ websocket centrifuge; websocket_rate connection 1r/m burst=3 close; }}
    location = /metrics {{ metrics on; }}
}}
"""


class MessageRates(beamgate.TestCase):
    def setUp(self):
        self.backend = self.track(Backend(Reply(200, {"user": "ada"}, {"Content-Type": "application/vnd.beamgate+json"})))
        self.running = self.gateway(HTTP.format(url=self.backend.url), workers=2)

    def connect(self, target):
        return self.track(ws_client.connect(self.running.address(), target))

    def closed(self, socket):
        with self.assertRaises(ws_client.Closed) as closed:
            while True:
                socket.recv()
        return closed.exception.code

    def test_what_is_delayed_comes_later(self):
        socket = self.connect("/delay")
        began = time.monotonic()
        for n in range(25):
            socket.send(str(n))
        self.assertEqual([socket.recv() for _ in range(25)], [str(n) for n in range(25)])
        # 5 at once, and 20 more at 20 a second; a machine can be slower than that, and not faster.
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertGreater(self.running.metrics()["beamgate_websocket_rate_exceeded_total"], 0)

    def test_what_is_dropped_is_never_seen(self):
        socket = self.connect("/drop")
        for n in range(10):
            socket.send(str(n))
        self.assertEqual([socket.recv() for _ in range(3)], ["0", "1", "2"])
        socket.ping(b"still there?")
        self.assertEqual(socket.recv_frame().payload, b"still there?")

    def test_who_is_closed_knows_why(self):
        socket = self.connect("/close")
        for n in range(4):
            socket.send(str(n))
        self.assertEqual([socket.recv() for _ in range(3)], ["0", "1", "2"])
        self.assertEqual(self.closed(socket), 1008)

    def test_connections_of_one_address_are_counted_together(self):
        sockets = [self.connect("/address") for _ in range(4)]
        for socket in sockets[:3]:
            socket.send("one")
            self.assertEqual(socket.recv(), "one")
        sockets[3].send("one too many")
        self.assertEqual(self.closed(sockets[3]), 1008)

    def test_connections_of_one_user_are_counted_together(self):
        sockets = [self.connect("/user") for _ in range(4)]
        for socket in sockets[:3]:
            socket.send("one")
        self.backend.wait("beamgate.message", count=3)
        sockets[3].send("one too many")
        self.assertEqual(self.closed(sockets[3]), 1008)

    def test_a_protocol_closes_in_its_own_words(self):
        client = self.track(centrifuge_client.connect(self.running.address(), "/centrifuge"))
        for n in range(3):
            client.socket.send('{"id":%d,"presence_stats":{"channel":"x"}}' % (n + 2))
        self.assertEqual(self.closed(client.socket), 3013)
        client.closed = True


if __name__ == "__main__":
    beamgate.main()
