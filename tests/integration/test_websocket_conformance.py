"""WebSocket conformance of the echo mode, case classes of the Autobahn testsuite in short form.

1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 sizes, 10 chopped
input, 12 and 13 compression.  The raw client sees single frames; python3-websockets, an implementation we
had no hand in, talks to the same endpoints.
"""

import asyncio
import random
import struct
import zlib

import websockets  # Debian's python3-websockets; packaging/install-dependencies test.

import beamgate
import ws_client
import ws_frame
from ws_frame import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

HTTP = """
server {
    listen 127.0.0.1:0;
    websocket_message_max 16m;
    websocket_send_queue 64m;
    location = /echo { websocket echo; }
    location = /deflate { websocket echo; websocket_deflate on; websocket_deflate_min 0;
        websocket_deflate_server_window_bits 15; }
    location = /deflate-1 { websocket echo; websocket_deflate on; websocket_deflate_level 1;
        websocket_deflate_server_window_bits 15; }
    location = /deflate-9 { websocket echo; websocket_deflate on; websocket_deflate_level 9;
        websocket_deflate_server_window_bits 15; }
    location = /deflate-fresh { websocket echo; websocket_deflate on; websocket_deflate_min 0;
        websocket_deflate_context_takeover off; }
    location = /deflate-small { websocket echo; websocket_deflate on; websocket_deflate_min 0;
        websocket_deflate_server_window_bits 9; websocket_deflate_client_window_bits 9; }
    location = /chat { websocket echo; websocket_subprotocols v2.chat v1.chat;
        websocket_origins https://*.example.com; }
}
"""

GOOD_TEXTS = [
    "", "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!", "\u03ba\u1f79\u03c3\u03bc\u03b5", "\x00", "\u0080", "\u0800",
    "\U00010000", "\x7f", "\u07ff", "\uffff", "\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "\ufffe", "\U0001fffe", "a" * 1000 + "\u20ac"]
BAD_TEXTS = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xf4\x90\x80\x80", b"\x80", b"\xbf", b"\x80\xbf", b"\xc0\xaf", b"\xc1\xbf",
    b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80", b"\xfe", b"\xff", b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3 ", b"\xe1\x80 "]
GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


