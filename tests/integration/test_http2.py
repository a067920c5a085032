"""HTTP/2 towards clients: whatever works over HTTP/1 works over it, within the same limits.

The clients are hyper-h2, curl, h2load, Node's http2 module, and frames made by hand where a rule is to be broken
(test_http2_frames.py has those of the framing).
"""

import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time
from signal import SIGHUP, SIGKILL, SIGQUIT

import beamgate
import h2_client
import http_client
from backend import Backend, Held, Huge, Raw, Reply
from certificates import Authority
from h2_client import (CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, NO_ERROR, PING,
                       PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, head, settings)

METRICS = "server { listen 127.0.0.2:0; location = /metrics { metrics; } }"
U32 = struct.Struct("!I").pack


class Http2Case(beamgate.TestCase):
    def serving(self, locations="location / { return 200 ok; }", more="", workers=1, listen="listen 127.0.0.1:0;", **options):
        return self.gateway(f"http2 on; server {{ {listen} {more} {locations} }} {METRICS}", workers=workers, **options)

    def client(self, gateway, **options):
        return self.track(h2_client.connect(gateway.address(), **options))

    def frames(self, gateway, **options):
        return self.track(h2_client.Frames(gateway.address(), **options))

    def metric(self, gateway, name):
        return gateway.metrics(1)[f"beamgate_{name}"]

    def backend(self):
        backend = Backend()
        self.addCleanup(backend.close)
        return backend

    def idle(self, gateway):
        """Nothing is left of what was under way."""
        beamgate.until(lambda: self.metric(gateway, "http2_connections_active") == 0, what="the connections' end")


class Speaking(Http2Case):
    """Who speaks HTTP/2, and who doesn't."""

    def test_prior_knowledge(self):
        gateway = self.serving('location / { return 200 "$server_protocol $http2 $request_method $request_uri $host $scheme"; }')
        with self.client(gateway) as client:
            for number in range(3):
                self.assertEqual(client.get(f"/{number}?x").text, f"HTTP/2.0 h2c GET /{number}?x test http")
        self.assertEqual(http_client.get(gateway.address(), "/").text, "HTTP/1.1  GET / 127.0.0.1 http")
        done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", " %{http_version}",
                               f"http://{gateway.address()}/curl"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.stdout, "HTTP/2.0 h2c GET /curl 127.0.0.1 http 2", done.stderr)
        self.assertEqual(self.metric(gateway, "http2_connections_total"), 2)
        self.idle(gateway)

    def test_off_by_default(self):
        gateway = self.gateway("server { listen 127.0.0.1:0; location / { return 200 ok; } }")
        raw = self.frames(gateway, handshake=False)
        raw.wire.send(h2_client.PREFACE)
        self.assertRegex(raw.wire.read_until(b"\r\n"), rb"HTTP/1.1 (400|505) ")

    def test_listen_http2_speaks_for_the_address(self):
        gateway = self.gateway("server { listen 127.0.0.1:0 http2; location / { return 200 ok; } }")
        self.assertEqual(self.client(gateway).get("/").text, "ok")

    def test_access_log(self):
        gateway = self.gateway("""log_format one '$request|$status|$body_bytes_sent|$http2|$http_x_one';
            http2 on; access_log access.log one; server { listen 127.0.0.1:0; location / { return 200 "four"; } }""", workers=1)
        with self.client(gateway) as client:
            client.get("/a", {"x-one": "1"})
            client.get("/b", {"x-one": "2"})
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_text().count("\n") == 2)
        self.assertEqual(log.read_text(), "GET /a HTTP/2.0|200|4|h2c|1\nGET /b HTTP/2.0|200|4|h2c|2\n")

    def test_streams_are_answered_as_they_are_ready(self):
        backend = self.backend()
        backend.on("/slow", held := Held(Reply(200, "slow")))
        gateway = self.serving(f"location /slow {{ proxy_pass {backend.url}; }} location / {{ return 200 quick; }}")
        client = self.client(gateway)
        slow = client.request("GET", "/slow")
        self.assertEqual([client.get("/").text for _ in range(5)], ["quick"] * 5)
        held.release()
        self.assertEqual(client.response(slow).text, "slow")

    def test_many_streams_at_once(self):
        gateway = self.serving("location / { return 200 $request_uri; }", "http2_max_concurrent_streams 100;")
        client = self.client(gateway)
        client.get("/")
        streams = [(client.request("GET", f"/{n}"), n) for n in range(100)]
        for stream, number in streams:
            self.assertEqual(client.response(stream).text, f"/{number}")


