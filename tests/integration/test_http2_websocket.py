"""WebSockets over HTTP/2 (RFC 8441): each is a stream, and a connection like every other.

To locations with websocket, where BeamGate terminates them, and through proxy_pass to a backend of HTTP/1.1.
"""

import base64
import contextlib
import json
import os
import tempfile
from signal import SIGKILL, SIGQUIT, SIGTERM, SIGUSR2

import beamgate
import h2_client
import ws_client
import ws_frame
from backend import Actions, Backend, Held, Reply
from certificates import Authority
from ws_client import CLOSE, PING, Refused

METRICS = "server { listen 127.0.0.2:0; location = /metrics { metrics; } }"


class StreamCase(beamgate.TestCase):
    def serving(self, locations="location / { websocket echo; }", more="", http="", **options):
        options.setdefault("workers", 1)
        return self.gateway(f"http2 on; {http} server {{ listen 127.0.0.1:0; {more} {locations} }} {METRICS}", **options)

    def client(self, gateway, **options):
        return self.track(h2_client.connect(gateway.address(), **options))

    def open(self, gateway, path="/", fields=(), **options):
        return h2_client.websocket(self.client(gateway), path, fields, **options)

    def metric(self, gateway, name):
        return gateway.metrics(1)[f"beamgate_{name}"]

    def idle(self, gateway):
        for name in ("websockets_active", "http2_connections_active"):
            beamgate.until(lambda: self.metric(gateway, name) == 0, what=f"the end of {name}")

    def backend(self, **options):
        backend = Backend(**options)
        self.addCleanup(backend.close)
        return backend


