"""Clients that misbehave: each meets its limit and the right close code, memory stays flat, others go on.

Every case runs beside a bystander, an echo connection that must be answered before, during and after.
"""

import select
import subprocess
import threading
import zlib
from signal import SIGHUP

import beamgate
import http_client
import ws_client
import ws_frame
from wire import Ended, Timeout, open_socket

HTTP = """
client_header_timeout 2s;
server {
    listen 127.0.0.1:0;
    location = /echo { websocket echo; websocket_message_max 64k; }
    location = /deflate { websocket echo; websocket_message_max 64k; websocket_deflate on; }
    location = /short { websocket echo; websocket_idle_timeout 1s; websocket_ping_interval 0; }
    location = /slow { websocket raw; websocket_subscribe news; websocket_send_queue 256k; websocket_close_timeout 60s; }
    location = /stalled {
        websocket raw; websocket_subscribe news; websocket_send_queue 256k; websocket_close_timeout 100ms;
    }
    location = /lossy { websocket raw; websocket_subscribe news; websocket_send_queue 256k; websocket_slow_reader drop_oldest; }
    location /api/ { api on; }
    location = /hello { return 200 "hello\\n"; }
}
"""
EVENTS = "worker_connections 12000;"
MIB = 1 << 20


class Hostile(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, events=EVENTS)
        self.address = self.running.address()
        self.bystander = self.track(ws_client.connect(self.address, "/echo"))
        self.check_bystander()
        self.at_rest = self.resident_memory()

    def check_bystander(self):
        self.bystander.send("still there?")
        self.assertEqual(self.bystander.recv(), "still there?")

    def resident_memory(self):
        return self.running.memory()["Rss"]

    def assert_memory_grew_less_than(self, limit):
        if not beamgate.sanitized():  # A sanitizer's own bookkeeping and quarantine are not the gateway's.
            self.assertLess(self.resident_memory() - self.at_rest, limit)

    def publish(self, body):
        response = http_client.post(self.address, "/api/publish?channel=news", body,
                                    {"Content-Type": "application/octet-stream"})
        self.assertEqual(response.status, 200, response)

    # Readers that do not read.

    def test_reader_that_never_reads_is_closed_with_1008(self):
        stalled = self.track(ws_client.connect(self.address, "/slow", receive_buffer=4096))
        reader = self.track(ws_client.connect(self.address, "/slow"))
        for number in range(400):
            self.publish(b"%08d" % number + b"x" * (64 << 10))
            self.assertEqual(reader.recv()[:8], b"%08d" % number)
        self.assert_memory_grew_less_than(8 * MIB)
        self.assertEqual(stalled.recv_close(), 1008)
        self.check_bystander()

    def test_reader_that_does_not_read_its_close_either_is_reset(self):
        """Otherwise the kernel would hold megabytes for it, for minutes after the connection is gone."""
        stalled = self.track(ws_client.connect(self.address, "/stalled"))
        gone = select.poll()
        gone.register(stalled.wire.sock, select.POLLRDHUP)

        def thrown_out():
            self.publish(b"x" * (64 << 10))
            return gone.poll(0)
        (_, events), = beamgate.until(thrown_out, 60, "the end of a connection that is not read")
        self.assertTrue(events & select.POLLERR, "by a reset")
        self.check_bystander()

    def test_lossy_reader_misses_old_messages_and_gets_the_newest(self):
        stalled = self.track(ws_client.connect(self.address, "/lossy", receive_buffer=4096))
        for number in range(400):
            self.publish(b"%08d" % number + b"x" * (64 << 10))
        self.assert_memory_grew_less_than(8 * MIB)
        got = []
        while not got or got[-1] != 399:
            got.append(int(stalled.recv()[:8]))
        self.assertEqual(got, sorted(set(got)), "in order")
        self.assertLess(len(got), 400, "some were dropped")
        self.check_bystander()

    def test_client_that_sends_but_never_reads_is_no_longer_read(self):
        """Its echoes fill the send queue; then its own bytes stay in TCP, and it is closed or held, not stored."""
        greedy = self.track(ws_client.connect(self.address, "/echo", receive_buffer=4096))
        message = ws_frame.encode(ws_frame.BINARY, b"y" * (60 << 10))
        with self.assertRaises((Timeout, ConnectionError)):
            for _ in range(2000):  # 117 MiB, far more than every buffer on the way together.
                greedy.wire.send(message, timeout=3)
        self.assert_memory_grew_less_than(16 * MIB)
        self.check_bystander()

    # Slow senders.

    def test_request_head_one_byte_at_a_time_meets_the_header_timeout(self):
        with http_client.Connection(self.address) as slow:
            pause = threading.Event()
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"a" * 10_000:
                    slow.send(bytes([byte]))
                    pause.wait(0.1)  # The client's own slowness; the gateway gives it 2 s for a whole head.
        self.check_bystander()

    def test_frame_one_byte_at_a_time_is_a_frame(self):
        with ws_client.connect(self.address, "/echo") as slow:
            for byte in ws_frame.encode(ws_frame.TEXT, b"patience" * 20):
                slow.wire.send(bytes([byte]))
            self.assertEqual(slow.recv(), "patience" * 20)

    def test_half_a_frame_meets_the_idle_timeout(self):
        with ws_client.connect(self.address, "/short") as slow:
            slow.wire.send(ws_frame.encode(ws_frame.TEXT, b"never finished")[:7])
            self.assertTrue(slow.recv_close(timeout=8))
            self.assertTrue(slow.wire.wait_end())
        self.check_bystander()

    # Liars.

    def test_announced_sizes(self):
        for length, code in ((64 << 10, None), ((64 << 10) + 1, 1009), (1 << 30, 1009), ((1 << 63) + 5, 1002)):
            with self.subTest(length=length), ws_client.connect(self.address, "/echo") as liar:
                liar.send_frame(ws_frame.BINARY, b"z" * (64 << 10 if code is None else 100), length=length)
                if code is None:
                    self.assertEqual(len(liar.recv()), length)
                else:
                    self.assertEqual(liar.recv_close(), code)
                    self.assertTrue(liar.wire.wait_end())
        self.assert_memory_grew_less_than(4 * MIB)
        self.check_bystander()

    def test_endless_fragments_meet_the_message_limit(self):
        with ws_client.connect(self.address, "/echo") as liar:
            liar.send_frame(ws_frame.TEXT, b"a" * 1000, fin=False)
            for _ in range(66):
                liar.send_frame(ws_frame.CONTINUATION, b"a" * 1000, fin=False)
            self.assertEqual(liar.recv_close(), 1009)
        self.check_bystander()

    def test_compressed_bomb_is_cut_off_at_the_limit(self):
        packer = zlib.compressobj(9, wbits=-15)
        bomb = packer.compress(bytes(256 * MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)
        bomb = bomb[:60 << 10]  # Below the limit on the wire, about 60 MiB unpacked.
        with ws_client.connect(self.address, "/deflate", extensions="permessage-deflate") as liar:
            self.assertIn("permessage-deflate", liar.extensions)
            liar.send_frame(ws_frame.TEXT, bomb, rsv=4)
            self.assertEqual(liar.recv_close(), 1009)
        with ws_client.connect(self.address, "/deflate", extensions="permessage-deflate") as honest:
            honest.send_deflated("b" * (64 << 10))
            self.assertEqual(honest.recv(), "b" * (64 << 10))
        self.assert_memory_grew_less_than(8 * MIB)
        self.check_bystander()

    # Crowds.

    def test_ten_thousand_half_open_handshakes(self):
        crowd = []
        self.addCleanup(lambda: [each.close() for each in crowd])
        for number in range(10_000):
            sock = open_socket(self.address, source=f"127.0.0.{2 + number % 8}")
            sock.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
            crowd.append(sock)
        self.assert_memory_grew_less_than(10_000 * 4096)
        self.check_bystander()
        self.assertEqual(http_client.get(self.address, "/hello").text, "hello\n")
        for sock in crowd:  # All end by the header timeout.
            sock.settimeout(20)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        self.check_bystander()

    def test_five_thousand_connections_come_and_go(self):
        for number in range(5000):
            sock = open_socket(self.address, source=f"127.0.0.{2 + number % 8}")
            if number % 2:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            sock.close()
        self.check_bystander()
        self.assert_memory_grew_less_than(8 * MIB)


class Limits(beamgate.TestCase):
    def test_connections_beyond_worker_connections_do_not_harm_those_within(self):
        gateway = self.gateway(HTTP, workers=1, events="worker_connections 16;")
        inside = self.track(ws_client.connect(gateway.address(), "/echo"))
        outside = []
        self.addCleanup(lambda: [each.close() for each in outside])
        for _ in range(40):
            outside.append(open_socket(gateway.address()))
        inside.send("one of sixteen")
        self.assertEqual(inside.recv(), "one of sixteen")
        for each in outside:
            each.close()
        with ws_client.connect(gateway.address(), "/echo") as late:
            late.send("place again")
            self.assertEqual(late.recv(), "place again")

    def test_a_full_worker_says_so_and_its_control_socket_has_room(self):
        """Whoever looks why nobody gets in any more must get in himself."""
        gateway = self.gateway(HTTP, workers=1, main="control unix:control.sock;", events="worker_connections 4;")
        address = next(each for each in map(gateway.address, range(2)) if not each.startswith("unix:"))
        held = [self.track(ws_client.connect(address, "/echo")) for _ in range(4)]
        waiting = open_socket(address)
        self.addCleanup(waiting.close)
        gateway.wait_log(r"\[alert\].*worker_connections_full connections=4 worker_connections=4")
        for _ in range(2):
            told = subprocess.run([beamgate.binary(), "ctl", "-s", str(gateway.path("control.sock")), "status"],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertIn("4 WebSockets", told.stdout)
        held[0].close()
        beamgate.until(lambda: self.answers(waiting), 10, "an answer to who has waited")

    def answers(self, sock):
        sock.sendall(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.settimeout(5)
        return sock.recv(1 << 16).startswith(b"HTTP/1.1 ")

    def test_a_full_worker_stays_as_it_is_over_a_reload(self):
        """worker_connections needs a restart, whichever way it changes; the log says so."""
        gateway = self.gateway(HTTP, workers=1, events="worker_connections 4;")
        held = [self.track(ws_client.connect(gateway.address(), "/echo")) for _ in range(3)]
        for number in (2, 40):
            mark = gateway.log_mark()
            gateway.write_config(events=f"worker_connections {number};")
            gateway.signal(SIGHUP)
            gateway.wait_log(r"needs_restart.*worker_connections", after=mark)
            gateway.wait_log(r"\bconfiguration_in_force\b", after=mark)
        held.append(self.track(ws_client.connect(gateway.address(), "/echo")))
        sock = open_socket(gateway.address())
        self.addCleanup(sock.close)
        gateway.wait_log(r"worker_connections_full connections=4 worker_connections=4")

    def test_connections_per_address(self):
        gateway = self.gateway(HTTP, workers=2, events="connections_per_address 5;")
        held = [self.track(ws_client.connect(gateway.address(), "/echo", source="127.0.0.5")) for _ in range(5)]
        with self.assertRaises((Ended, ConnectionError, ws_client.Refused)):
            ws_client.connect(gateway.address(), "/echo", source="127.0.0.5")
        with ws_client.connect(gateway.address(), "/echo", source="127.0.0.6") as other:
            other.send("another address")
            self.assertEqual(other.recv(), "another address")
        held[0].close()
        beamgate.until(lambda: self.opens(gateway.address()), 10, "a place for 127.0.0.5")

    def opens(self, address):
        try:
            ws_client.connect(address, "/echo", source="127.0.0.5").wire.close()
        except (Ended, ConnectionError, ws_client.Refused):
            return False
        return True


if __name__ == "__main__":
    beamgate.main()