class WithTls(Http2Case):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(cls.place.cleanup)
        cls.authority = Authority(cls.place.name)
        cls.pair = cls.authority.issue("one.test", "127.0.0.1")

    def context(self, *protocols, **options):
        context = self.authority.client(**options)
        context.set_alpn_protocols(list(protocols))
        return context

    def tls_gateway(self, more="http2 on;", others="", **options):
        return self.gateway(f"""server {{ listen 127.0.0.1:0 ssl; {self.pair.directives()} server_name one.test; {more}
            location / {{ return 200 "$server_protocol $http2 $scheme $ssl_protocol"; }} }} {others} {METRICS}""", workers=1, **options)

    def chosen(self, gateway, *offered, name="one.test"):
        client = self.client(gateway, tls=self.context(*offered), name=name)
        return client.chosen

    def test_alpn(self):
        gateway = self.tls_gateway()
        client = self.client(gateway, tls=self.context("h2", "http/1.1"), name="one.test")
        self.assertEqual(client.chosen, "h2")
        self.assertEqual(client.get("/", authority="one.test").text, "HTTP/2.0 h2 https TLSv1.3")
        self.assertEqual(http_client.get(gateway.address(), "/", tls=self.context("http/1.1"), name="one.test").text,
                         "HTTP/1.1  https TLSv1.3")
        self.assertEqual(self.metric(gateway, "http2_connections_total"), 1)

    def test_the_name_decides(self):
        two = self.authority.issue("two.test")
        gateway = self.tls_gateway(others=f"""server {{ listen 127.0.0.1:0 ssl; {two.directives()} server_name two.test;
            location / {{ return 200 two; }} }}""")
        for name, protocol in (("one.test", "h2"), ("two.test", "http/1.1")):
            with http_client.Connection(gateway.address(), tls=self.context("h2", "http/1.1"), name=name) as connection:
                self.assertEqual(connection.wire.sock.selected_alpn_protocol(), protocol)

    def test_off_by_default(self):
        gateway = self.tls_gateway(more="")
        with http_client.Connection(gateway.address(), tls=self.context("h2", "http/1.1"), name="one.test") as connection:
            self.assertEqual(connection.wire.sock.selected_alpn_protocol(), "http/1.1")
        with self.assertRaises(ssl.SSLError):
            http_client.Connection(gateway.address(), tls=self.context("h2"), name="one.test")

    def test_curl(self):
        gateway = self.tls_gateway()
        host, port = gateway.address().rsplit(":", 1)
        done = subprocess.run(["curl", "-sS", "--http2", "--cacert", str(self.authority.certificate), "--resolve",
                               f"one.test:{port}:{host}", "-w", " %{http_version}", f"https://one.test:{port}/"],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.stdout, "HTTP/2.0 h2 https TLSv1.3 2", done.stderr)

    def test_another_server_is_not_reached_around_its_demand(self):
        two = self.authority.issue("two.test")
        gateway = self.tls_gateway(others=f"""server {{ listen 127.0.0.1:0 ssl; {two.directives()} server_name two.test;
            http2 on; ssl_verify_client on; ssl_client_certificate {self.authority.certificate};
            location / {{ return 200 secret; }} }}""")
        client = self.client(gateway, tls=self.context("h2"), name="one.test")
        self.assertEqual(client.get("/", authority="one.test").status, 200)
        self.assertEqual(client.get("/", authority="two.test").status, 421)

    def test_node(self):
        if not shutil.which("node"):
            self.skipTest("no node")
        gateway = self.tls_gateway()
        script = """
            const client = require('http2').connect(process.argv[1], {ca: require('fs').readFileSync(process.argv[2]),
                                                                      servername: 'one.test'});
            let left = 20;
            for (let i = 0; i < 20; i++) {
              const request = client.request({':path': '/' + i});
              let status, body = '';
              request.on('response', fields => { status = fields[':status']; });
              request.on('data', part => { body += part; });
              request.on('end', () => { console.log(status + ' ' + body); if (--left === 0) client.close(); });
              request.end();
            }"""
        done = subprocess.run(["node", "-e", script, f"https://{gateway.address()}", str(self.authority.certificate)],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout.splitlines(), ["200 HTTP/2.0 h2 https TLSv1.3"] * 20, done.stderr)

    def test_h2load(self):
        gateway = self.tls_gateway(more="http2 on; keepalive_requests 100000;")
        done = subprocess.run(["h2load", "-n", "3000", "-c", "10", "-m", "20", f"https://{gateway.address()}/"],
                              capture_output=True, text=True, timeout=120)
        self.assertIn("3000 succeeded, 0 failed, 0 errored", done.stdout)
        self.idle(gateway)