class Echo(StreamCase):
    def test_messages_of_every_size(self):
        gateway = self.serving("location / { websocket echo; websocket_message_max 1m; }")
        socket = self.open(gateway)
        for size in (0, 1, 125, 126, 65535, 65536, 300_000):
            socket.send(b"x" * size)
            self.assertEqual(socket.recv(), b"x" * size)
        socket.send("text")
        self.assertEqual(socket.recv(), "text")
        socket.ping(b"hello")
        socket.send("after")
        self.assertEqual(socket.recv(), "after")
        self.assertEqual(socket.pongs, [b"hello"])
        self.assertEqual(socket.close(1000), 1000)
        self.assertEqual(self.metric(gateway, "websocket_handshakes_total"), 1)
        beamgate.until(lambda: self.metric(gateway, "websockets_active") == 0)

    def test_many_share_a_connection_with_requests(self):
        gateway = self.serving("location / { websocket echo; } location /http { return 200 ok; }")
        client = self.client(gateway)
        sockets = [h2_client.websocket(client, "/") for _ in range(50)]
        for number, socket in enumerate(sockets):
            socket.send(f"message {number}")
        self.assertEqual(client.get("/http").text, "ok")
        self.assertEqual([socket.recv() for socket in sockets], [f"message {n}" for n in range(50)])
        self.assertEqual(self.metric(gateway, "websockets_active"), 50)
        for socket in sockets:
            self.assertEqual(socket.close(), 1000)
        self.assertEqual(client.get("/http").text, "ok")

    def test_ways_to_end(self):
        gateway = self.serving()
        socket = self.open(gateway)
        socket.send_frame(CLOSE, ws_frame.encode_close(3456))
        self.assertEqual(socket.recv_close(), 3456)
        self.assertTrue(socket.wire.wait_end())
        socket.wire.end()
        self.assertIsNone(socket.wire.response.reset, "both sides have ended it in order")
        for end in (lambda socket: socket.wire.end(), lambda socket: socket.wire.close(),
                    lambda socket: socket.wire.client.close()):
            socket = self.open(gateway)
            socket.send("x")
            self.assertEqual(socket.recv(), "x")
            end(socket)
            beamgate.until(lambda: self.metric(gateway, "websockets_active") == 0)
        socket = self.open(gateway)
        socket.send_frame(ws_frame.TEXT, b"\xff\xff")
        self.assertEqual(socket.recv_close(), 1007)
        socket = self.open(gateway)
        socket.send_frame(ws_frame.TEXT, b"x", mask=False)
        self.assertEqual(socket.recv_close(), 1002)

    def test_handshakes(self):
        gateway = self.serving("""location / { websocket echo; websocket_subprotocols chat; websocket_deflate on; }
            location /origin { websocket echo; websocket_origins https://good.example; } location /http { return 200 ok; }
            location /404 { return 404; }""")
        client = self.client(gateway)
        socket = h2_client.websocket(client, "/", subprotocols=["other", "chat"], extensions="permessage-deflate")
        self.assertEqual((socket.subprotocol, socket.extensions.split(";")[0]), ("chat", "permessage-deflate"))
        self.assertNotIn("sec-websocket-accept", socket.response.fields)
        self.assertNotIn("upgrade", socket.response.fields)
        socket.send_deflated("squeezed " * 100)
        self.assertEqual(socket.recv(), "squeezed " * 100)
        for path, fields, status in (("/", {"sec-websocket-version": "12"}, 426),
                                     ("/origin", {"origin": "https://bad.example"}, 403), ("/404", {}, 404),
                                     ("/http", {}, 501)):  # A 2xx would say that there is a tunnel.
            with self.subTest(path), self.assertRaises(Refused) as refused:
                h2_client.websocket(client, path, fields)
            self.assertEqual(refused.exception.status, status)
            self.assertNotEqual(refused.exception.response.body, b"ok", "not with the words of a success")
        self.assertEqual(client.get("/").status, 426, "no WebSocket was asked for")
        self.assertEqual(client.get("/http").text, "ok")
        stream = client.request("CONNECT", "/", end=False, pseudo=[(":protocol", "connect-udp")])
        self.assertEqual(client.response(stream).status, 501)

    def test_the_server_says_that_it_can(self):
        raw = self.track(h2_client.Frames(self.serving().address(), handshake=False))
        raw.wire.send(h2_client.PREFACE + h2_client.frame(h2_client.SETTINGS))
        self.assertIn(h2_client.settings(connect=1), raw.wait(h2_client.SETTINGS).payload)

    def test_pings_and_idleness(self):
        gateway = self.serving("location / { websocket echo; websocket_ping_interval 200ms; websocket_idle_timeout 600ms; }")
        socket = self.open(gateway)
        frame = socket.recv_frame()
        while frame.opcode == PING:  # None of them is answered.
            frame = socket.recv_frame()
        self.assertEqual((frame.opcode, ws_frame.decode_close(frame.payload)[0]), (CLOSE, 1001))
        self.assertEqual(self.metric(gateway, 'connections_closed_total{reason="idle"}'), 1)

    def test_a_slow_reader_is_closed(self):
        gateway = self.serving("location / { websocket echo; websocket_send_queue 100k; websocket_message_max 64k; } "
                               "location /http { return 200 ok; }")
        client = self.client(gateway)
        socket = h2_client.websocket(client, "/")
        client.hold = True
        # Echo stops reading when its answers find no room: the stream's window closes, and nothing grows.
        client.timeout = 2
        sent = 0
        with contextlib.suppress(AssertionError):
            for _ in range(100):
                socket.send(b"x" * 50_000)
                sent += 50_000
        self.assertLess(sent, 2_000_000)
        with self.client(gateway) as other:
            self.assertEqual(other.get("/http").text, "ok")

    def test_message_limit(self):
        gateway = self.serving("location / { websocket echo; websocket_message_max 1k; }")
        socket = self.open(gateway)
        socket.send(b"x" * 1025)
        self.assertEqual(socket.recv_close(), 1009)

    def test_connections_are_limited(self):
        gateway = self.serving("location / { websocket echo; limit_conn c 2; } location /http { return 200 ok; }",
                               http="limit_conn_zone $binary_remote_addr zone=c:64k;")
        client = self.client(gateway)
        first, second = h2_client.websocket(client, "/"), h2_client.websocket(client, "/")
        with self.assertRaises(Refused) as refused:
            h2_client.websocket(client, "/")
        self.assertEqual(refused.exception.status, 503)
        first.close()
        beamgate.until(lambda: self.metric(gateway, "websockets_active") == 1)
        h2_client.websocket(client, "/").close()
        second.close()

    def test_worker_connections_count_them(self):
        gateway = self.serving(events="worker_connections 5;")
        client = self.client(gateway)
        kept = []
        with self.assertRaises(Refused) as refused:
            for _ in range(10):
                kept.append(h2_client.websocket(client, "/"))
        self.assertEqual(refused.exception.status, 503)
        self.assertEqual(len(kept), 4, "they and the connection that carries them are five")
        self.assertEqual(client.get("/").status, 426, "which goes on")


