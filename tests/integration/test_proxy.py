"""proxy_pass, end to end: the real gateway between raw clients and an origin that records what it gets.

What it shows: connections to the origin are reused, bytes stream both ways in bounded memory, either side may
be slow, early or dead without harm to others, an origin never sees what only the gateway may say, and it sees
exactly as many requests as were accepted, however a client writes them.
"""

import contextlib
import os
import re
import select
import socket
import tempfile
import threading
import time
from pathlib import Path

import backend
import beamgate
import h2_client
import http_client
import nginx
import ws_client
from backend import Cut, Drip, Garbage, Hang, Held, Huge, Raw, Reply, Reset
from wire import Ended

MEGABYTE = 1 << 20


def peak_memory(pid):
    """The most resident memory a process has ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def settled(look, timeout=20):
    """What look() gives once it has stayed the same for a while."""
    seen = {"value": None, "times": 0}

    def same():
        value = look()
        seen["times"] = seen["times"] + 1 if value == seen["value"] else 0
        seen["value"] = value
        return seen["times"] > 60

    beamgate.until(same, timeout, "a standstill")
    return seen["value"]


class ProxyCase(beamgate.TestCase):
    def proxy(self, origin, location="", upstream="", http="", workers=1):
        """A gateway that passes everything to `origin`."""
        gateway = self.gateway(
            f"upstream app {{ server {origin.address}; {upstream} }} {http}\n"
            "server { listen 127.0.0.1:0; client_max_body_size 0;\n"
            f"location / {{ proxy_pass http://app; {location} }} }}", workers=workers)
        return gateway, gateway.address()

    def connect(self, address, **options):
        connection = http_client.Connection(address, **options)
        self.addCleanup(connection.close)
        return connection


class Requests(ProxyCase):
    def test_a_request_arrives_and_its_response_returns(self):
        origin = self.backend(lambda request: Reply(201, request.method + " " + request.target,
                                                    {"X-Origin": "yes", "Connection": "x-gone", "X-Gone": "1"}))
        _, address = self.proxy(origin)
        response = http_client.request(address, "GET", "/a%2Fb?c=d", {"X-Mine": "1"})
        self.assertEqual((response.status, response.text), (201, "GET /a%2Fb?c=d"))
        self.assertEqual(response.header("x-origin"), "yes")
        self.assertIsNone(response.header("x-gone"))
        self.assertEqual(len(response.fields.all("date")), 1)
        self.assertEqual(origin.wait().header("x-mine"), "1")

    def test_connections_to_the_origin_are_reused(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin)
        for _ in range(20):
            self.assertEqual(http_client.get(address, "/").text, "ok")
        with http_client.Connection(address) as connection:
            for _ in range(20):
                self.assertEqual(connection.request("POST", "/", body="x").text, "ok")
        self.assertEqual(len(origin.requests), 40)
        self.assertEqual(origin.connections, 1)

    def test_without_keepalive_each_request_has_its_connection(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin, upstream="keepalive 0;")
        for _ in range(5):
            self.assertEqual(http_client.get(address, "/").text, "ok")
        self.assertEqual(origin.connections, 5)
        self.assertEqual(origin.requests[0].header("connection"), "close")

    def test_a_restarted_origin_costs_no_idempotent_request(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin)
        for _ in range(10):
            self.assertEqual(http_client.get(address, "/").status, 200)
            with origin.changed:
                for sock in list(origin.open):
                    with contextlib.suppress(OSError):  # The gateway may have closed it first.
                        sock.shutdown(2)
        self.assertEqual(len(origin.requests), 10)

    def test_pipelined_requests_are_answered_in_order(self):
        origin = self.backend(lambda request: Reply(200, request.path))
        _, address = self.proxy(origin)
        connection = self.connect(address)
        connection.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(50)))
        for i in range(50):
            self.assertEqual(connection.read_response().text, f"/{i}")
        self.assertEqual([request.path for request in origin.requests], [f"/{i}" for i in range(50)])

    def test_a_pipelined_body_is_kept_apart_from_the_next_request(self):
        origin = self.backend(lambda request: Reply(200, request.body))
        _, address = self.proxy(origin)
        connection = self.connect(address)
        connection.send(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst"
                        b"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n"
                        b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual([connection.read_response().text for _ in range(3)], ["first", "second", ""])

    def test_chunked_both_ways(self):
        origin = self.backend(lambda request: Reply(200, chunks=[request.body[i:i + 7]
                                                                 for i in range(0, len(request.body), 7)]))
        _, address = self.proxy(origin)
        connection = self.connect(address)
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        whole = b""
        for i in range(200):
            piece = b"%d," % i
            whole += piece
            connection.send(b"%x;note=1\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\nX-Trailer: dropped\r\n\r\n")
        self.assertEqual(connection.read_response().body, whole)
        request = origin.wait()
        self.assertEqual(request.header("transfer-encoding"), "chunked")
        self.assertIsNone(request.header("content-length"))
        self.assertIsNone(request.header("x-trailer"))

    def test_responses_without_a_body(self):
        origin = self.backend()
        origin.on("/head", Reply(200, "0123456789"))
        origin.on("/same", Reply(304, headers={"ETag": '"x"'}))
        origin.on("/none", Reply(204))
        _, address = self.proxy(origin)
        connection = self.connect(address)
        head = connection.request("HEAD", "/head")
        self.assertEqual((head.status, head.header("content-length")), (200, "10"))
        same = connection.request("GET", "/same")
        self.assertEqual((same.status, same.header("etag")), (304, '"x"'))
        self.assertEqual(connection.request("GET", "/none").status, 204)
        self.assertEqual(connection.request("GET", "/head").text, "0123456789")
        self.assertEqual(origin.connections, 1)

    def test_interim_responses_are_passed_on(self):
        origin = self.backend(Raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n"
                                  b"Content-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
        _, address = self.proxy(origin)
        connection = self.connect(address)
        connection.send_request("GET", "/")
        hints = connection.read_head()  # The 100 was for the gateway.
        self.assertEqual((hints.status, list(hints.fields)), (103, [("Link", "x")]))
        response = connection.read_response()
        self.assertEqual((response.status, response.text), (200, "hi"))
        # A client of HTTP/1.0 knows no interim responses.
        old = self.connect(address)
        old.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(old.read_head().status, 200)

    def test_trailers_when_they_are_wanted(self):
        trailed = Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n"
                      b"Content-Length: 5\r\n\r\n")
        for location, expected, asked in [("", b"", None), ("proxy_pass_trailers on;", b"X-Sum: 7\r\n", "trailers")]:
            with self.subTest(location):
                origin = self.backend(trailed)
                _, address = self.proxy(origin, location)
                connection = self.connect(address)
                connection.send_request("GET", "/")
                head = connection.read_head()
                if expected:
                    self.assertEqual(connection.wire.read_until(b"\r\n\r\n"), b"2\r\nhi\r\n0\r\n" + expected + b"\r\n")
                else:
                    self.assertEqual(connection.read_body(head), b"hi")
                self.assertEqual(origin.wait().header("te"), asked)
                old = self.connect(address)
                old.send(b"GET / HTTP/1.0\r\n\r\n")
                old.read_head()
                self.assertEqual(old.wire.read_to_end(), b"hi")

    def test_an_old_backend(self):
        origin = self.backend(Raw(b"HTTP/1.0 200 OK\r\n\r\nold"))
        _, address = self.proxy(origin, "proxy_http_version 1.0;")
        connection = self.connect(address)
        self.assertEqual(connection.request("GET", "/").text, "old")
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual(connection.read_response().text, "old")
        get, post = origin.requests
        self.assertEqual((get.version, get.header("connection")), ("HTTP/1.0", "close"))
        self.assertEqual((post.body, post.header("content-length"), post.header("transfer-encoding")),
                         (b"abcde", "5", None))

    def test_an_old_client(self):
        origin = self.backend(lambda request: Reply(200, chunks=[b"in ", b"parts"]))
        _, address = self.proxy(origin)
        connection = self.connect(address)
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        head = connection.read_head()
        self.assertIsNone(head.header("transfer-encoding"))
        self.assertEqual(connection.wire.read_to_end(), b"in parts")

    def test_a_body_is_held_when_asked_for(self):
        origin = self.backend(lambda request: Reply(200, str(len(request.body))))
        _, address = self.proxy(origin, "proxy_request_buffering on;")
        connection = self.connect(address)
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 299999)
        self.assertEqual(http_client.get(address, "/other").status, 200)
        self.assertEqual(len(origin.requests), 1)
        self.assertEqual(origin.connections, 1)
        connection.send(b"x")
        self.assertEqual(connection.read_response().text, "300000")
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(connection.read_head().status, 100)
        connection.send(b"20000\r\n" + b"y" * 0x20000 + b"\r\n0\r\n\r\n")
        self.assertEqual(connection.read_response().text, str(0x20000))
        self.assertEqual(origin.requests[-1].header("content-length"), str(0x20000))

    def test_a_unix_socket(self):
        origin = self.backend(Reply(200, "over a file"), unix=True)
        _, address = self.proxy(origin)
        for _ in range(3):
            self.assertEqual(http_client.get(address, "/").text, "over a file")
        self.assertEqual(origin.connections, 1)

    def test_the_uri_follows_proxy_pass(self):
        origin = self.backend(lambda request: Reply(200, request.target + " " + request.header("host")))
        gateway = self.gateway(
            "server { listen 127.0.0.1:0;"
            f"location /plain/ {{ proxy_pass http://{origin.address}; }}"
            f"location /cut/ {{ proxy_pass http://{origin.address}/base/; }}"
            f"location /host/ {{ proxy_pass http://{origin.address}/; proxy_set_header Host $host; }} }}", workers=1)
        for target, expected in [("/plain/a%20b?q", "/plain/a%20b?q " + origin.address),
                                 ("/cut/a%20b/%3Fc?q", "/base/a%20b/%3Fc?q " + origin.address),
                                 ("/host/x", "/x 127.0.0.1")]:
            self.assertEqual(http_client.get(gateway.address(), target).text, expected)


class Fields(ProxyCase):
    def test_what_a_client_may_not_say_does_not_arrive(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin)
        forbidden = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-User", "Forwarded",
                     "X-Real-IP", "beamgate-user", "Beamgate-State", "ce-type", "webhook-id", "webhook-signature",
                     "X_Forwarded_For", "beamgate_user", "ce_type", "webhook_signature", "X_Real_IP", "Keep-Alive",
                     "Proxy-Connection", "TE", "Trailer", "Proxy"]
        headers = [(name, "evil") for name in forbidden] + [("Connection", "keep-alive, X-Hop"), ("X-Hop", "evil"),
                                                            ("X-Good", "good"), ("Cookie", "a=b")]
        self.assertEqual(http_client.get(address, "/", headers).status, 200)
        request = origin.wait()
        self.assertEqual([field for field in request.fields if "evil" in field[1]], [])
        self.assertEqual((request.header("x-good"), request.header("cookie")), ("good", "a=b"))
        for name, value in [("X-Real-IP", "127.0.0.1"), ("X-Forwarded-For", "127.0.0.1"),
                            ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", address), ("Host", "app")]:
            self.assertEqual(request.fields.all(name), [value])

    def test_a_trusted_proxy_is_continued(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin, http="set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;")
        http_client.get(address, "/", [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https"),
                                       ("beamgate-user", "evil"), ("Forwarded", "for=evil")])
        request = origin.wait()
        self.assertEqual(request.header("x-real-ip"), "192.0.2.1")
        self.assertEqual(request.header("x-forwarded-for"), "192.0.2.1, 127.0.0.1")
        self.assertEqual(request.header("x-forwarded-proto"), "https")
        self.assertEqual([field for field in request.fields if "evil" in field[1]], [])

    def test_what_of_a_response_is_passed_on(self):
        origin = self.backend(Reply(302, headers=[
            ("Server", "theirs"), ("Date", "then"), ("X-Accel-Redirect", "/x"), ("X-Secret", "1"), ("X-Open", "2"),
            ("Location", "http://inside.example/x"), ("Set-Cookie", "a=b; Domain=inside.example; Path=/in/x")]))
        _, address = self.proxy(origin, "proxy_hide_header X-Secret; proxy_pass_header Server;"
                                        "proxy_redirect http://inside.example/ /out/;"
                                        "proxy_cookie_domain inside.example $host; proxy_cookie_path /in/ /out/;")
        response = http_client.get(address, "/")
        self.assertEqual(response.fields.all("server"), ["theirs"])
        self.assertEqual(len(response.fields.all("date")), 1)
        self.assertNotEqual(response.header("date"), "then")
        self.assertEqual([response.header(name) for name in ("x-accel-redirect", "x-secret", "x-open")],
                         [None, None, "2"])
        self.assertEqual(response.header("location"), "/out/x")
        self.assertEqual(response.header("set-cookie"), "a=b; Domain=127.0.0.1; Path=/out/x")

    def test_whether_the_version_is_told(self):
        origin = self.backend(Reply(200, "ok", {"Server": "theirs"}))
        gateway = self.gateway("http2 on;" + "".join(
            f"server {{ listen {host}:0; {setting} location / {{ proxy_pass http://{origin.address}; }}"
            "location /own { return 200; } location /none { return 404; } location /echo { websocket echo; } }"
            for host, setting in (("127.0.0.1", ""), ("127.0.0.2", "server_tokens off;"))), workers=1)
        version = gateway.run("-v").stderr.strip().rpartition("/")[2]
        for address, expected in ((gateway.address(0), f"BeamGate/{version}"), (gateway.address(1), "BeamGate")):
            answers = [http_client.get(address, target) for target in ("/", "/own", "/none")]
            self.assertNotIn(version, answers[2].text)
            answers.append(self.track(ws_client.connect(address, "/echo")).response)
            answers.append(self.track(h2_client.connect(address)).get("/own"))
            self.assertEqual([answer.fields.all("server") for answer in answers], [[expected]] * 5)

    def test_set_headers(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin, 'proxy_set_header X-Mine "a $request_method"; proxy_set_header Accept "";')
        http_client.get(address, "/", [("X-Mine", "theirs"), ("Accept", "*/*")])
        request = origin.wait()
        self.assertEqual(request.fields.all("x-mine"), ["a GET"])
        self.assertIsNone(request.header("accept"))


class Smuggling(ProxyCase):
    """However a client writes it, the origin sees as many requests as were answered, and never "/evil"."""

    EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
    ATTEMPTS = {
        "length and chunked": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                              b"0\r\n\r\n",
        "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "length list": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 40\r\n\r\n",
        "signed length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
        "hexadecimal length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x10\r\n\r\n",
        "space before colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 40\r\n\r\n",
        "obscured chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "chunked twice": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "chunked not last": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "old protocol chunked": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "folded field": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "bare line feed": b"POST / HTTP/1.1\r\nHost: x\r\nX: y\nContent-Length: 40\r\n\r\n",
        "bare carriage return": b"POST / HTTP/1.1\r\nHost: x\r\nX: y\rContent-Length: 40\r\n\r\n",
        "nul byte": b"POST / HTTP/1.1\r\nHost: x\r\nX: y\0\r\nContent-Length: 0\r\n\r\n",
        "bad chunk size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
        "negative chunk size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "huge chunk size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
        "chunk without end": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\n\r\n",
    }

    def test_every_known_form_is_refused(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin)
        for name, attempt in self.ATTEMPTS.items():
            with self.subTest(name):
                connection = self.connect(address)
                connection.send(attempt + self.EVIL)
                response = connection.read_response()
                self.assertGreaterEqual(response.status, 400)
                self.assertTrue(connection.ended())
        # A body may have begun before it turned out to be bad, but no request was whole, so none was answered.
        self.assertEqual([request.target for request in origin.requests], [])

    def test_its_twins_are_accepted_and_counted(self):
        origin = self.backend(Reply(200, "ok"))
        _, address = self.proxy(origin)
        accepted = {
            "length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            "chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "any case": b"POST / HTTP/1.1\r\nhOST: x\r\ntRANSFER-eNCODING: cHUNKED\r\n\r\n0\r\n\r\n",
            "body like a request": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(self.EVIL)
                                   + self.EVIL,
            "chunk like a request": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"
                                    b"0\r\n\r\n" % (len(self.EVIL), self.EVIL),
        }
        for count, (name, attempt) in enumerate(accepted.items(), 1):
            with self.subTest(name):
                connection = self.connect(address)
                connection.send(attempt)
                self.assertEqual(connection.read_response().status, 200)
                self.assertEqual([request.target for request in origin.requests], ["/"] * count)


class Failures(ProxyCase):
    def test_an_origin_that_is_not_there(self):
        held, dead = backend.unused_address()
        self.addCleanup(held.close)
        gateway = self.gateway(f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{dead}; }} }}")
        self.assertEqual(http_client.get(gateway.address(), "/").status, 502)
        self.assertEqual(http_client.post(gateway.address(), "/", "x" * 1000).status, 502)

    def test_another_server_takes_over(self):
        held, dead = backend.unused_address()
        self.addCleanup(held.close)
        origin = self.backend(Reply(200, "ok"))
        gateway = self.gateway(f"upstream app {{ server {dead}; server {origin.address}; }}"
                               "server { listen 127.0.0.1:0; location / { proxy_pass http://app; } }", workers=1)
        for _ in range(10):
            self.assertEqual(http_client.post(gateway.address(), "/", "x").status, 200)
        self.assertEqual(len(origin.requests), 10)

    def test_a_bad_response_is_a_bad_gateway(self):
        origin = self.backend()
        origin.on("/garbage", Garbage())
        origin.on("/reset", Reset())
        origin.on("/nothing", Raw(b""))
        origin.on("/half", Raw(b"HTTP/1.1 200 OK\r\nContent-"))
        origin.on("/both", Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        origin.on("/split", Raw(b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil\r\nContent-Length: 0\r\n\r\n"))
        origin.on("/control", Raw(b"HTTP/1.1 200 OK\r\nX: a\x0bb\r\nContent-Length: 0\r\n\r\n"))
        origin.on("/switch", Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
        origin.on("/large", Raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MEGABYTE + b"\r\nContent-Length: 0\r\n\r\n"))
        origin.on("/good", Raw(b"HTTP/1.1 200 OK\r\nX: a\tb\xc3\xa4\r\nContent-Length: 0\r\n\r\n"))
        _, address = self.proxy(origin)
        for path in ["/garbage", "/reset", "/nothing", "/half", "/both", "/split", "/control", "/switch", "/large"]:
            with self.subTest(path):
                self.assertEqual(http_client.get(address, path).status, 502)
        self.assertEqual(http_client.get(address, "/good").status, 200)

    def test_a_truncated_response_is_noticed(self):
        origin = self.backend(Cut())
        origin.on("/chunked", Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
        origin.on("/until-close", Raw(b"HTTP/1.1 200 OK\r\n\r\nall of it"))
        _, address = self.proxy(origin)
        for path in ["/", "/chunked"]:
            with self.assertRaises(Ended):
                http_client.get(address, path)
        self.assertEqual(http_client.get(address, "/until-close").text, "all of it")

    def test_a_silent_origin_times_out(self):
        origin = self.backend(Hang())
        _, address = self.proxy(origin, "proxy_read_timeout 1s;")
        self.assertEqual(http_client.get(address, "/").status, 504)

    def test_an_origin_that_reads_nothing_times_out(self):
        listener = self.track(socket.create_server(("127.0.0.1", 0)))
        gateway = self.gateway("server { listen 127.0.0.1:0; client_max_body_size 0; location /metrics { metrics; }"
                               "location / { proxy_send_timeout 200ms; proxy_pass http://127.0.0.1:%d; } }"
                               % listener.getsockname()[1], workers=1)
        self.assertEqual(http_client.post(gateway.address(), "/", bytes(16 * MEGABYTE)).status, 504)
        self.assertEqual(gateway.metrics()['beamgate_upstream_failures_total{reason="timeout"}'], 1)

    def test_an_answer_that_trickles_is_no_reason_to_wait_for_an_origin_that_reads_nothing(self):
        listener = self.track(socket.create_server(("127.0.0.1", 0)))
        ended = threading.Event()

        def trickle():
            sock = self.track(listener.accept()[0])
            with contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.02):
                    sock.sendall(b"x")

        threading.Thread(target=trickle, daemon=True).start()
        self.addCleanup(ended.set)
        gateway = self.gateway("server { listen 127.0.0.1:0; client_max_body_size 0; location / { proxy_send_timeout 200ms;"
                               "proxy_pass http://127.0.0.1:%d; } }" % listener.getsockname()[1], workers=1)
        self.assertEqual(http_client.post(gateway.address(), "/", bytes(16 * MEGABYTE)).status, 504)

    def test_a_client_that_pauses_uses_up_nothing_of_an_origins_time(self):
        """The origin's time begins when there is something that it doesn't take."""
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
            path = f"{place}/s"
            listener.bind(path)
            listener.listen()
            for each in (place, path):
                os.chmod(each, 0o777)
            fits, piece = 0, bytes(1000)
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(BlockingIOError):
                probe.connect(path)
                probe.setblocking(False)
                while True:
                    probe.send(piece)
                    fits += 1
            gateway = self.gateway("server { listen 127.0.0.1:0; client_max_body_size 0; location / { "
                                   f"proxy_pass http://unix:{path}; proxy_send_timeout 400ms; proxy_buffer_size 64k; }} }}", workers=1)
            client = self.connect(gateway.address())
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
            answered = []
            for number in range(fits + 40):
                sent = time.monotonic()
                client.send(piece)
                answered = select.select([client.wire.sock], [], [], 0.01 if number < fits - 8 else 0.5)[0]
                if answered:
                    break
            self.assertTrue(answered)
            self.assertGreater(time.monotonic() - sent, 0.3)
            self.assertEqual(client.read_response().status, 504)

    def test_a_slow_origin_slows_only_its_own(self):
        held = Held(Reply(200, "at last"))
        origin = self.backend(Reply(200, "fast"))
        origin.on("/held", held)
        origin.on("/drip", Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 0.02))
        _, address = self.proxy(origin)
        waiting = self.connect(address)
        waiting.send_request("GET", "/held")
        origin.wait(path="/held")
        for _ in range(50):
            self.assertEqual(http_client.get(address, "/fast").text, "fast")
        self.assertEqual(http_client.get(address, "/drip").text, "abc")
        held.release()
        self.assertEqual(waiting.read_response().text, "at last")

    def test_a_request_without_effect_is_repeated_and_no_other(self):
        """The origin closes a reused connection instead of answering: GET goes again, POST does not."""
        counts = {"GET": 0, "POST": 0}

        def close_second(request):
            counts[request.method] += 1
            return Raw(b"") if request.path == "/x" and counts[request.method] == 1 else Reply(200, "ok")

        origin = self.backend(close_second)
        _, address = self.proxy(origin)
        origin.on("/warm", Reply(200, "ok"))
        http_client.get(address, "/warm")
        self.assertEqual(http_client.get(address, "/x").status, 200)
        self.assertEqual(counts["GET"], 2)
        http_client.get(address, "/warm")
        self.assertEqual(http_client.post(address, "/x", "x").status, 502)
        self.assertEqual(counts["POST"], 1)

    def test_an_early_answer_arrives(self):
        """The origin refuses an upload after its head and closes with the body unread."""
        listener = backend.socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def refuse():
            sock, _ = listener.accept()
            while b"\r\n\r\n" not in sock.recv(65536, backend.socket.MSG_PEEK):
                pass
            sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            sock.close()

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        gateway = self.gateway("server { listen 127.0.0.1:0; client_max_body_size 0; location / { proxy_pass "
                               "http://127.0.0.1:%d; } }" % listener.getsockname()[1], workers=1)
        connection = self.connect(gateway.address())
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000)
        response = connection.read_response()
        self.assertEqual((response.status, response.text), (413, "no"))
        thread.join(10)

    def test_a_client_that_goes_ends_its_request(self):
        gone = threading.Event()

        class UntilGone:
            def play(self, wire, request, stopping):
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
                wire.wait_end(20)
                gone.set()
                return False

        origin = self.backend(UntilGone())
        _, address = self.proxy(origin)
        connection = self.connect(address)
        connection.send_request("GET", "/")
        connection.read_head()
        connection.wire.reset()
        self.assertTrue(gone.wait(10))


class Sink:
    """An application that takes one body, as large as its head says, and answers with what it has counted."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            client, _ = self.listener.accept()
            with client:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(65536)
                head, _, body = head.partition(b"\r\n\r\n")
                wanted = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
                taken, room = len(body), bytearray(MEGABYTE)
                while taken < wanted and (got := client.recv_into(room)):
                    taken += got
                text = str(taken).encode()
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    def close(self):
        self.listener.close()
        self.thread.join(10)


