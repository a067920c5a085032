"""websocket_rate: what becomes of clients that send faster than they may."""

import json
import time

import beamgate
import centrifuge_client
import ws_client
from backend import Backend, Reply

HTTP = """
webhook app {{ url {url}; }}
app shop {{ id 1; key key; secret 0123456789abcdef; }}
server {{
    listen 127.0.0.1:0;
    location = /delay {{ websocket echo; websocket_rate connection 20r/s burst=5; }}
    location = /drop {{ websocket echo; websocket_rate connection 1r/m burst=3 drop; }}
    location = /close {{ websocket echo; websocket_rate connection 1r/m burst=3 close; }}
    location = /address {{ websocket echo; websocket_rate address 1r/m burst=3 close; }}
    location = /user {{ websocket raw; webhook app; websocket_rate user 1r/m burst=3 close; }}
    location = /centrifuge {{ websocket centrifuge; websocket_rate connection 1r/m burst=3 close; }}
    location = /pusher/app/key {{ websocket pusher; websocket_rate connection 1r/m burst=3 drop; }}
    location = /phoenix {{ websocket phoenix; websocket_rate connection 1r/m burst=3 drop; }}
    location = /centrifuge/drop {{ websocket centrifuge; websocket_rate connection 1r/m burst=3 drop; }}
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
        self.assertGreater(self.running.metrics()['beamgate_websocket_rate_exceeded_total{action="delayed"}'], 0)

    def test_what_is_dropped_is_never_seen(self):
        socket = self.connect("/drop")
        for n in range(10):
            socket.send(str(n))
        self.assertEqual([socket.recv() for _ in range(3)], ["0", "1", "2"])
        socket.ping(b"still there?")
        self.assertEqual(socket.recv_frame().payload, b"still there?")

    def test_a_protocol_with_answers_tells_what_is_dropped(self):
        pusher = self.connect("/pusher/app/key?protocol=7")
        events = [json.loads(pusher.recv())["event"]]
        for event in ("client-x", "client-x", "client-x", "client-x", "pusher:subscribe", "pusher:ping"):
            pusher.send(json.dumps({"event": event, "channel": "private-a", "data": {"channel": "private-a"}}))
        while events[-1] != "pusher:pong":
            frame = json.loads(pusher.recv())
            events.append(frame["event"])
            if len(events) == 5:
                self.assertEqual(frame["data"], {"message": "Too many messages.", "code": 4301})
            if len(events) == 6:
                self.assertEqual((frame["channel"], frame["data"]["status"]), ("private-a", 429))
        self.assertEqual(events, ["pusher:connection_established"] + ["pusher:error"] * 4 +
                         ["pusher:subscription_error", "pusher:pong"])

        phoenix = self.connect("/phoenix?vsn=2.0.0")
        replies = []
        for ref, topic, event in (("1", "room", "phx_join"), ("2", "room", "say"), ("3", "room", "say"), ("4", "room", "say"),
                                  ("5", "phoenix", "heartbeat"), ("6", "room", "phx_leave")):
            phoenix.send(json.dumps(["1", ref, topic, event, {}]))
            _, answered, _, event, payload = json.loads(phoenix.recv())
            self.assertEqual((answered, event), (ref, "phx_reply"))
            replies.append((payload["status"], payload["response"].get("reason")))
        ok, refused = ("ok", None), ("error", "rate limited")
        self.assertEqual(replies, [ok, ok, ok, refused, ok, ok])

        client = self.track(centrifuge_client.connect(self.running.address(), "/centrifuge/drop"))
        for n in (5, 6):
            client.socket.send('{"id":%d,"rpc":{}}' % n)
        client.socket.send('{"id":7,"rpc":{}}\n{"id":8,"rpc":{}}')
        codes = {}
        while 8 not in codes:
            reply = json.loads(client.socket.recv())
            codes[reply.get("id")] = reply.get("error", {}).get("code")
        self.assertEqual({n: codes[n] for n in (5, 6, 7, 8)}, {5: 108, 6: 108, 7: 111, 8: 111})

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