class OverTls(StreamCase):
    def test_a_page_and_its_websockets_share_a_connection(self):
        with tempfile.TemporaryDirectory(prefix="beamgate-certificates-") as place:
            authority = Authority(place)
            pair = authority.issue("one.test")
            gateway = self.gateway(f"""http2 on; server {{ listen 127.0.0.1:0 ssl; {pair.directives()}
                location / {{ return 200 page; }} location /echo {{ websocket echo; }} }} {METRICS}""", workers=1)
            context = authority.client()
            context.set_alpn_protocols(["h2"])
            client = self.client(gateway, tls=context, name="one.test")
            self.assertEqual(client.chosen, "h2")
            sockets = [h2_client.websocket(client, "/echo", authority="one.test") for _ in range(10)]
            for socket in sockets:
                socket.send(b"x" * 40_000)
            self.assertEqual(client.get("/", authority="one.test").text, "page")
            self.assertEqual([len(socket.recv()) for socket in sockets], [40_000] * 10)
            self.assertEqual(sockets[0].close(), 1000)
            client.close()
            self.idle(gateway)


class Raw(StreamCase):
    def raw(self, backend, more="", **options):
        return self.serving(f"location / {{ websocket raw; webhook app; {more} }}",
                            http=f"webhook app {{ url {backend.url}/hook; }}", **options)

    def test_connect_message_and_disconnected(self):
        backend = self.backend()
        backend.on("beamgate.connect", Actions(user="ann"))
        backend.on("beamgate.message", lambda request: Reply(200, b"heard: " + request.body, {"Content-Type": "text/plain"}))
        gateway = self.raw(backend)
        socket = self.open(gateway, "/room", {"cookie": "a=1"})
        connect = backend.wait("beamgate.connect")
        socket.send("one")
        self.assertEqual(socket.recv(), "heard: one")
        message = backend.wait("beamgate.message")
        self.assertEqual(message.header("beamgate-connection"), connect.header("beamgate-connection"))
        self.assertEqual(message.header("beamgate-user"), "ann")
        self.assertEqual(socket.close(1000), 1000)
        gone = backend.wait_events("beamgate.disconnected")[0]
        self.assertIsNotNone(gone)
        self.idle_after(gateway, socket)

    def idle_after(self, gateway, socket):
        socket.wire.client.close()
        self.idle(gateway)

    def test_two_on_one_connection_are_two(self):
        backend = self.backend()
        backend.on("beamgate.message", lambda request: Reply(200, request.header("beamgate-connection"),
                                                             {"Content-Type": "text/plain"}))
        gateway = self.raw(backend)
        client = self.client(gateway)
        one, two = h2_client.websocket(client, "/"), h2_client.websocket(client, "/")
        one.send("x")
        two.send("x")
        names = {one.recv(), two.recv()}
        self.assertEqual(len(names), 2)

    def test_the_application_refuses(self):
        backend = self.backend()
        backend.on("beamgate.connect", Reply(403, "go away"))
        gateway = self.raw(backend)
        with self.assertRaises(Refused) as refused:
            self.open(gateway)
        self.assertEqual((refused.exception.status, refused.exception.response.text), (403, "go away"))

    def test_a_client_that_goes_while_the_application_thinks(self):
        backend = self.backend()
        backend.on("beamgate.connect", held := Held())
        gateway = self.raw(backend)
        client = self.client(gateway)
        stream = client.request("CONNECT", "/", [("sec-websocket-version", "13")], end=False,
                                pseudo=[(":protocol", "websocket")])
        backend.wait("beamgate.connect")
        client.reset(stream)
        held.release()
        client.close()
        self.idle(gateway)

    def test_messages_wait_for_the_application(self):
        """While it thinks, the stream's window stays closed behind what is queued."""
        backend = self.backend()
        backend.on("beamgate.message", held := Held())
        gateway = self.raw(backend, "websocket_message_max 64k;")
        client = self.client(gateway, timeout=2)
        socket = h2_client.websocket(client, "/")
        sent = 0
        with contextlib.suppress(AssertionError):
            for _ in range(200):
                socket.send(b"x" * 30_000)
                sent += 30_000
        self.assertLess(sent, 5_000_000)
        self.assertGreater(sent, 60_000)
        held.release()

    def test_channels_reach_them(self):
        backend = self.backend()
        gateway = self.serving(f"""location / {{ websocket raw; websocket_subscribe room; }}
            location /api {{ api on; api_key k; }}""")
        client = self.client(gateway)
        sockets = [h2_client.websocket(client, "/") for _ in range(20)]
        answer = client.response(client.request("POST", "/api/publish", {"x-api-key": "k", "content-type": "application/json"},
                                                json.dumps({"channel": "room", "data": {"a": 1}}).encode()))
        self.assertEqual(answer.status, 200, answer.body)
        for socket in sockets:
            self.assertEqual(json.loads(socket.recv()), {"a": 1})


