"""The oracle itself: it must see every fault that it is there for, so a small server commits each of them.

The other tests of continuity stand on it: an oracle that is blind would let them all pass.
"""

import contextlib
import os
import socket
import ssl
import tempfile
import threading

import beamgate
import tls_client
import ws_frame
from certificates import Authority
from oracle import Oracle, message
from wire import Ended, Timeout, Wire, reset
from ws_frame import BINARY, CLOSE, PING, PONG, TEXT

SILENCE_MAX_S = 10  # Far above what a busy machine does by itself.
STALL_S = 1


class FakeServer:
    """Echoes on /echo, publishes to all on /hub, and spoils message `at` of the first connection to get that far.

    spoil(server, wire, opcode, payload) sends what it likes instead of the message; false: the stream ends.
    tls: an ssl.SSLContext to speak TLS with.
    """

    def __init__(self, spoil=None, at=20, tls=None):
        self.tls = tls
        self.spoil = spoil
        self.at = at
        self.lock = threading.Lock()
        self.hub = []
        self.wires = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                wire = Wire(self.listener.accept()[0], 30)
                self.wires.append(wire)
                thread = threading.Thread(target=self.serve, args=(wire,), daemon=True)
                thread.start()
                self.threads.append(thread)

    def serve(self, wire):
        with contextlib.suppress(Ended, Timeout, OSError):
            if self.tls:
                wire.sock = self.tls.wrap_socket(wire.sock, server_side=True)
            head = wire.read_until(b"\r\n\r\n").decode()
            key = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
            with self.lock:
                wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          b"Sec-WebSocket-Accept: " + ws_frame.accept_for(key).encode() + b"\r\n\r\n")
                if head.startswith("GET /hub"):
                    self.hub.append(wire)
            self.serve_frames(wire, wire in self.hub)
        with contextlib.suppress(OSError):
            wire.sock.shutdown(socket.SHUT_RDWR)

    def serve_frames(self, wire, published):
        count, opcode, data = 0, None, b""
        deadline = wire.deadline(60)
        while True:
            parsed = ws_frame.parse(wire.buffer)
            if not parsed:
                if not wire.fill(deadline):
                    return
                continue
            frame, used = parsed
            wire.take(used)
            if frame.opcode == PING:
                self.send(wire, PONG, frame.payload)
            elif frame.opcode == CLOSE:
                self.send(wire, CLOSE, frame.payload)
                return
            else:
                opcode = frame.opcode or opcode
                data += frame.payload
            if frame.opcode not in (0, TEXT, BINARY) or not frame.fin:
                continue
            count += 1
            spoil, payload, data = None, data, b""
            with self.lock:
                if count == self.at:
                    spoil, self.spoil = self.spoil, None
                if spoil is None:
                    for target in self.hub if published else [wire]:
                        self.send(target, opcode, payload)
            if spoil is not None and not spoil(self, wire, opcode, payload):
                return

    def send(self, wire, opcode, payload, **shape):
        wire.send(ws_frame.encode(opcode, payload, mask=False, **shape))

    def refuse(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join(10)
        self.listener.close()

    def close(self):
        self.refuse()
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:  # Who still reads must not find another's socket under the same number.
            thread.join(10)
        for wire in self.wires:
            wire.close()


def drop(server, wire, opcode, payload):
    return True


def repeat(server, wire, opcode, payload):
    server.send(wire, opcode, payload)
    server.send(wire, opcode, payload)
    return True


def swap(server, wire, opcode, payload):
    number, sequence = payload.split(b" ")[:2]
    server.send(wire, opcode, message(int(number), int(sequence) + 1))
    server.send(wire, opcode, payload)
    return True


def flip_a_bit(server, wire, opcode, payload):
    server.send(wire, opcode, payload[:-1] + bytes([payload[-1] ^ 1]))
    return True


def send_to_another(server, wire, opcode, payload):
    server.send(next(other for other in server.wires if other is not wire), opcode, payload)
    return True


def close_politely(server, wire, opcode, payload):
    server.send(wire, CLOSE, ws_frame.encode_close(1012))
    return True


def end(server, wire, opcode, payload):
    return False


def break_off(server, wire, opcode, payload):
    reset(wire.sock)
    return False


def stall(server, wire, opcode, payload):
    while wire.fill(wire.deadline(30)):
        pass
    return False


def half_a_frame(server, wire, opcode, payload):
    wire.send(ws_frame.encode(opcode, payload, mask=False)[:-5])
    return stall(server, wire, opcode, payload)


def send_what_is_not_sealed(server, wire, opcode, payload):
    with socket.socket(fileno=os.dup(wire.sock.fileno())) as raw:
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    return stall(server, wire, opcode, payload)


def refuse_all(server, wire, opcode, payload):
    server.refuse()
    server.send(wire, opcode, payload)
    return True


def drop_for_one(server, wire, opcode, payload):
    for target in server.hub[1:]:
        server.send(target, opcode, payload)
    return True


def repeat_for_one(server, wire, opcode, payload):
    for target in [*server.hub, server.hub[-1]]:
        server.send(target, opcode, payload)
    return True


class Seen(beamgate.TestCase):
    def oracle(self, spoil=None, **options):
        server = self.track_closing(FakeServer(spoil))
        options = {"connections": 12, "busy": 4, "silence_max": SILENCE_MAX_S, "idle_period": 0.5, **options}
        return self.track_closing(Oracle(server.address, **options).open())

    def track_closing(self, thing):
        self.addCleanup(thing.close)
        return thing

    def kinds(self, spoil, **options):
        oracle = self.oracle(spoil, **options)
        oracle.wait_for(lambda: oracle.faults or oracle.messages > 3000, "fault", 30)
        oracle.finish_quietly()
        with self.assertRaises(AssertionError):
            oracle.check()
        return set(oracle.kinds())

    def test_nothing_wrong(self):
        oracle = self.oracle(hub=("/hub", 6), visitors=2)
        oracle.wait_messages(500)
        oracle.wait_visits(10)
        self.assertTrue(oracle.mark())
        oracle.finish()
        report = oracle.report()
        self.assertEqual(report["faults"], {})
        self.assertGreater(report["messages"], 500)

    def test_dropped(self):
        self.assertIn("gap", self.kinds(drop))

    def test_repeated(self):
        self.assertIn("repeat", self.kinds(repeat))

    def test_swapped(self):
        self.assertLessEqual({"gap", "swap"}, self.kinds(swap))

    def test_altered(self):
        self.assertIn("altered", self.kinds(flip_a_bit))

    def test_sent_to_another(self):
        self.assertLessEqual({"altered", "gap"}, self.kinds(send_to_another))

    def test_closed(self):
        for spoil in (close_politely, end, break_off):
            with self.subTest(spoil=spoil.__name__):
                self.assertEqual(self.kinds(spoil), {"closed"})

    def test_stalled(self):
        for spoil in (stall, half_a_frame):
            with self.subTest(spoil=spoil.__name__):
                self.assertIn("silence", self.kinds(spoil, silence_max=STALL_S))

    def test_an_idle_connection_that_is_gone_is_found_in_the_end(self):
        server = self.track_closing(FakeServer())
        oracle = self.track_closing(Oracle(server.address, connections=5, busy=0, idle_period=1e6).open())
        server.wires[2].sock.shutdown(socket.SHUT_RDWR)
        oracle.finish_quietly()
        self.assertEqual(oracle.kinds(), {"closed": 1})

    def test_visitors_refused(self):
        self.assertIn("refused", self.kinds(refuse_all, visitors=1))

    def test_a_publication_lost_for_one_subscriber(self):
        self.assertIn("gap", self.kinds(drop_for_one, connections=0, busy=0, hub=("/hub", 6)))

    def test_a_publication_twice_for_one_subscriber(self):
        self.assertIn("repeat", self.kinds(repeat_for_one, connections=0, busy=0, hub=("/hub", 6)))


class SeenThroughTls(Seen):
    """The same clients with TLS: what is altered, lost or cut is seen all the same."""

    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(place.cleanup)
        authority = Authority(place.name)
        pair = authority.issue("one.test")
        cls.serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.serving.load_cert_chain(pair.certificate, pair.key)
        cls.trusting = tls_client.Context(authority.certificate)
        cls.distrusting = tls_client.Context(Authority(place.name, "Somebody Else").certificate)

    def oracle(self, spoil=None, tls=None, **options):
        options.pop("hub", None)  # Python's sessions can't be written to by one thread while another reads.
        server = self.track_closing(FakeServer(spoil, tls=self.serving))
        options = {"connections": 12, "busy": 4, "silence_max": SILENCE_MAX_S, "idle_period": 0.5, **options}
        oracle = Oracle(server.address, tls=tls or self.trusting, name="one.test", **options)
        return self.track_closing(oracle).open()

    test_an_idle_connection_that_is_gone_is_found_in_the_end = None
    test_visitors_refused = None
    test_a_publication_lost_for_one_subscriber = test_a_publication_twice_for_one_subscriber = None

    def test_keys_change_meanwhile(self):
        oracle = self.oracle()
        oracle.wait_for(lambda: oracle.faults or oracle.key_updates > 20, "changes of keys", 30)
        oracle.finish()

    def test_a_record_that_is_not_sealed(self):
        self.assertIn("altered", self.kinds(send_what_is_not_sealed))

    def test_a_server_that_nobody_trusts(self):
        with self.assertRaisesRegex(AssertionError, "certificate verify failed"):
            self.oracle(tls=self.distrusting)


if __name__ == "__main__":
    beamgate.main()