class Bodies(Http2Case):
    def echoing(self, more="", **options):
        backend = self.backend()
        backend.on("*", lambda request: Reply(200, request.body, {"X-Length": request.header("content-length", "none"),
                                                                  "X-Coding": request.header("transfer-encoding", "none")}))
        return backend, self.serving(f"location / {{ proxy_pass {backend.url}; client_max_body_size 20m; {more} }}", **options)

    def test_requests_reach_a_backend_as_http1(self):
        backend, gateway = self.echoing()
        client = self.client(gateway)
        response = client.response(client.request("POST", "/a?b", {"x-one": "1", "content-length": "5"}, b"hello"))
        self.assertEqual((response.status, response.text, response.header("x-length")), (200, "hello", "5"))
        seen = backend.wait(path="/a")
        self.assertEqual((seen.method, seen.target, seen.header("x-one"), seen.header("host")), ("POST", "/a?b", "1",
                                                                                                 backend.address))
        response = client.response(client.request("POST", "/", (), b"x" * 100_000))
        self.assertEqual((response.header("x-coding"), len(response.body)), ("chunked", 100_000))
        self.assertEqual(client.response(client.request("PUT", "/", {"content-length": "0"}, b"")).header("x-length"), "0")
        self.assertEqual(client.get("/", {"cookie": "a=1"}).status, 200)
        self.assertEqual(client.response(client.request("GET", "/crumbs", [("cookie", "a=1"), ("cookie", "b=2")])).status, 200)
        self.assertEqual(backend.wait(path="/crumbs").header("cookie"), "a=1; b=2")

    def test_large_bodies_both_ways(self):
        _, gateway = self.echoing()
        client = self.client(gateway)
        body = os.urandom(3_000_000)
        response = client.response(client.request("POST", "/", (), body), timeout=60)
        self.assertEqual(response.body, body)

    def test_trailers(self):
        backend = self.backend()
        backend.on("/", Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                            b"3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; proxy_pass_trailers on; }}")
        client = self.client(gateway)
        response = client.get("/")
        self.assertEqual((response.text, response.trailers), ("abc", [("x-sum", "6")]))
        self.assertIsNone(client.get("/").reset)

    def test_request_trailers_end_the_body(self):
        _, gateway = self.echoing()
        client = self.client(gateway)
        response = client.response(client.request("POST", "/", (), b"abc", trailers=[("x-sum", "6")]))
        self.assertEqual(response.text, "abc")

    def test_interims_and_continue(self):
        backend = self.backend()
        backend.on("/", Raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n"
                            b"Content-Length: 2\r\n\r\nok"))  # Else the POST may meet a connection that is just ending.
        backend.on("/body", lambda request: Reply(200, request.body))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }}")
        client = self.client(gateway)
        response = client.get("/")
        self.assertEqual([status for status, _ in response.interims], [103])
        self.assertIn(("link", "</a>"), response.interims[0][1])
        self.assertEqual(response.text, "ok")
        stream = client.request("POST", "/body", {"expect": "100-continue"}, end=False)
        client.until(lambda: client.responses[stream].interims)
        self.assertEqual(client.responses[stream].interims[0][0], 100)
        client.send_body(stream, b"now")
        self.assertEqual(client.response(stream).text, "now")

    def test_answers_without_a_body(self):
        gateway = self.serving("""location /204 { return 204; } location / { return 200 body; }
            location /304 { return 304; }""")
        client = self.client(gateway)
        head_only = client.response(client.request("HEAD", "/"))
        self.assertEqual((head_only.status, head_only.header("content-length"), head_only.body), (200, "4", b""))
        for status in (204, 304):
            response = client.get(f"/{status}")
            self.assertEqual((response.status, response.body, response.ended), (status, b"", True))
        self.assertIsNone(client.get("/204").header("content-length"))

    def test_files(self):
        contents = {str(size): os.urandom(size) for size in (0, 1, 16384, 300_000, 5_000_000)}
        gateway = self.serving("root files;", files={f"files/{name}": data for name, data in contents.items()})
        client = self.client(gateway)
        streams = {name: client.request("GET", f"/{name}") for name in contents}
        for name, stream in streams.items():
            self.assertEqual(client.response(stream, 60).body, contents[name])
        response = client.get("/300000", {"range": "bytes=5-9"})
        self.assertEqual((response.status, response.body), (206, contents["300000"][5:10]))

    def test_windows_hold_a_response_back(self):
        """What the client gives no credit for waits with the backend, not here."""
        backend = self.backend()
        backend.on("/", huge := Huge(200 << 20))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }} location /quick {{ return 200 ok; }}")
        client = self.client(gateway)
        client.hold = True
        stream = client.request("GET", "/")
        client.until(lambda: len(client.responses[stream].body) >= 65535)
        with self.client(gateway) as other:
            self.assertEqual(other.get("/quick").text, "ok")
        before = huge.sent
        self.assertLess(before, 60 << 20)
        client.reset(stream)
        self.idle_streams(client)

    def idle_streams(self, client):
        client.hold = False
        client.state.increment_flow_control_window(65535)
        self.assertEqual(client.get("/quick").text, "ok")

    def test_what_no_handler_takes_is_not_acknowledged(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        gateway = self.serving(f"""location / {{ proxy_pass http://{address}; client_max_body_size 0; proxy_buffer_size 8k; }}
            location /quick {{ return 200 ok; }}""")
        client = self.client(gateway, timeout=3)
        stream = client.request("POST", "/", (), end=False)
        sent = 0
        with self.assertRaises(AssertionError):  # The wire's Timeout.
            while sent < 100 << 20:
                client.send_body(stream, bytes(65536), end=False)
                sent += 65536
        self.assertLess(sent, 30 << 20, "the backend reads nothing, so nobody does")
        self.assertGreater(sent, 65535)
        with self.client(gateway) as other:
            self.assertEqual(other.get("/quick").text, "ok")

    def test_how_much_may_come_before_it_is_taken(self):
        listener = self.track(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.track(socket.create_connection(listener.getsockname()))  # Its queue is full with this one.
        backend = self.backend()
        backend.on("*", lambda request: Reply(200, request.body))
        body = os.urandom(300_000)
        for setting, room in (("", 65_536), ("http2_body_preread_size 1k;", 1024), ("http2_body_preread_size 128k;", 131_072)):
            gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }} location /ok {{ return 200; }} location /away {{ "
                                   "proxy_buffer_size 4k; proxy_pass http://127.0.0.1:%d; }" % listener.getsockname()[1], setting)
            client = self.client(gateway)
            client.until(lambda: client.state.remote_settings.initial_window_size != 65_535)
            self.assertEqual(client.state.remote_settings.initial_window_size, room, setting)
            self.assertEqual(client.response(client.request("POST", "/", (), body)).body, body)
            for size, refused in ((room, False), (room + 16_384, True)):
                raw = self.frames(gateway)
                raw.headers(1, head("POST", "/away"), END_HEADERS)
                raw.wire.send(b"".join(h2_client.frame(DATA, 0, 1, bytes(min(size - at, 16_384)))
                                       for at in range(0, size, 16_384)))
                raw.headers(3, head("GET", "/ok"))
                resets = []
                while (frame := raw.read()).kind != HEADERS:
                    if frame.kind == RST_STREAM:
                        resets.append((frame.stream, frame.code))
                self.assertEqual(resets, [(1, h2_client.FLOW_CONTROL_ERROR)] if refused else [], (setting, size))

    def test_an_early_answer_stops_the_rest(self):
        gateway = self.serving("location / { return 200 early; }")
        client = self.client(gateway)
        stream = client.request("POST", "/", (), end=False)
        response = client.response(stream)
        self.assertEqual((response.status, response.text), (200, "early"))
        client.until(lambda: response.reset is not None)
        self.assertEqual(response.reset, NO_ERROR)
        self.assertEqual(client.get("/").status, 200)

    def test_a_backend_that_breaks_off(self):
        backend = self.backend()
        backend.on("/", Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }} location /ok {{ return 200 ok; }}")
        client = self.client(gateway)
        response = client.get("/")
        self.assertEqual((response.status, response.ended, response.reset), (200, False, h2_client.INTERNAL_ERROR))
        self.assertEqual(client.get("/ok").text, "ok", "the others go on")

    def test_a_client_that_cancels(self):
        backend = self.backend()
        backend.on("/", Held())
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }} location /ok {{ return 200 ok; }}")
        client = self.client(gateway)
        client.reset(client.request("GET", "/"))
        self.assertEqual(client.get("/ok").text, "ok")
        beamgate.until(lambda: self.metric(gateway, "upstream_connections_opened_total") <= 1)