class Ending(StreamCase):
    def test_a_stop_says_goodbye(self):
        gateway = self.serving()
        """GOAWAY first, so that nothing new comes; each WebSocket has its Close."""
        gateway = self.serving()
        raw = self.track(h2_client.Frames(gateway.address()))
        fields = h2_client.head("CONNECT", fields=[("sec-websocket-version", "13")])
        fields.insert(1, (":protocol", "websocket"))
        raw.headers(1, fields, h2_client.END_HEADERS)
        self.assertEqual(raw.status(1), 200)
        gateway.signal(SIGQUIT)
        self.assertEqual(raw.wait(h2_client.GOAWAY).code, h2_client.NO_ERROR)
        frame, _ = ws_frame.parse(raw.wait(h2_client.DATA).payload)
        self.assertEqual((frame.opcode, ws_frame.decode_close(frame.payload)[0]), (CLOSE, 1001))
        raw.send(h2_client.DATA, 0, 1, ws_frame.encode(CLOSE, frame.payload))
        self.assertTrue(raw.wait(h2_client.DATA).flags & h2_client.END_STREAM)
        raw.send(h2_client.DATA, h2_client.END_STREAM, 1)
        self.assertTrue(raw.wire.wait_end())
        gateway.check_ended()

    def test_when_their_worker_is_replaced(self):
        """Neither can move: GOAWAY at once, the WebSocket goes on for a while, and is then told to come again."""
        gateway = self.serving(main="worker_shutdown_timeout 6s;")
        raw = self.track(h2_client.Frames(gateway.address(), timeout=30))
        fields = h2_client.head("CONNECT", fields=[("sec-websocket-version", "13")])
        fields.insert(1, (":protocol", "websocket"))
        raw.headers(1, fields, h2_client.END_HEADERS)
        self.assertEqual(raw.status(1), 200)
        old = gateway.worker_pids()
        gateway.signal(SIGUSR2)
        gateway.wait_log(r"\breplacement_leaves_connections\b", timeout=30)
        self.assertEqual(raw.wait(h2_client.GOAWAY).code, h2_client.NO_ERROR)
        raw.send(h2_client.DATA, 0, 1, ws_frame.encode(ws_frame.TEXT, b"still there"))
        self.assertEqual(ws_frame.parse(raw.wait(h2_client.DATA).payload)[0].payload, b"still there")
        with self.client(gateway) as other:
            h2_client.websocket(other, "/").close()  # By the new worker.
        frame, _ = ws_frame.parse(raw.wait(h2_client.DATA).payload)
        self.assertEqual((frame.opcode, ws_frame.decode_close(frame.payload)[0]), (CLOSE, 1012))
        raw.send(h2_client.DATA, h2_client.END_STREAM, 1, ws_frame.encode(CLOSE, frame.payload))
        self.assertTrue(raw.wire.wait_end())
        gateway.wait_log(r"\bupgraded\b", timeout=30)
        beamgate.until(lambda: not set(old) & set(gateway.worker_pids()), 20, "the old worker's end")

    def test_a_fast_stop(self):
        gateway = self.serving("location / { websocket echo; } location /raw { websocket raw; }")
        client = self.client(gateway)
        h2_client.websocket(client, "/")
        h2_client.websocket(client, "/raw")
        gateway.stop(SIGTERM)

    def test_a_dead_worker(self):
        backend = self.backend()
        gateway = self.serving("location / { websocket raw; webhook app; }", http=f"webhook app {{ url {backend.url}/hook; }}")
        gateway.expect_deaths()
        client = self.client(gateway)
        h2_client.websocket(client, "/")
        os.kill(gateway.worker_pids()[0], SIGKILL)
        self.assertTrue(client.wire.wait_end())
        with self.client(gateway) as other:
            h2_client.websocket(other, "/").close()
        self.assertTrue(backend.wait_events("beamgate.disconnected", count=2))
        self.idle(gateway)


