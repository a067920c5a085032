"""Receipts: what an application is told of what became of its publications, over several workers."""

import signal
from concurrent.futures import ThreadPoolExecutor
from os import kill

import beamgate
import event_stream
import http_client
import ws_client
from ws_frame import BINARY, PING, PONG, TEXT

WORKERS = 3
HTTP = """
channels often { conflate 1h; }
channels kept { history 10 1m; }
channels w:* { wildcards on; }
server {
    listen 127.0.0.1:0;
    location = /ws { websocket raw; websocket_subscribe $arg_channel; websocket_ping_interval 0; %s }
    location = /sse { sse argument=channel; }
    location = /pid { return 200 $pid; }
    location /api/ { api on; }
}
"""


class Receipts(beamgate.TestCase):
    def setUp(self):
        self.start()

    def start(self, rules="", workers=WORKERS):
        self.running = self.gateway(HTTP % rules, workers=workers)
        self.address = self.running.address()

    def subscribe(self, channel="room", **options):
        return self.track(ws_client.connect(self.address, f"/ws?channel={channel}", **options))

    def publish(self, channel="room", data="hello", connection=None, **more):
        command = {"channel": channel, "data": data, **more}
        connection = connection or self.track(http_client.Connection(self.address, timeout=40))
        return connection.request("POST", "/api/publish", (), command).json()["result"]

    def receipt(self, *arguments, **more):
        return self.publish(*arguments, **more)["receipt"]

    def later(self, *arguments, **more):
        pool = ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)
        return pool.submit(self.receipt, *arguments, **more)

    def read(self, client):
        """The publication, and the ping behind it, which is not answered yet."""
        frames = [client.recv_frame(), client.recv_frame()]
        self.assertEqual([frame.opcode for frame in frames], [TEXT, PING])
        return frames[1].payload

    def test_everybody_over_all_workers(self):
        clients = [self.subscribe() for _ in range(4 * WORKERS)]
        self.track(event_stream.Reader(self.address, "/sse?channel=room")).wait_joined()
        self.assertEqual(self.receipt(receipt=True),
                         {"subscribers": 13, "sent": 13, "dropped": 0, "complete": True})
        for client in clients:
            self.assertEqual(client.recv(), '"hello"')
            client.ping(b"x")
            frame = client.recv_frame()
            self.assertEqual((frame.opcode, frame.payload), (PONG, b"x"), "no ping where nobody asks for acknowledgements")
        self.assertNotIn("receipt", self.publish())

    def test_who_has_read_it(self):
        readers = [self.subscribe() for _ in range(2 * WORKERS)]
        self.subscribe()  # It never reads.
        self.track(event_stream.Reader(self.address, "/sse?channel=room")).wait_joined()
        answer = self.later(acknowledge_ms=1500)
        for reader in readers:
            reader.send_frame(PONG, self.read(reader))
        self.assertEqual(answer.result(), {"subscribers": 8, "sent": 8, "dropped": 0, "acknowledged": 6, "complete": True})

    def test_it_is_told_as_soon_as_all_have(self):
        reader = self.subscribe()
        answer = self.later(acknowledge_ms=30_000)
        reader.send_frame(PONG, self.read(reader))
        self.assertEqual(answer.result(10)["acknowledged"], 1)
        gone = self.subscribe()
        answer = self.later(acknowledge_ms=30_000)
        reader.send_frame(PONG, self.read(reader))
        self.read(gone)
        gone.abort()
        self.assertEqual(answer.result(10), {"subscribers": 2, "sent": 2, "dropped": 0, "acknowledged": 1, "complete": True})

    def test_a_pong_for_the_newest_ping_answers_for_all(self):
        reader = self.subscribe()
        first = self.later(acknowledge_ms=30_000)
        self.read(reader)
        second = self.later(acknowledge_ms=30_000)
        reader.send_frame(PONG, self.read(reader))
        self.assertEqual([answer.result(10)["acknowledged"] for answer in (first, second)], [1, 1])

    def test_compressed(self):
        reader = self.subscribe(extensions="permessage-deflate")
        answer = self.later("room", "x" * 4000, acknowledge_ms=30_000)
        self.assertEqual(reader.recv(), '"%s"' % ("x" * 4000))
        reader.send_frame(PONG, reader.recv_frame().payload)
        self.assertEqual(answer.result(10)["acknowledged"], 1)

    def test_what_nobody_gets(self):
        nobody = {"subscribers": 0, "sent": 0, "dropped": 0, "complete": True}
        self.assertEqual(self.receipt(receipt=True), nobody)
        unknown = {**nobody, "complete": False}
        self.subscribe()
        self.assertEqual(self.receipt(receipt=True, idempotency_key="a")["sent"], 1)
        self.assertEqual(self.receipt(receipt=True, idempotency_key="a"), unknown, "a repetition")
        self.subscribe("often")
        self.assertEqual(self.receipt("often", receipt=True)["sent"], 1)
        self.assertEqual(self.receipt("often", receipt=True), unknown, "conflated: nobody knows when, or whether at all")

    def test_raw_bodies_users_and_many_channels(self):
        reader = self.subscribe()
        for path in ("/api/publish?channel=room&receipt=true", "/api/channels/room?receipt=true"):
            reply = http_client.post(self.address, path, b"\0", [("Content-Type", "application/octet-stream")])
            self.assertEqual(reply.json()["result"]["receipt"]["sent"], 1)
            self.assertEqual(reader.recv_message(), (BINARY, b"\0"))
        self.subscribe("b")
        many = http_client.post(self.address, "/api/broadcast",
                                {"channels": ["room", "b", "c"], "data": 1, "receipt": True}).json()["result"]["responses"]
        self.assertEqual([one["result"]["receipt"]["sent"] for one in many], [1, 1, 0])
        wrong = http_client.post(self.address, "/api/channels/room?acknowledge_ms=soon", b"x")
        self.assertEqual(wrong.status, 400)
        self.assertIn("acknowledge_ms", wrong.text)

    def test_a_worker_dies_meanwhile(self):
        clients = [self.subscribe() for _ in range(4 * WORKERS)]
        caller = self.track(http_client.Connection(self.address, timeout=40))
        asked = int(caller.request("GET", "/pid").text)
        answer = self.later(acknowledge_ms=3_000, connection=caller)
        pings = [self.read(client) for client in clients]
        self.running.expect_deaths()
        victim = next(pid for pid in self.running.worker_pids() if pid != asked)
        kill(victim, signal.SIGKILL)
        self.running.wait_log("worker_adopted")
        for client, ping in zip(clients, pings):
            client.send_frame(PONG, ping)
        receipt = answer.result(15)
        self.assertEqual(receipt["complete"], False)
        self.assertLess(receipt["subscribers"], 4 * WORKERS)
        self.assertEqual(self.receipt(receipt=True), {"subscribers": 12, "sent": 12, "dropped": 0, "complete": True})


if __name__ == "__main__":
    beamgate.main()