class Limits(Http2Case):
    def test_heads(self):
        gateway = self.serving("location / { return 200 ok; }", "large_client_header_buffers 4 1k; client_header_fields_max 20;")
        client = self.client(gateway)
        self.assertEqual(client.get("/" + "a" * 1100).status, 414)
        self.assertEqual(client.get("/", {"x": "a" * 1100}).status, 431)
        self.assertEqual(client.response(client.request("GET", "/", [(f"x{n}", "y") for n in range(40)])).status, 431)
        self.assertEqual(client.response(client.request("GET", "/", [(f"x{n}", "y" * 500) for n in range(12)])).status, 431)
        self.assertEqual(client.response(client.request("GET", "/", [(f"x{n}", "y" * 100) for n in range(15)])).status, 200)

    def test_body_size(self):
        gateway = self.serving("location / { proxy_pass http://127.0.0.1:9; client_max_body_size 1k; } "
                               "location /ok { return 200 ok; }")
        client = self.client(gateway)
        self.assertEqual(client.response(client.request("POST", "/", {"content-length": "2000"}, end=False)).status, 413)
        stream = client.request("POST", "/", end=False)
        with contextlib.suppress(Exception):
            client.send_body(stream, bytes(60_000), end=False)
        self.assertIn(client.response(stream).status, (413, 502))
        self.assertEqual(client.get("/ok").text, "ok")

    def test_keepalive_requests(self):
        gateway = self.serving("keepalive_requests 3; location / { return 200 ok; }")
        client = self.client(gateway)
        self.assertEqual([client.get("/").status for _ in range(3)], [200] * 3)
        goaway = client.wait_goaway()
        self.assertEqual((goaway.error_code, goaway.last_stream_id), (NO_ERROR, 5))
        self.assertTrue(client.wire.wait_end())

    def test_keepalive_timeout(self):
        gateway = self.serving("keepalive_timeout 300ms; location / { return 200 ok; }")
        client = self.client(gateway)
        client.get("/")
        self.assertEqual(client.wait_goaway().error_code, NO_ERROR)
        self.assertTrue(client.wire.wait_end())

    def test_a_head_that_does_not_come(self):
        gateway = self.serving("location / { return 200 ok; }", "client_header_timeout 300ms;")
        raw = self.frames(gateway)
        self.assertEqual(raw.wait_goaway(), NO_ERROR, "no request at all")
        raw = self.frames(gateway)
        raw.headers(1, head(), END_HEADERS | END_STREAM)
        self.assertEqual(raw.status(1), 200)
        raw.send(HEADERS, END_STREAM, 3, raw.block(head())[:3])
        self.assertIsNotNone(raw.wait_goaway())
        self.assertTrue(raw.wire.wait_end())

    def test_a_body_that_does_not_come(self):
        backend = self.backend()
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; client_body_timeout 300ms; }} location /ok {{ return 200 ok; }}")
        client = self.client(gateway)
        stream = client.request("POST", "/", (), end=False)
        self.assertEqual(client.response(stream).status, 408)
        self.assertEqual(client.get("/ok").text, "ok")

    def test_a_response_that_is_not_taken(self):
        gateway = self.serving("root files; send_timeout 300ms;", files={"files/large": bytes(1 << 20), "files/ok": "ok"})
        client = self.client(gateway)
        client.hold = True
        response = client.get("/large")
        self.assertEqual(response.reset, h2_client.INTERNAL_ERROR)
        client.hold = False
        client.state.increment_flow_control_window(1 << 20)
        self.assertEqual(client.get("/ok").text, "ok")

    def test_rates_and_connections_are_counted_by_stream(self):
        backend = self.backend()
        backend.on("/", held := Held(Reply(200, "ok")))
        backend.on("/rate", Reply(200, "ok"))
        gateway = self.gateway(f"""http2 on; limit_conn_zone $binary_remote_addr zone=c:64k;
            limit_req_zone $binary_remote_addr zone=r:64k rate=1r/m;
            server {{ listen 127.0.0.1:0; location / {{ limit_conn c 2; proxy_pass {backend.url}; }}
                      location /rate {{ limit_req zone=r burst=1 nodelay; proxy_pass {backend.url}; }} }} {METRICS}""",
                               workers=1)
        client = self.client(gateway)
        streams = [client.request("GET", "/") for _ in range(3)]
        self.assertEqual(client.response(streams[2]).status, 503)
        held.release()
        self.assertEqual([client.response(stream).status for stream in streams[:2]], [200, 200])
        self.assertEqual(client.get("/").status, 200, "they are given back")
        self.assertEqual([client.get("/rate").status for _ in range(3)], [200, 200, 503])

    def test_limit_rate(self):
        gateway = self.serving("root files; limit_rate 100k;", files={"files/some": bytes(200_000)})
        client = self.client(gateway)
        began = time.monotonic()
        self.assertEqual(len(client.get("/some").body), 200_000)
        self.assertGreater(time.monotonic() - began, 0.8)