class PassedThrough(StreamCase):
    def accepting(self, scene):
        class Accepting:
            def play(self, wire, request, stopping):
                accept = ws_frame.accept_for(request.header("sec-websocket-key"))
                wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
                          f"Sec-WebSocket-Accept: {accept}\r\nX-From: backend\r\n\r\n".encode())
                scene(wire)
                return False
        return Accepting()

    def echo(self, wire):
        with contextlib.suppress(EOFError, AssertionError):
            while True:
                parsed = ws_frame.parse(wire.buffer)
                if parsed is None:
                    if not wire.fill(wire.deadline(20)):
                        return
                    continue
                frame, used = parsed
                wire.take(used)
                wire.send(ws_frame.encode(frame.opcode, frame.payload, mask=False))
                if frame.opcode == CLOSE:
                    return

    def test_a_backend_of_http1_sees_an_upgrade(self):
        backend = self.backend()
        backend.on("/app", self.accepting(self.echo))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }}")
        socket = self.open(gateway, "/app", {"x-one": "1"})
        seen = backend.wait(path="/app")
        self.assertEqual((seen.method, seen.header("upgrade"), seen.header("connection"), seen.header("x-one")),
                         ("GET", "websocket", "Upgrade", "1"))
        self.assertEqual(len(base64.b64decode(seen.header("sec-websocket-key"))), 16)
        self.assertEqual(socket.response.header("x-from"), "backend")
        for size in (0, 5, 70_000, 1_000_000):
            socket.send(b"x" * size)
            self.assertEqual(len(socket.recv(timeout=30)), size)
        self.assertEqual(self.metric(gateway, "upstream_tunnels_active"), 1)
        self.assertEqual(socket.close(), 1000)
        beamgate.until(lambda: self.metric(gateway, "upstream_tunnels_active") == 0)
        socket.wire.client.close()
        self.idle(gateway)

    def test_either_side_may_end(self):
        backend = self.backend()
        backend.on("/echo", self.accepting(self.echo))
        backend.on("/gone", self.accepting(lambda wire: wire.send(ws_frame.encode(ws_frame.TEXT, b"bye", mask=False))))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }}")
        client = self.client(gateway)
        socket = h2_client.websocket(client, "/gone")
        self.assertEqual(socket.recv(), "bye")
        self.assertTrue(socket.wire.wait_end())
        for end in (lambda socket: socket.wire.end(), lambda socket: socket.wire.close()):
            socket = h2_client.websocket(client, "/echo")
            end(socket)
            beamgate.until(lambda: self.metric(gateway, "upstream_tunnels_active") == 0)

    def test_a_backend_that_refuses(self):
        backend = self.backend()
        backend.on("/no", Reply(403, "no"))
        backend.on("/page", Reply(200, "a page"))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }}")
        client = self.client(gateway)
        for path, status in (("/no", 403), ("/page", 501)):
            with self.assertRaises(Refused) as refused:
                h2_client.websocket(client, path)
            self.assertEqual(refused.exception.status, status)
        self.assertEqual(client.get("/page").text, "a page")


if __name__ == "__main__":
    beamgate.main()