class Conformance(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, workers=1)
        self.address = self.running.address()

    def connect(self, target="/echo", **options):
        return ws_client.connect(self.address, target, **options)

    def expect_failure(self, code, *frames, target="/echo", **options):
        """These frames, each (opcode, payload, shape), end the connection with this code."""
        with self.connect(target, **options) as socket:
            socket.wire.send(b"".join(ws_frame.encode(opcode, payload, **shape) for opcode, payload, shape in frames))
            self.assertEqual(socket.recv_close(), code, frames)
            socket.wire.wait_end()

    def expect_echo(self, socket, payload, opcode=BINARY):
        socket.send_frame(opcode, payload)
        self.assertEqual(socket.recv_message(), (opcode, payload))

    # 1 and 9: every length form, up to 16 MiB, text and binary.
    def test_sizes(self):
        with self.connect(timeout=60) as socket:
            for size in [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20, 16 << 20]:
                self.expect_echo(socket, b"\xfe" * size, BINARY)
                self.expect_echo(socket, b"*" * size, TEXT)
        self.expect_failure(1009, (BINARY, b"", {"length": (16 << 20) + 1}))

    # 2
    def test_pings(self):
        with self.connect() as socket:
            for payload in [b"", b"Hello, world!", b"\x00\xff\xfe", b"\xfe" * 125]:
                socket.ping(payload)
                frame = socket.recv_frame()
                self.assertEqual((frame.opcode, frame.fin, frame.payload), (PONG, True, payload))
            socket.send_frame(PONG, b"unsolicited")
            for i in range(10):
                socket.ping(b"%d" % i)
            for i in range(10):
                self.assertEqual(socket.recv_frame().payload, b"%d" % i)
            self.assertEqual(socket.close(), 1000)
        self.expect_failure(1002, (PING, b"\xfe" * 126, {}))
        self.expect_failure(1002, (PING, b"", {"fin": False}))

    # 3 and 4
    def test_reserved_bits_and_opcodes(self):
        for rsv in range(1, 8):
            for opcode in (TEXT, PING, CLOSE):
                self.expect_failure(1002, (opcode, b"", {"rsv": rsv}))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            for payload in (b"", b"x"):
                self.expect_failure(1002, (opcode, payload, {}))
        # What came before the offence is still answered.
        with self.connect() as socket:
            socket.send("before")
            socket.send_frame(TEXT, b"offence", rsv=4)
            self.assertEqual(socket.recv(), "before")
            self.assertEqual(socket.recv_close(), 1002)

    def test_unmasked_and_overlong_heads(self):
        self.expect_failure(1002, (TEXT, b"x", {"mask": False}))
        for head in (b"\x82\xfe\x00\x7d" + bytes(4 + 125), b"\x82\xff" + struct.pack("!Q", 65535) + bytes(4),
                     b"\x82\xff" + struct.pack("!Q", 1 << 63) + bytes(4)):
            with self.connect() as socket:
                socket.wire.send(head)
                self.assertEqual(socket.recv_close(), 1002)

    # 5
    def test_fragmentation(self):
        with self.connect() as socket:
            socket.send_frame(TEXT, b"frag", fin=False)
            socket.ping(b"between")
            socket.send_frame(CONTINUATION, b"", fin=False)
            socket.send_frame(CONTINUATION, b"ment")
            self.assertEqual(socket.recv_frame().payload, b"between")
            self.assertEqual(socket.recv_message(), (TEXT, b"fragment"))
            socket.send_frame(BINARY, b"", fin=False)
            socket.send_frame(CONTINUATION, b"")
            self.assertEqual(socket.recv_message(), (BINARY, b""))
        self.expect_failure(1002, (CONTINUATION, b"x", {}))
        self.expect_failure(1002, (CONTINUATION, b"x", {"fin": False}))
        self.expect_failure(1002, (TEXT, b"a", {"fin": False}), (TEXT, b"b", {}))
        self.expect_failure(1002, (TEXT, b"a", {"fin": False}), (CONTINUATION, b"b", {}), (CONTINUATION, b"c", {}))

    # 6
    def test_text_is_utf8(self):
        with self.connect() as socket:
            for text in GOOD_TEXTS:
                data = text.encode()
                self.expect_echo(socket, data, TEXT)
                for cut in range(0, len(data) + 1, max(1, len(data) // 20)):
                    socket.send_frame(TEXT, data[:cut], fin=False)
                    socket.send_frame(CONTINUATION, data[cut:])
                    self.assertEqual(socket.recv_message(), (TEXT, data))
            for data in BAD_TEXTS:
                self.expect_echo(socket, data, BINARY)
        for data in BAD_TEXTS:
            self.expect_failure(1007, (TEXT, data, {}))
            pieces = [(TEXT, data[:1], {"fin": False})]
            pieces += [(CONTINUATION, data[i:i + 1], {"fin": False}) for i in range(1, len(data))]
            self.expect_failure(1007, *pieces, (CONTINUATION, b"", {}))

    def test_bad_text_fails_before_the_message_ends(self):
        self.expect_failure(1007, (TEXT, b"good so far \xf4\x90", {"fin": False}))
        with self.connect() as socket:
            socket.wire.send(ws_frame.encode(TEXT, b"\xed\xa0" + b"x" * 100)[:8])  # Head, key, two bytes.
            self.assertEqual(socket.recv_close(), 1007)

    # 7
    def test_closing(self):
        for code in GOOD_CODES:
            with self.connect() as socket:
                self.assertEqual(socket.close(code, "reason \u20ac"), code)
        for code in BAD_CODES:
            self.expect_failure(1002, (CLOSE, struct.pack("!H", code), {}))
        with self.connect() as socket:
            socket.send_frame(CLOSE, b"")
            socket.send("ignored")
            self.assertEqual(socket.recv_frame(), ws_frame.Frame(True, 0, CLOSE, False, b""))
            socket.wire.wait_end()
        self.expect_failure(1002, (CLOSE, b"\x03", {}))
        self.expect_failure(1002, (CLOSE, struct.pack("!H", 1000) + b"x" * 124, {}))
        self.expect_failure(1000, (CLOSE, struct.pack("!H", 1000) + b"x" * 123, {}))
        self.expect_failure(1007, (CLOSE, struct.pack("!H", 1000) + b"\xce\xba\xed\xa0\x80", {}))

    # 10: input in small pieces, and many messages in one piece.
    def test_chopped_and_pipelined(self):
        with self.connect() as socket:
            message = bytes(range(256)) * 8
            frame = ws_frame.encode(BINARY, message)
            for start in range(0, len(frame), 7):
                socket.wire.send(frame[start:start + 7])
            self.assertEqual(socket.recv_message(), (BINARY, message))
            socket.wire.send(b"".join(ws_frame.encode(TEXT, b"%d" % i) for i in range(5000)))
            for i in range(5000):
                self.assertEqual(socket.recv(), str(i))

    # 12 and 13
    def test_compression(self):
        offers = {
            "/deflate": ["permessage-deflate", "permessage-deflate; server_no_context_takeover",
                         "permessage-deflate; client_no_context_takeover", "permessage-deflate; server_max_window_bits=9",
                         "permessage-deflate; client_max_window_bits", "permessage-deflate; unknown, permessage-deflate"],
            "/deflate-fresh": ["permessage-deflate"],
            "/deflate-small": ["permessage-deflate; server_max_window_bits=12"],
        }
        shuffle = random.Random(12)
        for target, extensions in offers.items():
            for offer in extensions:
                with self.connect(target, extensions=offer) as socket:
                    self.assertIn("permessage-deflate", socket.extensions)
                    for size in (0, 1, 16, 64, 1000, 5000, 66000, 131072):
                        text = "".join(shuffle.choice(("{\"id\": ", "1234, ", "value", "\u20ac ")) for _ in range(size // 5 + 1))
                        socket.send_deflated(text)
                        self.assertEqual(socket.recv(), text, (target, offer, size))
                        socket.send(text)  # An uncompressed one in between does not disturb the window.
                        self.assertEqual(socket.recv(), text)
        with self.connect("/echo", extensions="permessage-deflate") as socket:
            self.assertIsNone(socket.extensions)

    def test_levels_of_compression(self):
        words = random.Random(1)
        text = " ".join(f"{words.choice(('one', 'other', 'third'))} {words.randrange(500)}" for _ in range(2_000))
        for offer in ("permessage-deflate", "permessage-deflate; server_no_context_takeover"):
            sizes = []
            for target in ("/deflate", "/deflate-1", "/deflate-9") * 2:  # What compresses is used again.
                with self.connect(target, extensions=offer) as socket:
                    socket.send(text)
                    frame = socket.recv_frame()
                    self.assertEqual((frame.fin, frame.rsv, socket.inflate(frame.payload).decode()), (True, 4, text))
                    sizes.append(len(frame.payload))
            self.assertEqual(sizes[:3], sizes[3:])
            self.assertEqual(sizes[0], sizes[1])
            self.assertLess(sizes[2], sizes[1] * 0.9)

    def test_compressed_fragments_share_one_window(self):
        with self.connect("/deflate", extensions="permessage-deflate") as socket:
            for text in ("first message, some words", "second message, some words") * 20:
                data = socket.deflater.compress(text.encode()) + socket.deflater.flush(zlib.Z_SYNC_FLUSH)
                data = data[:-4]
                socket.send_frame(TEXT, data[:3], fin=False, rsv=4)
                socket.ping(b"p")
                socket.send_frame(CONTINUATION, data[3:])
                self.assertEqual(socket.recv(), text)

    def test_what_compression_forbids(self):
        negotiated = {"target": "/deflate", "extensions": "permessage-deflate"}
        good = zlib.compressobj(wbits=-15)
        data = good.compress(b"x" * 100) + good.flush(zlib.Z_SYNC_FLUSH)
        for rsv in (2, 1, 6):
            self.expect_failure(1002, (TEXT, data[:-4], {"rsv": rsv}), **negotiated)
        self.expect_failure(1002, (PING, b"", {"rsv": 4}), **negotiated)
        self.expect_failure(1002, (TEXT, data[:2], {"rsv": 4, "fin": False}), (CONTINUATION, data[2:-4], {"rsv": 4}), **negotiated)
        self.expect_failure(1007, (TEXT, b"\xff\xff\xff", {"rsv": 4}), **negotiated)
        bomb = zlib.compressobj(wbits=-15)
        data = bomb.compress(bytes((16 << 20) + 1)) + bomb.flush(zlib.Z_SYNC_FLUSH)
        self.expect_failure(1009, (BINARY, data[:-4], {"rsv": 4}), **negotiated)

    def test_handshake(self):
        with self.connect("/chat", subprotocols=["v1.chat", "v2.chat"]) as socket:
            self.assertEqual(socket.subprotocol, "v2.chat")
        with self.connect("/chat", headers={"Origin": "https://app.example.com"}) as socket:
            self.assertIsNone(socket.subprotocol)
        cases = [({"Origin": "https://example.org"}, 403), ({"Sec-WebSocket-Key": "short"}, 400),
                 ({"Sec-WebSocket-Protocol": "a b"}, 400), ({"Sec-WebSocket-Extensions": "; ;"}, 400)]
        for headers, status in cases:
            with self.assertRaises(ws_client.Refused) as refused:
                self.connect("/chat", headers=headers)
            self.assertEqual(refused.exception.status, status, headers)


class IndependentClient(beamgate.TestCase):
    """python3-websockets: its own framing, its own compression, takeover and windows as it negotiates them."""

    def test_echo_with_and_without_compression(self):
        running = self.gateway(HTTP)
        asyncio.run(self.talk(running.address()))

    async def talk(self, address):
        for target in ("/echo", "/deflate", "/deflate-fresh", "/deflate-small"):
            for compression in ("deflate", None):
                async with websockets.connect(f"ws://{address}{target}", compression=compression, max_size=None) as socket:
                    negotiated = bool(socket.extensions)
                    self.assertEqual(negotiated, compression is not None and target != "/echo")
                    for size in (0, 1, 125, 126, 70000, 300000):
                        text = ("%d \u20ac " % size) * (size // 8)
                        await socket.send(text)
                        self.assertEqual(await socket.recv(), text)
                        await socket.send(text.encode())
                        self.assertEqual(await socket.recv(), text.encode())
                    await socket.send(["frag", "ment", "ed"])
                    self.assertEqual(await socket.recv(), "fragmented")
                    await asyncio.wait_for(await socket.ping(b"are you there"), 10)
                    await socket.close(4321, "done")
                    self.assertEqual(socket.close_code, 4321)


if __name__ == "__main__":
    beamgate.main()