class Floods(Http2Case):
    """Each ends the connection with ENHANCE_YOUR_CALM and counts; what a good client does is far below."""

    def flood(self, reason, play, gateway=None):
        gateway = gateway or self.serving("location / { return 200 ok; }")
        raw = self.frames(gateway)
        code = None
        with contextlib.suppress(OSError):
            code = play(raw)
        self.assertEqual(code if isinstance(code, int) else raw.wait_goaway(), ENHANCE_YOUR_CALM)
        self.assertEqual(self.metric(gateway, f'http2_floods_total{{reason="{reason}"}}'), 1)
        with self.client(gateway) as other:
            self.assertEqual(other.get("/").text, "ok", "others are served")

    def test_rapid_reset(self):
        def play(raw):
            for n in range(1000):
                stream = 2 * n + 1
                raw.wire.send(h2_client.frame(HEADERS, END_HEADERS | END_STREAM, stream, raw.block(head())) +
                              h2_client.frame(RST_STREAM, 0, stream, U32(CANCEL)))
        self.flood("resets", play)

    def test_some_resets_are_fine(self):
        gateway = self.serving()
        raw = self.frames(gateway)
        for n in range(100):
            raw.headers(2 * n + 1, head(), END_HEADERS)
            raw.send(RST_STREAM, 0, 2 * n + 1, U32(CANCEL))
        raw.headers(301, head())
        self.assertEqual(raw.status(301), 200)

    def test_resets_that_we_are_made_to_send(self):
        def play(raw):
            for stream in range(1, 9999, 2):
                raw.headers(stream, head("POST", "/held"), END_HEADERS)
                raw.send(WINDOW_UPDATE, 0, stream, U32(0x7FFFFFFF))
                what, code = raw.outcome(stream)
                if what == "goaway":
                    return code
                self.assertEqual((what, code), ("reset", h2_client.FLOW_CONTROL_ERROR))
        backend = self.backend()
        self.flood("resets", play, self.serving(f"""location / {{ return 200 ok; }}
            location /held {{ proxy_pass {backend.url}; }}"""))

    def test_settings(self):
        self.flood("settings", lambda raw: [raw.send(SETTINGS, 0, 0, settings(window=n)) for n in range(200)])

    def test_pings(self):
        self.flood("pings", lambda raw: [raw.send(PING, 0, 0, bytes(8)) for _ in range(500)])

    def test_empty_data(self):
        def play(raw):
            raw.headers(1, head("POST"), END_HEADERS)
            for _ in range(1000):
                raw.send(DATA, 0, 1)
        backend = self.backend()
        backend.on("/", Reply(200, "ok"))
        self.flood("empty", play, self.serving(f"location / {{ proxy_pass {backend.url}; }}"))

    def test_empty_continuations(self):
        def play(raw):
            raw.send(HEADERS, END_STREAM, 1, b"")
            for _ in range(1000):
                raw.send(CONTINUATION, 0, 1, b"")
        gateway = self.serving()
        raw = self.frames(gateway)
        with contextlib.suppress(OSError):
            play(raw)
        self.assertEqual(raw.wait_goaway(), ENHANCE_YOUR_CALM)
        self.assertEqual(self.metric(gateway, 'http2_floods_total{reason="continuations"}') +
                         self.metric(gateway, 'http2_floods_total{reason="empty"}'), 1)

    def test_endless_continuations(self):
        def play(raw):
            raw.send(HEADERS, END_STREAM, 1, raw.block(head()))
            for n in range(1000):
                raw.send(CONTINUATION, 0, 1, raw.block([(f"x-{n}", "y" * 1000)]))
        self.flood("continuations", play)

    def test_window_updates(self):
        self.flood("window_updates", lambda raw: raw.wire.send(h2_client.frame(WINDOW_UPDATE, 0, 0, U32(1)) * 5000))

    def test_priorities(self):
        self.flood("priorities", lambda raw: raw.wire.send(h2_client.frame(PRIORITY, 0, 1, U32(3) + b"\x01") * 2000))

    def test_a_client_that_says_nothing_more_gets_all(self):
        """With windows wide open: nothing but the socket's own room calls for the rest."""
        gateway = self.serving("root files;", files={"files/large": bytes(1 << 20)})
        raw = self.frames(gateway, payload=settings(window=0x7FFFFFFF))
        raw.send(WINDOW_UPDATE, 0, 0, U32(0x7FFF0000 - 65535))
        streams = range(1, 201, 2)
        for stream in streams:
            raw.headers(stream, head("GET", "/large"))
        got, open_streams = 0, set(streams)
        while open_streams:
            frame = raw.wait(DATA, timeout=30)
            got += len(frame.payload)
            if frame.flags & END_STREAM:
                open_streams.remove(frame.stream)
        self.assertEqual(got, len(streams) << 20)

    def test_answers_that_are_not_read(self):
        """Memory stays bounded, and the connection ends."""
        gateway = self.serving("root files; keepalive_requests 1000000; send_timeout 1s;", files={"files/large": bytes(1 << 20)})
        raw = self.frames(gateway, payload=settings(window=0x7FFFFFFF), receive_buffer=4096)
        raw.send(WINDOW_UPDATE, 0, 0, U32(0x7FFF0000 - 65535))
        before = gateway.memory().get("Pss", 0)
        with contextlib.suppress(OSError, AssertionError):
            for n in range(120):
                raw.headers(2 * n + 1, head("GET", "/large"))
        beamgate.until(lambda: self.metric(gateway, 'http2_floods_total{reason="unread"}') == 1, 20, "the end of the connection")
        if not beamgate.sanitized():
            self.assertLess(gateway.memory().get("Pss", 0) - before, 32 << 20)
        self.idle(gateway)


