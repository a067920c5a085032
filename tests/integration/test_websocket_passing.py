"""WebSockets passed through to an application: proxy_pass of an Upgrade, against a real server (npm's ws).

What it shows: messages go both ways whatever their size; each way to end reaches the other side; an idle one
ends; a location decides whether BeamGate passes or terminates; memory stays bounded while a reader stands still.
"""

import queue
import re
import subprocess
import threading
from pathlib import Path

import beamgate
import http_client
import ws_client
import ws_frame
from backend import Raw

SUPPORT = beamgate.SOURCE_ROOT / "tests" / "support"
MEGABYTE = 1 << 20
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


class Application:
    """The Node process; `said` are its lines."""

    def __init__(self):
        if not (SUPPORT / "node_modules" / "ws").is_dir():
            raise AssertionError("ws is not installed; run: npm ci --prefix tests/support")
        self.process = subprocess.Popen(["node", str(SUPPORT / "ws_backend.js")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.said = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.address = "127.0.0.1:" + self.wait(r"port (\d+)").group(1)

    def _read(self):
        for line in self.process.stdout:
            self.said.put(line.rstrip())

    def wait(self, pattern, timeout=60):
        return re.fullmatch(pattern, self.said.get(timeout=timeout))

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.reader.join(10)
        self.process.stdout.close()


class Accepting:
    """A backend that agrees to every WebSocket and then plays `scene(wire)`."""

    def __init__(self, scene):
        self.scene = scene

    def play(self, wire, request, stopping):
        accept = ws_frame.accept_for(request.header("sec-websocket-key"))
        wire.send(f"{SWITCH}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        self.scene(wire)
        return False


def peak_memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


class Passing(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.application = Application()

    @classmethod
    def tearDownClass(cls):
        cls.application.close()

    def start(self, location="", address=None, workers=1):
        gateway = self.gateway(
            f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{address or self.application.address};"
            f"{location} }} location /own {{ websocket echo; }} location /metrics {{ metrics on; }} }}",
            workers=workers)
        return gateway, gateway.address()

    def connect(self, address, target="/echo", **options):
        socket = self.track(ws_client.connect(address, target, **options))
        if target.startswith("/echo"):
            self.greeting = socket.recv()
        return socket

    def test_messages_go_both_ways(self):
        gateway, address = self.start()
        socket = self.connect(address, "/echo?a=b")
        self.assertEqual(self.greeting, f"/echo?a=b {self.application.address} 127.0.0.1")
        for message in ("hello", b"\x00\xff", "x" * 65536, ""):
            socket.send(message)
            self.assertEqual(socket.recv(), message)
        socket.ping(b"ping")
        socket.send("after")
        self.assertEqual(socket.recv(), "after")
        self.assertEqual(socket.pongs, [b"ping"])  # The application's, not ours.
        self.assertEqual(gateway.metrics()["beamgate_upstream_tunnels_active"], 1)
        socket.close(4000, "bye")
        self.assertTrue(self.application.wait("closed 4000"))
        beamgate.until(lambda: gateway.metrics()["beamgate_upstream_tunnels_active"] == 0, 10, "the tunnel's end")

    def test_many_at_once_and_their_extensions(self):
        _, address = self.start(workers=2)
        sockets = [self.connect(address, extensions="permessage-deflate") for _ in range(30)]
        self.assertIn("permessage-deflate", sockets[0].extensions)
        for round_number in range(3):
            for number, socket in enumerate(sockets):
                socket.send_deflated(f"{round_number} {number}")
            for number, socket in enumerate(sockets):
                self.assertEqual(socket.recv(), f"{round_number} {number}")
        for socket in sockets:
            socket.close()
            self.assertTrue(self.application.wait("closed 1000"))

    def test_large_messages(self):
        _, address = self.start()
        socket = self.connect(address, timeout=60)
        message = bytes(range(256)) * (8 * MEGABYTE // 256)
        sender = threading.Thread(target=socket.send, args=(message,), daemon=True)
        sender.start()
        self.assertEqual(socket.recv(60), message)
        sender.join(30)
        socket.close()
        self.application.wait("closed 1000")

    def test_the_application_may_close(self):
        _, address = self.start()
        socket = self.connect(address, "/close")
        socket.send("x")
        self.assertEqual(socket.recv_close(), 4001)
        self.application.wait("closed .*")
        vanishing = self.connect(address, "/vanish")
        vanishing.send("x")
        with self.assertRaises(ws_client.Closed) as caught:
            vanishing.recv()
        self.assertEqual(caught.exception.code, 1006)
        self.application.wait("closed 1006")

    def test_a_client_may_vanish(self):
        gateway, address = self.start()
        socket = self.connect(address)
        socket.abort()
        self.assertTrue(self.application.wait("closed 1006"))
        beamgate.until(lambda: gateway.metrics()["beamgate_upstream_tunnels_active"] == 0, 10, "the tunnel's end")

    def test_a_refusal_and_plain_requests_are_ordinary(self):
        _, address = self.start()
        with self.assertRaises(ws_client.Refused) as caught:
            ws_client.connect(address, "/refuse")
        self.assertEqual((caught.exception.status, caught.exception.response.text), (403, "no"))
        self.assertEqual(http_client.get(address, "/").text, "plain")

    def test_a_location_decides_who_terminates(self):
        _, address = self.start()
        own = self.connect(address, "/own")
        own.send("ours")
        self.assertEqual(own.recv(), "ours")
        self.assertEqual(self.greeting_of(address), f"/echo {self.application.address} 127.0.0.1")

    def test_fields_that_are_always_added(self):
        """To a 101 as to any answer, whoever terminates; as nginx does it."""
        gateway = self.gateway(
            f"server {{ listen 127.0.0.1:0; add_header X-Always $connection_id always; add_header X-Usual yes;"
            f" location / {{ proxy_pass http://{self.application.address}; }} location /own {{ websocket echo; }} }}")
        for target in ("/echo", "/own"):
            socket = self.connect(gateway.address(), target)
            answer = socket.response
            socket.close()
            self.assertRegex(answer.header("x-always"), r"^[0-9a-f]{16}$", target)
            self.assertIsNone(answer.header("x-usual"), target)
        self.assertTrue(self.application.wait("closed 1000"))

    def greeting_of(self, address):
        socket = self.connect(address)
        socket.close()
        self.application.wait("closed 1000")
        return self.greeting

    def test_as_nginx_is_told(self):
        _, address = self.start('proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
                                'proxy_set_header Host chat.example; proxy_http_version 1.1;')
        self.assertEqual(self.greeting_of(address), "/echo chat.example 127.0.0.1")

    def test_unless_it_is_not_wanted(self):
        _, address = self.start('proxy_set_header Connection "";')
        with self.assertRaises(ws_client.Refused) as caught:
            ws_client.connect(address, "/echo")
        self.assertEqual(caught.exception.status, 200)

    def test_silence_of_the_application_ends_it(self):
        gateway, address = self.start("proxy_read_timeout 3s;")
        socket = self.connect(address)
        for _ in range(4):  # As long as it speaks, all is well.
            socket.send("x")
            self.assertEqual(socket.recv(), "x")
        with self.assertRaises(ws_client.Closed):
            socket.recv(30)
        self.application.wait("closed 1006")
        self.assertEqual(gateway.metrics()["beamgate_upstream_tunnels_active"], 0)

    def test_half_closed(self):
        """The client sends its last and FIN; the application answers all the same."""
        heard = queue.Queue()

        def scene(wire):
            heard.put(wire.read_to_end(20))
            wire.send(b"the end")

        origin = self.backend(Accepting(scene))
        _, address = self.start(address=origin.address)
        socket = self.connect(address, "/half")
        socket.wire.send(b"last words")
        socket.wire.sock.shutdown(1)
        self.assertEqual(heard.get(timeout=20), b"last words")
        self.assertEqual(socket.wire.read_to_end(20), b"the end")

    def test_what_comes_right_behind_the_heads(self):
        """Bytes that share a packet with the handshake, in both directions, belong to the tunnel."""
        heard = queue.Queue()

        def scene(wire):
            heard.put(wire.read_exactly(5, 20))

        class Eager(Accepting):
            def play(self, wire, request, stopping):
                accept = ws_frame.accept_for(request.header("sec-websocket-key"))
                wire.send(f"{SWITCH}Sec-WebSocket-Accept: {accept}\r\n\r\nserver".encode())
                scene(wire)
                return False

        origin = self.backend(Eager(scene))
        _, address = self.start(address=origin.address)
        connection = self.track(http_client.Connection(address))
        connection.send(ws_frame.handshake(address, "/", ws_frame.make_key(), (), (), None) + b"early")
        self.assertEqual(connection.read_head().status, 101)
        self.assertEqual(connection.wire.read_exactly(6, 20), b"server")
        self.assertEqual(heard.get(timeout=20), b"early")

    def test_bytes_behind_a_refused_handshake_are_a_request(self):
        origin = self.backend()
        _, address = self.start(address=origin.address)
        connection = self.track(http_client.Connection(address))
        connection.send(ws_frame.handshake(address, "/first", ws_frame.make_key(), (), (), None)
                        + b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual([connection.read_response().status for _ in range(2)], [200, 200])
        self.assertEqual([request.path for request in origin.requests], ["/first", "/second"])

    def test_only_websockets_are_passed(self):
        """An upgrade to h2c would speak past everything that is checked here."""
        origin = self.backend(Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"))
        _, address = self.start('proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
                                address=origin.address)
        response = http_client.request(address, "GET", "/", {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings",
                                                             "HTTP2-Settings": "AAMAAABkAAQAAP__"})
        self.assertEqual(response.status, 502)
        request = origin.wait()
        self.assertIsNone(request.header("upgrade"))
        self.assertIsNone(request.header("http2-settings"))

    def test_a_reader_that_stands_still_costs_no_memory(self):
        sent = {"bytes": 0}
        block = b"x" * 65536

        def pour(wire):
            while sent["bytes"] < 64 * MEGABYTE:
                wire.send(block, 60)
                sent["bytes"] += len(block)

        origin = self.backend(Accepting(pour), timeout=60)
        gateway, address = self.start(address=origin.address)
        before = peak_memory(gateway.worker_pids()[0])
        socket = self.connect(address, "/pour", timeout=60, receive_buffer=65536)
        seen = []

        def still():
            seen.append(sent["bytes"])
            return len(seen) > 60 and seen[-1] == seen[-60]

        beamgate.until(still, 60, "the application being held up")
        self.assertLess(sent["bytes"], 32 * MEGABYTE)
        left = 64 * MEGABYTE
        while left > 0:
            left -= len(socket.wire.read_exactly(min(left, MEGABYTE), 60))
        if not beamgate.sanitized():
            self.assertLess(peak_memory(gateway.worker_pids()[0]) - before, 8 * MEGABYTE)

    def test_an_application_that_does_not_read_holds_up_its_client(self):
        release = threading.Event()
        got = queue.Queue()

        def scene(wire):
            release.wait(60)
            got.put(len(wire.read_exactly(16 * MEGABYTE, 60)))

        origin = self.backend(Accepting(scene), timeout=60)
        gateway, address = self.start(address=origin.address)
        before = peak_memory(gateway.worker_pids()[0])
        socket = self.connect(address, "/fill", timeout=60)
        sender = threading.Thread(target=socket.wire.send, args=(b"x" * (16 * MEGABYTE), 60), daemon=True)
        sender.start()
        # Another one is served meanwhile.
        self.assertEqual(http_client.get(address, "/metrics").status, 200)
        release.set()
        self.assertEqual(got.get(timeout=60), 16 * MEGABYTE)
        sender.join(30)
        if not beamgate.sanitized():
            self.assertLess(peak_memory(gateway.worker_pids()[0]) - before, 8 * MEGABYTE)

    def test_a_stopping_gateway_ends_its_tunnels(self):
        gateway = self.gateway(f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass "
                               f"http://{self.application.address}; }} }}", main="worker_shutdown_timeout 1s;")
        socket = self.connect(gateway.address())
        gateway.stop(3)
        with self.assertRaises(ws_client.Closed):
            socket.recv(10)
        self.application.wait("closed 1006")


if __name__ == "__main__":
    beamgate.main()
