"""What RFC 9113 says of frames that break its rules, section by section, with frames made by hand.

Each case ends the stream or the connection with the error that the RFC names; each has a control, which is the same
thing done right, on a connection that goes on afterwards.
"""

import struct

import beamgate
import h2_client
from backend import Backend, Reply
from h2_client import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
                       FRAME_SIZE_ERROR, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
                       REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, head, settings)

GET = head()
POST = head("POST", "/held")  # Answered when its body is whole.
U32 = struct.Struct("!I").pack

CONFIG = """http2 on; http2_max_concurrent_streams 10; server { listen 127.0.0.1:0;
    location / { return 200 "ok"; }
    location /long { return 200 "%s"; }
    location /held { proxy_pass http://%s; } }"""


class Frames(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.backend = Backend()
        cls.backend.on("*", Reply(200, "ok"))
        cls.shared = beamgate.Gateway(CONFIG % ("x" * 3000, cls.backend.address), workers=1).start()

    @classmethod
    def tearDownClass(cls):
        cls.shared.stop()
        cls.backend.close()
        super().tearDownClass()

    def open(self, **options):
        return self.track(h2_client.Frames(self.shared.address(), **options))

    def goes_on(self, raw, stream=101):
        """The connection still answers."""
        raw.headers(stream, GET)
        self.assertEqual(raw.status(stream), 200)

    def ends(self, expected, play, name=""):
        """The connection is ended with one of these errors, or, where None is among them, without a word."""
        with self.subTest(name):
            raw = self.open()
            play(raw)
            code = raw.wait_goaway()
            self.assertIn(code, expected if isinstance(expected, tuple) else (expected,))
            raw.wire.wait_end()

    def stream_ends(self, expected, play, name="", stream=1):
        """The stream is ended with this, and the connection goes on."""
        with self.subTest(name):
            raw = self.open()
            play(raw)
            self.assertEqual(raw.outcome(stream), expected)
            self.goes_on(raw)

    def fine(self, play, name="", stream=1, status=200):
        self.stream_ends(status, play, name, stream)

    # 3: beginning.

    def test_3_4_preface(self):
        raw = self.open(handshake=False)
        raw.wire.send(PREFACE + h2_client.frame(PING, payload=bytes(8)))
        self.assertEqual(raw.wait_goaway(), PROTOCOL_ERROR)
        raw = self.open(handshake=False)
        raw.wire.send(PREFACE.replace(b"SM", b"XX"))
        self.assertIn(b"HTTP/1.1 ", raw.wire.read_until(b"\r\n"), "it is no HTTP/2")
        raw = self.open(handshake=False)
        for byte in PREFACE + h2_client.frame(SETTINGS):  # Cut at every byte.
            raw.wire.send(bytes([byte]))
        raw.wait(SETTINGS)
        self.goes_on(raw)

    # 4: frames.

    def test_4_1_what_is_not_known_is_ignored(self):
        def play(raw):
            raw.send(0x16, 0xFF, 0, b"unknown")
            raw.send(0x16, 0, 99, b"unknown")
            raw.send(PING, 0xFE, 0, b"12345678")
            raw.wire.send(struct.pack("!I", 8)[1:] + bytes([PING, 0]) + U32(0x80000000) + b"reserved")
            raw.headers(1, GET)
        self.fine(play)

    def test_4_2_sizes(self):
        self.ends(FRAME_SIZE_ERROR, lambda raw: (raw.headers(1, POST, END_HEADERS), raw.send(DATA, 0, 1, bytes(16385))))
        self.ends(FRAME_SIZE_ERROR, lambda raw: raw.send(HEADERS, END_HEADERS, 1, bytes(16385)))
        self.fine(lambda raw: (raw.headers(1, POST, END_HEADERS), raw.send(DATA, END_STREAM, 1, bytes(16384))))

    def test_4_3_compression(self):
        self.ends(COMPRESSION_ERROR, lambda raw: raw.send(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff"))
        self.ends(COMPRESSION_ERROR, lambda raw: raw.send(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\xbe"), "index")
        self.fine(lambda raw: raw.headers(1, GET))

    # 5: streams.

    def test_5_1_idle(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(DATA, END_STREAM, 1, b"x"), "DATA")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(RST_STREAM, 0, 1, U32(8)), "RST_STREAM")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(WINDOW_UPDATE, 0, 1, U32(8)), "WINDOW_UPDATE")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(CONTINUATION, END_HEADERS, 1, b""), "CONTINUATION")

    def test_5_1_half_closed(self):
        """A request that has ended has nothing more to say."""
        held = head("GET", "/long")

        def window(raw, then):
            raw.send(SETTINGS, 0, 0, settings(window=0))  # So that the stream stays open.
            raw.wait(SETTINGS, lambda f: f.flags & ACK)
            raw.headers(1, held)
            raw.status(1)
            then(raw)
        for name, then in (("DATA", lambda raw: raw.send(DATA, END_STREAM, 1, b"x")),
                           ("HEADERS", lambda raw: raw.headers(1, GET))):
            with self.subTest(name):
                raw = self.open()
                window(raw, then)
                self.assertIn(raw.outcome(1), (("reset", STREAM_CLOSED), ("goaway", STREAM_CLOSED)))
        with self.subTest("WINDOW_UPDATE is still fine"):
            raw = self.open()
            window(raw, lambda raw: raw.send(WINDOW_UPDATE, 0, 1, U32(5000)))
            self.assertEqual(len(raw.wait(DATA).payload), 3000)
            self.goes_on(raw)

    def test_5_1_closed(self):
        def play(raw, kind):
            raw.headers(1, POST, END_HEADERS)
            raw.send(RST_STREAM, 0, 1, U32(8))
            raw.headers(1, GET) if kind == HEADERS else raw.send(kind, END_STREAM, 1, b"x")
        for kind in (HEADERS, DATA):  # They may have been on their way.
            raw = self.open()
            play(raw, kind)
            self.goes_on(raw)

    def test_5_1_1_identifiers(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.headers(2, GET), "even")
        raw = self.open()
        raw.headers(5, GET)
        self.assertEqual(raw.status(5), 200)
        raw.headers(3, GET)  # Nobody can tell it from a trailer of a stream that has ended: it is not answered.
        raw.headers(101, GET)
        self.assertEqual([raw.wait(HEADERS).stream for _ in range(1)], [101])
        self.fine(lambda raw: (raw.headers(5, GET), raw.headers(7, GET)), stream=7)

    def test_5_1_2_concurrency(self):
        raw = self.open()
        for stream in range(1, 23, 2):  # Eleven: one more than there may be.
            raw.headers(stream, POST, END_HEADERS)
        self.assertIn(raw.outcome(21), (("reset", REFUSED_STREAM), ("goaway", PROTOCOL_ERROR)))
        raw = self.open()
        for stream in range(1, 21, 2):
            raw.headers(stream, POST, END_HEADERS)
        raw.send(DATA, END_STREAM, 1, b"")
        self.assertEqual(raw.status(1), 200)
        raw.wait(DATA, lambda frame: frame.stream == 1 and frame.flags & END_STREAM)  # Until then it counts.
        raw.headers(23, GET)
        self.assertEqual(raw.status(23), 200, "there is room again")

    def test_5_5_extensions(self):
        def play(raw):
            block = raw.block(GET)
            raw.send(HEADERS, END_STREAM, 1, block[:4])
            raw.send(0x16, 0, 0, b"unknown")
        self.ends(PROTOCOL_ERROR, play)

    # 6: kinds of frames.

    def test_6_1_data(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(DATA, END_STREAM, 0, b"x"), "stream 0")
        self.ends(PROTOCOL_ERROR, lambda raw: (raw.headers(1, POST, END_HEADERS),
                                               raw.send(DATA, END_STREAM | PADDED, 1, b"\x05abc")), "padding")
        self.fine(lambda raw: (raw.headers(1, POST, END_HEADERS), raw.send(DATA, END_STREAM | PADDED, 1, b"\x02abc")))

    def test_6_2_headers(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.headers(0, GET), "stream 0")
        self.ends(PROTOCOL_ERROR,
                  lambda raw: (raw.headers(1, GET, END_STREAM), raw.send(PRIORITY, 0, 1, bytes(4) + b"\x0f")), "cut by PRIORITY")
        self.ends(PROTOCOL_ERROR,
                  lambda raw: (raw.headers(1, GET, END_STREAM), raw.headers(3, GET)), "cut by another stream")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(HEADERS, END_HEADERS | END_STREAM | PADDED, 1,
                                                       b"\xff" + raw.block(GET)), "padding")
        self.fine(lambda raw: raw.send(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x03" + raw.block(GET) + bytes(3)))
        self.fine(lambda raw: raw.send(HEADERS, END_HEADERS | END_STREAM | h2_client.WITH_PRIORITY, 1,
                                       U32(0) + b"\xff" + raw.block(GET)), "with a priority")

    def test_6_3_priority_is_ignored(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(PRIORITY, 0, 0, bytes(5)), "stream 0")
        self.ends(FRAME_SIZE_ERROR, lambda raw: (raw.headers(1, POST, END_HEADERS), raw.send(PRIORITY, 0, 1, bytes(4))),
                  "size")
        self.fine(lambda raw: (raw.send(PRIORITY, 0, 1, U32(1) + b"\x0f"), raw.send(PRIORITY, 0, 99, bytes(5)),
                               raw.send(0x10, 0, 0, U32(1) + b"u=0, i"), raw.headers(1, GET)))

    def test_6_4_rst_stream(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(RST_STREAM, 0, 0, U32(8)), "stream 0")
        self.ends(FRAME_SIZE_ERROR, lambda raw: (raw.headers(1, POST, END_HEADERS),
                                                 raw.send(RST_STREAM, 0, 1, bytes(3))), "size")
        raw = self.open()
        raw.headers(1, POST, END_HEADERS)
        raw.send(RST_STREAM, 0, 1, U32(8))
        self.goes_on(raw)

    def test_6_5_settings(self):
        self.ends(FRAME_SIZE_ERROR, lambda raw: raw.send(SETTINGS, ACK, 0, settings(window=1)), "ACK with a payload")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(SETTINGS, 0, 1), "on a stream")
        self.ends(FRAME_SIZE_ERROR, lambda raw: raw.send(SETTINGS, 0, 0, bytes(5)), "size")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(SETTINGS, 0, 0, settings(push=2)), "push")
        self.ends(FLOW_CONTROL_ERROR, lambda raw: raw.send(SETTINGS, 0, 0, settings(window=1 << 31)), "window")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(SETTINGS, 0, 0, settings(frame=16383)), "small frames")
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(SETTINGS, 0, 0, settings(frame=1 << 24)), "large frames")
        raw = self.open()
        raw.send(SETTINGS, 0, 0, settings(push=0, window=70000, frame=20000, table=0) + struct.pack("!HI", 0x99, 7))
        raw.wait(SETTINGS, lambda f: f.flags & ACK)
        self.goes_on(raw)

    def test_6_6_push_promise(self):
        self.ends(PROTOCOL_ERROR, lambda raw: (raw.headers(1, POST, END_HEADERS),
                                               raw.send(PUSH_PROMISE, END_HEADERS, 1, U32(3) + raw.block(GET))))

    def test_6_7_ping(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(PING, 0, 1, bytes(8)), "on a stream")
        self.ends(FRAME_SIZE_ERROR, lambda raw: raw.send(PING, 0, 0, bytes(6)), "size")
        raw = self.open()
        raw.send(PING, ACK, 0, b"not sent")
        raw.send(PING, 0, 0, b"12345678")
        answer = raw.wait(PING)
        self.assertEqual((answer.flags & ACK, answer.payload), (ACK, b"12345678"))
        self.goes_on(raw)

    def test_6_8_goaway(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(GOAWAY, 0, 1, bytes(8)), "on a stream")
        raw = self.open()
        raw.headers(1, POST, END_HEADERS)
        raw.send(GOAWAY, 0, 0, bytes(8))
        raw.send(DATA, END_STREAM, 1, b"x")
        self.assertEqual(raw.status(1), 200, "what had begun is finished")

    def test_6_9_window_update(self):
        self.ends(PROTOCOL_ERROR, lambda raw: raw.send(WINDOW_UPDATE, 0, 0, U32(0)), "nothing, for the connection")
        self.ends(FRAME_SIZE_ERROR, lambda raw: raw.send(WINDOW_UPDATE, 0, 0, bytes(3)), "size")
        self.ends(FLOW_CONTROL_ERROR, lambda raw: (raw.send(WINDOW_UPDATE, 0, 0, U32(0x7FFFFFFF))), "too much")

        def stream(raw, size):
            raw.headers(1, POST, END_HEADERS)
            raw.send(WINDOW_UPDATE, 0, 1, U32(size))
        self.stream_ends(("reset", FLOW_CONTROL_ERROR), lambda raw: stream(raw, 0x7FFFFFFF), "too much for a stream")
        with self.subTest("nothing, for a stream"):
            raw = self.open()
            stream(raw, 0)
            self.assertIn(raw.outcome(1), (("reset", PROTOCOL_ERROR), ("goaway", PROTOCOL_ERROR)))
        self.fine(lambda raw: (stream(raw, 1000), raw.send(DATA, END_STREAM, 1, b"x")))

    def test_6_9_windows_are_kept(self):
        raw = self.open(payload=settings(window=1))
        raw.headers(1, head("GET", "/long"))
        self.assertEqual(len(raw.wait(DATA).payload), 1)
        raw.send(SETTINGS, 0, 0, settings(window=11))
        self.assertEqual(len(raw.wait(DATA).payload), 10)
        raw.send(SETTINGS, 0, 0, settings(window=1))  # Negative by ten now.
        raw.wait(SETTINGS, lambda f: f.flags & ACK)
        raw.send(WINDOW_UPDATE, 0, 1, U32(15))
        self.assertEqual(len(raw.wait(DATA).payload), 5)
        raw.send(WINDOW_UPDATE, 0, 1, U32(5000))
        self.assertEqual(len(raw.wait(DATA).payload), 3000 - 16)
        self.goes_on(raw)

    def test_6_10_continuation(self):
        def cut(raw, stream=1, then=lambda raw: None):
            block = raw.block(GET)
            raw.send(HEADERS, END_STREAM, 1, block[:2])
            raw.send(CONTINUATION, 0, stream, block[2:3])
            then(raw)
            raw.send(CONTINUATION, END_HEADERS, stream, block[3:])
        self.ends(PROTOCOL_ERROR, lambda raw: cut(raw, stream=3), "of another stream")
        self.ends(PROTOCOL_ERROR, lambda raw: cut(raw, stream=0), "of none")
        self.ends(PROTOCOL_ERROR, lambda raw: cut(raw, then=lambda raw: raw.send(DATA, 0, 1, b"x")), "cut by DATA")
        self.ends(PROTOCOL_ERROR, lambda raw: (raw.headers(1, POST), raw.send(CONTINUATION, END_HEADERS, 1, b"")), "too late")
        self.fine(cut)

    # 8: messages.

    def test_8_1_trailers(self):
        end = [("x-sum", "1")]
        self.stream_ends(("reset", PROTOCOL_ERROR),
                         lambda raw: (raw.headers(1, POST, END_HEADERS), raw.headers(1, end, END_HEADERS)), "not the end")
        self.stream_ends(("reset", PROTOCOL_ERROR),
                         lambda raw: (raw.headers(1, POST, END_HEADERS), raw.headers(1, [(":path", "/")])), "pseudo-header")
        self.fine(lambda raw: (raw.headers(1, POST, END_HEADERS), raw.send(DATA, 0, 1, b"x"), raw.headers(1, end)))

    def malformed(self, fields, name, body=None):
        def play(raw):
            raw.headers(1, fields, END_HEADERS | (END_STREAM if body is None else 0))
            if body is not None:
                raw.send(DATA, END_STREAM, 1, body)
        self.stream_ends(("reset", PROTOCOL_ERROR), play, name)

    def test_8_2_fields(self):
        for name, value in (("X-Upper", "x"), ("x one", "x"), ("x-one", "a\rb"), ("x-one", "a\nb"), ("x-one", "a\0b"),
                            ("connection", "close"), ("keep-alive", "1"), ("proxy-connection", "x"),
                            ("transfer-encoding", "chunked"), ("upgrade", "h2c"), ("te", "gzip"), ("", "x")):
            self.malformed(head(fields=[(name, value)]), f"{name!r}: {value!r}")
        self.fine(lambda raw: raw.headers(1, head(fields=[("te", "trailers"), ("x-one", "a b\t\xff")])))

    def test_8_3_pseudo_headers(self):
        self.malformed([(":unknown", "x"), *GET], "unknown")
        self.malformed([(":status", "200"), *GET], "of a response")
        self.malformed([GET[0], ("x", "y"), *GET[1:]], "behind a field")
        for missing in (":method", ":scheme", ":path"):
            self.malformed([field for field in GET if field[0] != missing], f"no {missing}")
        for doubled in GET:
            self.malformed([*GET, doubled], f"twice {doubled[0]}")
        self.malformed(head(path=""), "empty :path")
        for name, fields in (("user info", head(authority="user@test")), ("Host differs", head(fields=[("host", "other")])),
                             ("nobody", head(authority=None)), ("a space in :path", head(path="/a b"))):
            with self.subTest(name):
                raw = self.open()
                raw.headers(1, fields)
                self.assertIn(raw.outcome(1), (400, ("reset", PROTOCOL_ERROR)))
                self.goes_on(raw)
        self.fine(lambda raw: raw.headers(1, head(authority=None, fields=[("host", "test")])))

    def test_8_1_1_content_length(self):
        self.malformed(head("POST", "/held", fields=[("content-length", "1")]), "without a body")
        self.malformed(head("POST", "/held", fields=[("content-length", "1")]), "longer", b"ab")
        self.malformed(head("POST", "/held", fields=[("content-length", "3")]), "shorter", b"ab")
        self.malformed(head("POST", "/held", fields=[("content-length", "2"), ("content-length", "2")]), "twice", b"ab")
        self.malformed(head("POST", "/held", fields=[("content-length", "+2")]), "no number", b"ab")
        self.fine(lambda raw: (raw.headers(1, head("POST", "/held", fields=[("content-length", "2")]), END_HEADERS),
                               raw.send(DATA, END_STREAM, 1, b"ab")))

    def test_8_5_connect(self):
        raw = self.open()
        raw.headers(1, [(":method", "CONNECT"), (":authority", "example.com:443")], END_HEADERS)
        self.assertEqual(raw.outcome(1), 501)
        raw.headers(3, [(":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":authority", "test")], END_HEADERS)
        self.assertEqual(raw.outcome(3), ("reset", PROTOCOL_ERROR))
        self.goes_on(raw)


if __name__ == "__main__":
    beamgate.main()