class Ending(Http2Case):
    def test_a_graceful_stop_finishes_what_has_begun(self):
        backend = self.backend()
        backend.on("/", held := Held(Reply(200, "late")))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; }}")
        raw = self.frames(gateway)
        raw.headers(1, head())
        backend.wait(path="/")
        idle = self.client(gateway)
        idle.until(lambda: idle.state.remote_settings.max_concurrent_streams == 128)
        gateway.signal(SIGQUIT)
        self.assertEqual(idle.wait_goaway().error_code, NO_ERROR)
        self.assertTrue(idle.wire.wait_end())
        self.assertEqual(raw.wait_goaway(), NO_ERROR)
        held.release()
        self.assertEqual(raw.status(1), 200)
        self.assertEqual(raw.wait(DATA).payload, b"late")
        self.assertTrue(raw.wire.wait_end())
        gateway.check_ended()

    def test_a_reload_keeps_the_connection(self):
        gateway = self.serving("location / { return 200 old; }")
        client = self.client(gateway)
        self.assertEqual(client.get("/").text, "old")
        gateway.write_config(http=f"http2 on; server {{ listen 127.0.0.1:0; location / {{ return 200 new; }} }} {METRICS}")
        gateway.signal(SIGHUP)

        def renewed():
            response = client.get("/")
            return response.text == "new"
        beamgate.until(renewed)

    def test_a_dead_workers_connections_end_and_the_next_are_served(self):
        gateway = self.serving()
        gateway.expect_deaths()
        client = self.client(gateway)
        self.assertEqual(client.get("/").text, "ok")
        os.kill(gateway.worker_pids()[0], SIGKILL)
        self.assertTrue(client.wire.wait_end())
        with self.client(gateway) as other:
            self.assertEqual(other.get("/").text, "ok")
        self.assertEqual(self.metric(gateway, "http2_connections_active"), 0)


if __name__ == "__main__":
    beamgate.main()
