"""One client in an awkward state while its connection moves to another process: nothing of the state is lost.

Each move is an upgrade of the running binary to itself (USR2), which takes every connection to a new worker; upgrade()
waits until all workers are other processes than before, so each test knows that it did move.
"""

import time
from signal import SIGUSR2

import beamgate
import continuity
import http_client
import ws_client
import ws_frame
from backend import Held, Reply
from wire import Timeout
from ws_frame import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

MIB = 1 << 20
QUEUED_BYTES = 1_500_000
HTTP = """
server {
    listen 127.0.0.1:0;
    websocket_message_max 2m;
    websocket_send_queue 4m;
    websocket_deflate on;
    websocket_deflate_context_takeover on;
    location = /echo { websocket echo; }
    location = /timed { websocket echo; websocket_idle_timeout 4s; websocket_ping_interval 0; }
    location = /hello { return 200 hello; }
    location = /app { websocket raw; webhook app; }
}
"""


class Move(continuity.TestCase):
    def setUp(self):
        self.app = self.backend()
        http = f"webhook app {{ url {self.app.url}/hook; timeout 60s; }}" + HTTP
        self.start_copy(http=http, workers=1)

    def connect(self, target="/echo", **options):
        return self.track(ws_client.connect(self.running.address(), target, timeout=continuity.SETTLE_S, **options))

    def test_a_frame_in_steps_of_one_byte(self):
        client = self.connect()
        for byte in ws_frame.encode(TEXT, b"step by step"):
            client.wire.send(bytes([byte]))
            self.upgrade()
        self.assertEqual(client.recv(), "step by step")

    def test_a_ping_between_fragments(self):
        client = self.connect()
        client.send_frame(TEXT, b"one ", fin=False)
        self.upgrade()
        client.send_frame(PING, b"between")
        self.assertEqual(client.recv_frame()[2:5:2], (PONG, b"between"))
        client.send_frame(CONTINUATION, b"two \xe2\x82", fin=False)  # Half of a character.
        self.upgrade()
        client.send_frame(CONTINUATION, b"\xac")
        self.assertEqual(client.recv(), "one two \u20ac")

    def test_a_half_read_message(self):
        client = self.connect()
        data = bytes(range(256)) * (MIB // 256)
        frame = ws_frame.encode(BINARY, data)
        client.wire.send(frame[: MIB // 2])
        self.upgrade()
        client.wire.send(frame[MIB // 2 :])
        self.assertEqual(client.recv(), data)

    def test_output_queued_for_a_reader_that_stalls(self):
        client = self.connect(receive_buffer=4096)
        data = bytes(range(256)) * (QUEUED_BYTES // 256)
        client.send(data)
        beamgate.until(lambda: http_client.get(self.running.address(), "/hello").text == "hello", 10, "an answer")
        self.upgrade()
        self.upgrade()
        self.assertEqual(client.recv(), data)
        client.send("goes on")
        self.assertEqual(client.recv(), "goes on")

    def test_a_close_half_done(self):
        client = self.connect()
        frame = ws_frame.encode(CLOSE, ws_frame.encode_close(1000, "bye"))
        client.wire.send(frame[:-2])
        self.upgrade()
        client.wire.send(frame[-2:])
        self.assertEqual(client.recv_close(), 1000)
        self.assertTrue(client.wire.wait_end())

    def test_compression(self):
        client = self.connect(extensions="permessage-deflate")
        self.assertTrue(client.inflater, "it is negotiated")
        for number in range(4):
            text = f"message {number} " + "with words that come again and again " * 10
            client.send_deflated(text)
            self.assertEqual(client.recv(), text)
            self.upgrade()

    def test_keep_alive_between_requests(self):
        with http_client.Connection(self.running.address(), timeout=continuity.SETTLE_S) as connection:
            self.assertEqual(connection.request("GET", "/hello").text, "hello")
            self.upgrade()
            self.assertEqual(connection.request("GET", "/hello").text, "hello")
            connection.send(b"GET /hello HT")
            self.upgrade()
            connection.send(b"TP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(connection.read_response().text, "hello")

    def test_an_idle_timeout_keeps_its_deadline(self):
        client = self.connect("/timed")
        client.send("last words")
        self.assertEqual(client.recv(), "last words")
        begun = time.monotonic()
        while time.monotonic() - begun < 2:
            self.upgrade()
        client.recv_close()
        took = time.monotonic() - begun
        self.assertGreater(took, 3)
        self.assertLess(took, 7 if not beamgate.sanitized() else 20, "moves do not begin it anew")

    def test_a_webhook_in_flight(self):
        held = Held(Reply(200, "answer", {"Content-Type": "text/plain"}))
        self.app.on("beamgate.message", held)
        client = self.connect("/app")
        client.send("question")
        first = self.app.wait("beamgate.message")
        self.running.signal(SIGUSR2)
        with self.assertRaises(Timeout):
            client.recv(timeout=1)
        held.release()
        self.assertEqual(client.recv(), "answer")
        ids = {request.header("webhook-id") for request in self.app.seen("beamgate.message")}
        self.assertEqual(ids, {first.header("webhook-id")}, "asked again, if at all, under the same id")
        self.assertEqual(len(self.app.seen("beamgate.connect")), 1)
        self.assertEqual(self.app.events("beamgate.disconnected"), [])


if __name__ == "__main__":
    continuity.main()
