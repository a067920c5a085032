"""Clients that close their side while a request of theirs is being answered.

What it shows: whoever works for a client that has gone hears of it, over TLS and whatever else has come before its FIN; and
half a close is none: what was asked for before it is answered.
"""

import contextlib
import select
import socket
import ssl
import tempfile

import beamgate
import http_client
import ws_frame
from backend import Hang, Held, Reply, Silent
from certificates import Authority


class ClientsThatGo(beamgate.TestCase):
    def serving(self, settings="", more=""):
        origin = Silent(self)
        gateway = self.gateway(f"""log_format s '$request_uri $status'; access_log access.log s; {more}
            server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{origin.address}; {settings} }} }}""", workers=1)
        return gateway, origin

    def ask(self, gateway, origin, **options):
        client = self.track(http_client.Connection(gateway.address(), **options))
        client.send_request("GET", "/x")
        origin.take()
        return client

    def test_the_server_hears_of_it(self):
        gateway, origin = self.serving()
        for begun in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"):
            with self.subTest(begun=begun):
                client = self.ask(gateway, origin)
                if begun:
                    origin.say(begun)
                    client.read_head()
                client.close()
                self.assertTrue(origin.ended())
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_text() == "/x 499\n/x 200\n", 10, "the access log")

    def test_it_is_told_of_none_when_that_is_to_be_ignored(self):
        gateway, origin = self.serving("proxy_ignore_client_abort on;")
        self.ask(gateway, origin).close()
        self.assertTrue(origin.hears_nothing(2))
        origin.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_text() == "/x 200\n", 10, "the access log")

    def test_one_that_goes_while_it_is_delayed(self):
        gateway, origin = self.serving("limit_req zone=slow burst=5;", "limit_req_zone $host zone=slow:64k rate=2r/s;")
        self.ask(gateway, origin).close()
        self.assertTrue(origin.ended())
        with http_client.Connection(gateway.address()) as delayed:
            delayed.send_request("GET", "/x")
        origin.take()
        self.assertTrue(origin.ended())

    def test_half_a_close_is_none(self):
        """Who has only said everything still gets an answer that is not long in coming, and all of one that goes on."""
        gateway, origin = self.serving()
        client = self.ask(gateway, origin)
        client.wire.sock.shutdown(socket.SHUT_WR)
        self.assertTrue(origin.hears_nothing(0.4))
        origin.say(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        client.read_head()
        for piece in b"slowly":
            origin.say(bytes([piece]))
            self.assertEqual(client.wire.read_exactly(1), bytes([piece]))
            if piece != b"y"[0]:
                self.assertTrue(origin.hears_nothing(0.4))
        self.assertTrue(client.ended(timeout=5))

    def test_requests_before_half_a_close_are_all_answered(self):
        origin = self.backend(lambda request: Reply(200, request.target))
        held = Held(Reply(200, "held"))
        origin.on("/held", held)
        gateway = self.gateway(f"server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{origin.address}; }} }}", workers=1)
        client = self.track(http_client.Connection(gateway.address()))
        for target in ("/held", "/second", "/third"):
            client.send_request("GET", target)
        client.wire.sock.shutdown(socket.SHUT_WR)
        origin.wait(path="/held")
        self.assertFalse(select.select([client.wire.sock], [], [], 0.3)[0])
        held.release()
        self.assertEqual([client.read_response().text for _ in range(3)], ["held", "/second", "/third"])
        self.assertTrue(client.ended(timeout=5))

    def test_behind_tls(self):
        place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        self.addCleanup(place.cleanup)
        authority = Authority(place.name)
        origin = Silent(self)
        gateway = self.gateway(f"""server {{ listen 127.0.0.1:0 ssl; {authority.issue("one.test").directives()}
            location / {{ proxy_pass http://{origin.address}; }} }}""", workers=1)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version.name):
                context = authority.client(minimum_version=version, maximum_version=version)
                client = self.ask(gateway, origin, tls=context, name="one.test")
                with contextlib.suppress(OSError):
                    client.wire.sock.settimeout(0)
                    client.wire.sock.unwrap()  # close_notify, and FIN behind it.
                client.close()
                self.assertTrue(origin.ended())

    def test_a_request_behind_it_changes_nothing(self):
        gateway, origin = self.serving()
        client = self.ask(gateway, origin)
        client.send_request("GET", "/next")
        client.close()
        self.assertTrue(origin.ended())

    def test_handshakes_and_streams_that_wait_for_the_application(self):
        application = self.backend(Hang())
        gateway = self.gateway(f"""webhook app {{ url {application.url}/hook; timeout 10m; }}
            channels members-* {{ subscribe webhook; webhook app; }}
            server {{ listen 127.0.0.1:0; location /ws {{ websocket raw; webhook app; }} location /metrics {{ metrics; }}
                location /sse {{ sse $arg_channel; }} location /poll {{ longpoll $arg_channel; }} }}""",
            workers=1)
        for target in ("/ws", "/sse?channel=members-a", "/poll?channel=members-a"):
            with self.subTest(target):
                client = http_client.Connection(gateway.address())
                if target == "/ws":
                    client.send(ws_frame.handshake(client.host, target, ws_frame.make_key()))
                else:
                    client.send_request("GET", target)
                beamgate.until(lambda: gateway.metrics()["beamgate_webhook_requests_active"] == 1, 10, "the call")
                client.close()
                beamgate.until(lambda: gateway.metrics()["beamgate_webhook_requests_active"] == 0, 10, "the call's end")


if __name__ == "__main__":
    beamgate.main()