class Volume(ProxyCase):
    SIZE = int(os.environ.get("BEAMGATE_VOLUME_MEGABYTES", "100")) * MEGABYTE  # More when it is to be recorded.
    GROWTH = 16 * MEGABYTE  # What a worker's memory may grow by, whatever the size.

    def check_memory(self, gateway, before, size=SIZE):
        if beamgate.sanitized():
            return
        grown = peak_memory(gateway.worker_pids()[0]) - before
        print(f"{size // MEGABYTE} MiB: {before >> 10} KiB before, {grown >> 10} KiB more at most")
        self.assertLess(grown, self.GROWTH)

    def test_a_large_download(self):
        for chunked in (False, True):
            with self.subTest(chunked=chunked):
                origin = self.backend(Huge(self.SIZE, chunked))
                origin.on("/small", Reply(200, "ok"))
                gateway, address = self.proxy(origin)
                http_client.get(address, "/small")
                before = peak_memory(gateway.worker_pids()[0])
                connection = self.connect(address, timeout=60)
                connection.send_request("GET", "/")
                response = connection.read_head()
                if chunked:
                    self.assertEqual(len(connection.read_body(response, 60)), self.SIZE)
                else:
                    left = self.SIZE
                    while left > 0:
                        part = min(left, MEGABYTE)
                        connection.wire.read_exactly(part, 60)
                        left -= part
                self.check_memory(gateway, before)

    def test_a_large_upload(self):
        origin = self.backend(lambda request: Reply(200, str(len(request.body))), timeout=60)
        gateway, address = self.proxy(origin)
        http_client.get(address, "/small")
        before = peak_memory(gateway.worker_pids()[0])
        connection = self.connect(address, timeout=60)
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
        for _ in range(self.SIZE // MEGABYTE):
            connection.send(b"x" * MEGABYTE)
        self.assertEqual(connection.read_response().text, str(self.SIZE))
        self.check_memory(gateway, before)

    def test_a_gigabyte_each_way(self):
        """From an nginx and to a sink: neither test nor origin holds any of it, and nor does the worker."""
        size = 1 << 30
        origin = nginx.Nginx("server { listen {socket}; root {directory}; }")
        self.addCleanup(origin.end)
        with open(origin.directory / "large", "wb") as file:
            file.truncate(size)
        origin.start()
        sink = Sink()
        self.addCleanup(sink.close)
        gateway = self.gateway(f"""server {{ listen 127.0.0.1:0; client_max_body_size 0;
            location / {{ proxy_pass http://{origin.address}; }}
            location /up {{ proxy_pass http://127.0.0.1:{sink.port}; }} }}""", workers=1)
        address = gateway.address()
        self.assertEqual(http_client.get(address, "/none").status, 404)
        before = peak_memory(gateway.worker_pids()[0])
        connection = self.connect(address, timeout=60)
        connection.send_request("GET", "/large")
        self.assertEqual(int(connection.read_head().header("content-length")), size)
        piece = bytes(MEGABYTE)
        for _ in range(size // MEGABYTE):
            self.assertEqual(connection.wire.read_exactly(MEGABYTE, 60), piece)
        self.check_memory(gateway, before, size)
        connection.send(b"PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MEGABYTE):
            connection.send(piece)
        self.assertEqual(connection.read_response(timeout=60).text, str(size))
        self.check_memory(gateway, before, size)

    def test_a_reader_that_does_not_read_stops_the_origin(self):
        huge = Huge(self.SIZE)
        origin = self.backend(huge, timeout=60)
        origin.on("/small", Reply(200, "ok"))
        gateway, address = self.proxy(origin)
        http_client.get(address, "/small")
        before = peak_memory(gateway.worker_pids()[0])
        connection = self.connect(address, timeout=60, receive_buffer=65536)
        connection.send_request("GET", "/")
        origin.wait(path="/")
        sent = settled(lambda: huge.sent)
        self.assertLess(sent, self.SIZE // 2)  # Kernel buffers on both sides, and one of ours.
        self.assertEqual(http_client.get(address, "/small").text, "ok")
        self.check_memory(gateway, before)
        connection.read_head()
        left = self.SIZE
        while left > 0:
            left -= len(connection.wire.read_exactly(min(left, MEGABYTE), 60))

    def test_an_origin_that_does_not_read_stops_the_client(self):
        listener = backend.socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        gateway = self.gateway("server { listen 127.0.0.1:0; client_max_body_size 0; location / { proxy_pass "
                               "http://127.0.0.1:%d; } }" % listener.getsockname()[1], workers=1)
        before = peak_memory(gateway.worker_pids()[0])
        connection = self.connect(gateway.address())
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
        origin, _ = listener.accept()
        self.addCleanup(origin.close)
        connection.wire.sock.setblocking(False)
        progress = {"sent": 0}

        def push():
            try:
                while progress["sent"] < self.SIZE:
                    progress["sent"] += connection.wire.sock.send(b"x" * 65536)
            except BlockingIOError:
                pass
            return progress["sent"]

        self.assertLess(settled(push), self.SIZE // 2)
        self.check_memory(gateway, before)


if __name__ == "__main__":
    beamgate.main()
