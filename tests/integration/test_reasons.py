"""Whatever the gateway refuses, closes or drops is counted: once, and with the reason that is its own."""

import hashlib
import hmac
import json
import os
import re
import ssl
import tempfile
import time
from signal import SIGCONT, SIGHUP, SIGKILL, SIGQUIT, SIGSTOP

import beamgate
import continuity
import event_stream
import h2_client
import http_client
import jwt_token
import ws_client
from backend import Cut, Garbage, Hang, Held, Huge, Reply, Reset
from certificates import Authority
from wire import Wire, open_socket

SECRET = "a secret of thirty-two bytes or more"
MAIN = "line { listen 127.0.0.1:0; line_max 1k; line_idle_timeout 0; }"
HTTP = """
webhook app {{ url {url}/app; timeout 10s; }}
webhook lax {{ url {url}/lax; timeout 1s; on_error allow; }}
webhook away {{ url http://127.0.0.1:1/; }}
token people {{ secret "{secret}"; }}
app shop {{ id 1; key key; secret 0123456789abcdef; connections_max 1; }}
{till}
channels closed {{ subscribe denied; publish off; }}
channels small {{ subscribers_max 1; }}
channels asked {{ subscribe webhook; webhook app; }}
channels unasked {{ subscribe webhook; webhook away; }}
channels slow {{ rate 1r/m burst=1; }}
channels newest {{ conflate 1h; }}
channels members {{ subscribe token; }}
channels told {{ webhook app; }}
channels untold {{ webhook away; }}
{more}
server {{
    listen 127.0.0.1:0;
    http2 on;
    client_header_timeout 60s;
    location = /deny {{ deny all; sse room; }}
    location = /upload {{ client_max_body_size 10; proxy_pass {url}; }}
    location = /any {{ sse argument=channel; }}
    location = /poll {{ longpoll argument=channel; longpoll_timeout 60s; }}
    location = /sse-token {{ sse closed; sse_token people; }}
    location = /sse-ours {{ sse room; sse_origins https://a.example; }}
    location ~ "^/raw/(?<name>.+)$" {{ websocket raw; websocket_subscribe $name; websocket_publish $name;
        websocket_message_max 1k; }}
    location = /deaf {{ websocket raw; websocket_subscribe room; }}
    location = /raw-token {{ websocket raw; websocket_token people; websocket_subscribe room; }}
    location = /app {{ websocket raw; webhook app; }}
    location = /lax {{ websocket raw; webhook lax; }}
    location = /away {{ websocket raw; webhook away; }}
    location = /rate {{ websocket echo; websocket_rate connection 1r/m burst=1 close; }}
    location = /drop {{ websocket echo; websocket_rate connection 1r/m burst=1 drop; }}
    location = /delay {{ websocket echo; websocket_rate connection 10r/s burst=1; }}
    location = /centrifuge {{ websocket centrifuge; websocket_token people; }}
    location /app/ {{ websocket pusher; }}
    location /phoenix {{ websocket phoenix; websocket_token people; }}
    location /api/ {{ api on; api_key good; }}
    location /apps/ {{ pusher_api on; }}
    location = /gone {{ proxy_pass http://127.0.0.1:1; }}
    location = /passed {{ proxy_pass {url}; proxy_read_timeout 500ms; proxy_next_upstream http_503; }}
{locations}
    location = /metrics {{ metrics; }}
}}
server {{
    listen 127.0.0.2:0;
    client_header_timeout 500ms;
    location / {{ return 200; }}
}}
"""
TILL = "app till { id 2; key till; secret 0123456789abcdef; client_events on; channel_prefix off; }"
HANDSHAKE = (b"GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
COUNTED = re.compile(r'beamgate_(\w+)_total\{(?:reason|action)="(\w+)"\}')


class Reasons(beamgate.TestCase):
    def setUp(self):
        self.app = self.backend(Reply(204))
        self.start()

    def configuration(self, till=TILL, more="", locations=""):
        return HTTP.format(url=self.app.url, secret=SECRET, till=till, more=more, locations=locations)

    def start(self, **more):
        self.running = self.gateway(self.configuration(**more), main=MAIN, workers=1)
        self.http, self.hasty, self.line = self.running.addresses()
        self.before = self.counts()

    def counts(self):
        rows = self.running.metrics()
        return {f"{found[1]} {found[2]}": int(number) for found, number in
                ((COUNTED.fullmatch(key), number) for key, number in rows.items()) if found}

    def grown(self):
        now = self.counts()
        return {key: number - self.before[key] for key, number in now.items() if number != self.before[key]}

    def check(self, **expected):
        """Exactly this has been counted since the last check: family=reason, or a list of them."""
        wanted = {}
        for family, reasons in expected.items():
            for reason in [reasons] if isinstance(reasons, str) else reasons:
                wanted[f"{family} {reason}"] = wanted.get(f"{family} {reason}", 0) + 1
        beamgate.until(lambda: sum(self.grown().values()) >= sum(wanted.values()), 10, f"{wanted}, and not {self.grown()}")
        self.assertEqual(self.grown(), wanted)
        self.before = self.counts()

    def connect(self, target, **options):
        return self.track(ws_client.connect(self.http, target, **options))

    def refused(self, target, status, **options):
        with self.assertRaises(ws_client.Refused) as refused:
            ws_client.connect(self.http, target, **options)
        self.assertEqual(refused.exception.response.status, status)

    def api(self, method, body):
        return http_client.post(self.http, f"/api/{method}", body, {"X-API-Key": "good"}).json()

    def client(self, room):
        wire = self.track(Wire(open_socket(self.line)))
        wire.send(f"JOIN {room}\n".encode())
        self.assertEqual(wire.read_until(b"\n"), f"OK joined {room}\n".encode())
        return wire

    def raw(self, request, address=None):
        wire = self.track(Wire(open_socket(address or self.http)))
        wire.send(request)
        return wire

    @staticmethod
    def failure_behind(reason):
        return ["connect"] if reason == "unreachable" else []

    # Requests.

    def test_requests(self):
        self.assertEqual(http_client.get(self.http, "/deny").status, 403)
        self.check(requests_refused="access")
        self.assertEqual(http_client.request(self.http, "TRACE", "/passed").status, 405)
        self.check(requests_refused="not_passed_on")
        for request, status, reason in ((b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400", "malformed"),
                                        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414", "too_large"),
                                        (b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", b"413", "too_large"),
                                        (b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", b"400",
                                         "malformed")):
            self.assertEqual(self.raw(request).read_until(b"\r\n")[9:12], status)
            self.check(requests_refused=reason)

    def test_requests_that_do_not_come(self):
        self.assertEqual(self.raw(b"GET / HT", self.hasty).read_until(b"\r\n")[9:12], b"408")
        self.check(requests_refused="timeout")
        self.raw(b"", self.hasty)
        self.check(connections_refused="timeout")
        with http_client.Connection(self.hasty) as idle:  # Which is no refusal, however long it stays.
            self.assertEqual(idle.request("GET", "/").status, 200)
        self.check()

    def test_keys_of_the_api(self):
        for headers in ({}, {"X-API-Key": "bad"}):
            self.assertEqual(http_client.post(self.http, "/api/info", {}, headers).status, 401)
            self.check(requests_refused="token")
        self.assertEqual(http_client.post(self.http, "/apps/1/events?auth_key=key", {}).status, 401)
        self.check(requests_refused="token")

    def test_event_streams_and_polls(self):
        self.app.on("/app", lambda request: Reply(403 if request.header("ce-type") == "beamgate.subscribe" else 204))
        reader = self.track(event_stream.Reader(self.http, "/any?channel=small")).wait_joined()
        for path, status, reason in (("channel=closed", 403, "channel"), ("channel=%23ann", 403, "channel"),
                                     ("", 400, "channel"), ("channel=small", 503, "channel_full"),
                                     ("channel=asked", 403, "application"), ("channel=unasked", 503, "unreachable")):
            for location in ("/any", "/poll"):
                self.assertEqual(http_client.get(self.http, f"{location}?{path}").status, status, path)
                self.check(requests_refused=reason, webhook_failures=self.failure_behind(reason))
        self.assertEqual(http_client.get(self.http, "/sse-token").status, 401)
        self.check(requests_refused="token")
        self.assertEqual(http_client.get(self.http, "/sse-ours", {"Origin": "https://b.example"}).status, 403)
        self.check(requests_refused="origin")
        reader.close()

    def test_taps(self):
        for connection in range(1, 17):
            self.assertEqual(self.tap(connection).status, 200)
        self.assertEqual(self.tap(17).status, 503)
        self.check(requests_refused="taps")

    def tap(self, connection):
        return http_client.post(self.http, f"/api/taps/ann?connection={connection:016x}", "", {"X-API-Key": "good"})

    def test_servers_that_fail(self):
        self.assertEqual(http_client.get(self.http, "/gone").status, 502)
        self.check(requests_refused="unreachable", upstream_failures="connect")
        for failure, status, reason in ((Cut(), 200, "closed"), (Reset(), 502, "closed"), (Garbage(), 502, "malformed"),
                                        (Hang(), 504, "timeout"), (Reply(503), 503, "status")):
            self.app.on("/passed", failure)
            self.assertEqual(self.raw(b"GET /passed HTTP/1.1\r\nHost: a\r\n\r\n").read_until(b"\r\n")[9:12], b"%d" % status)
            refused = "unreachable" if status in (502, 504) else []  # Else it is the server's answer that is passed on.
            self.check(upstream_failures=reason, requests_refused=refused)

    def test_applications_that_fail(self):
        self.app.on("/app", lambda request: self.failure if request.header("ce-type") == "beamgate.connect" else Reply(204))
        for self.failure, status, reason in ((Cut(), 503, "closed"), (Garbage(), 502, "malformed"), (Reply(500), 500, "status"),
                                             (Huge(2_000_000), 502, "too_large")):
            self.refused("/app", status)
            self.check(websocket_handshakes_refused="application" if status == 500 else "unreachable", webhook_failures=reason)

    def test_applications_that_are_asked_too_much(self):
        held = Held(Reply(204))
        self.app.on("/busy", held)
        self.app.on("/broken", Reply(502))
        self.start(more=f"webhook busy {{ url {self.app.url}/busy; concurrency 1; queue 1; }}"
                        f"webhook broken {{ url {self.app.url}/broken; breaker_failures 1; }}",
                   locations="location = /busy { websocket raw; webhook busy; } location = /broken { websocket raw; webhook broken; }")
        self.before = self.counts()
        waiting = [self.raw(HANDSHAKE % b"/busy") for _ in range(2)]
        beamgate.until(lambda: self.running.metrics()["beamgate_http_requests_active"] == 3, 10, "both, and this one")
        self.refused("/busy", 503)
        self.check(websocket_handshakes_refused="unreachable", webhook_failures="queue_full")
        held.release()
        for wire in waiting:
            self.assertEqual(wire.read_until(b"\r\n")[9:12], b"101")
        self.refused("/broken", 502)
        self.check(websocket_handshakes_refused="application", webhook_failures="status")
        self.refused("/broken", 503)
        self.check(websocket_handshakes_refused="unreachable", webhook_failures="breaker")

    def test_certificates_that_nobody_knows(self):
        with tempfile.TemporaryDirectory(prefix="beamgate-certificates-") as place:
            pair = Authority(place).issue("127.0.0.1")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            secure = self.backend(tls=context)
        self.start(more=f"webhook secure {{ url {secure.url}; }}",
                   locations=f"location = /secure {{ proxy_pass {secure.url}; proxy_ssl_verify on; }}"
                             "location = /secured { websocket raw; webhook secure; }")
        self.before = self.counts()
        self.assertEqual(http_client.get(self.http, "/secure").status, 502)
        self.check(requests_refused="unreachable", upstream_failures="tls")
        self.refused("/secured", 503)
        self.check(websocket_handshakes_refused="unreachable", webhook_failures="tls")

    def test_http2(self):
        with h2_client.Frames(self.http) as client:
            client.headers(1, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("Upper", "x")])
            self.assertEqual(client.outcome(1), ("reset", 1))
        self.check(requests_refused="malformed")
        with h2_client.Frames(self.http) as client:
            client.send(0, 0, 0, b"DATA of no stream")
            client.wait_goaway()
        self.check(connections_closed="protocol_error")

    # Handshakes.

    def test_handshakes(self):
        self.assertEqual(http_client.get(self.http, "/deaf").status, 426)
        self.check(websocket_handshakes_refused="malformed")
        self.refused("/raw-token", 401)
        self.check(websocket_handshakes_refused="token")
        self.refused("/phoenix?vsn=2.0.0", 403)
        self.check(websocket_handshakes_refused="token")
        self.refused("/phoenix?vsn=9.0.0", 403)
        self.check(websocket_handshakes_refused="malformed")
        self.refused("/raw/closed", 403)
        self.check(websocket_handshakes_refused="channel")
        self.connect("/raw/small")
        self.refused("/raw/small", 503)
        self.check(websocket_handshakes_refused="channel_full")
        self.refused("/away", 503)
        self.check(websocket_handshakes_refused="unreachable", webhook_failures="connect")
        self.app.on("/app", Reply(403, "no"))
        self.refused("/app", 403)
        self.check(websocket_handshakes_refused="application")

    def test_handshakes_of_pusher(self):
        other = self.connect("/app/none?protocol=7")
        self.assertEqual(other.recv_close(), 4001)
        self.check(websocket_handshakes_refused="token", connections_closed="handshake")
        old = self.connect("/app/key?protocol=1")
        self.assertEqual(old.recv_close(), 4007)
        self.check(websocket_handshakes_refused="malformed", connections_closed="handshake")
        self.connect("/app/key?protocol=7").recv()
        second = self.connect("/app/key?protocol=7")
        self.assertEqual(second.recv_close(), 4100)
        self.check(connections_closed="connections_max")

    # Ends.

    def test_the_api_ends_it(self):
        self.app.on("/app", lambda request: Reply(204, headers=[("beamgate-user", "ann")]))
        socket = self.connect("/app")
        self.api("disconnect", {"user": "ann"})
        socket.recv_close()
        self.check(connections_closed="api")
        line, poll = self.client("room"), self.track(http_client.Connection(self.http))
        stream = self.track(event_stream.Reader(self.http, "/any?channel=room")).wait_joined()
        poll.send_request("GET", "/poll?channel=room")
        beamgate.until(lambda: self.api("channels", {})["result"]["channels"].get("room", {}).get("num_clients") == 3)
        ids = [each["id"] for each in
               http_client.get(self.http, "/api/connections?channel=room", {"X-API-Key": "good"}).json()["result"]["connections"]]
        for uid in ids:
            answer = http_client.request(self.http, "DELETE", f"/api/connections/{uid}", {"X-API-Key": "good"})
            self.assertEqual(answer.status, 200)
        self.check(connections_closed=["api"] * 3)
        self.assertEqual(line.read_until(b"\n"), b"BYE closed by the application\n")
        stream.wait_end()

    def test_the_application_ends_it(self):
        self.app.on("/app", lambda request: Reply(204 if request.header("ce-type") != "beamgate.message" else 200,
                                                  headers=[("beamgate-close", "4001")]
                                                  if request.header("ce-type") == "beamgate.message" else []))
        socket = self.connect("/app")
        socket.send("x")
        self.assertEqual(socket.recv_close(), 4001)
        self.check(connections_closed="application")

    def test_the_application_refuses_or_is_away(self):
        self.app.on("/app", lambda request: Reply(403 if request.text == "refuse" else 500 if request.text == "fail" else 204))
        for word, code, reason, failure in (("refuse", 1008, "application", []), ("fail", 1011, "unreachable", "status")):
            socket = self.connect("/app")
            socket.send(word)
            self.assertEqual(socket.recv_close(), code)
            self.check(connections_closed=reason, messages_dropped="application", webhook_failures=failure)
        self.app.on("/lax", lambda request: Hang() if request.text == "lost" else Reply(200, request.body, {"Content-Type": "text/plain"}))
        socket = self.connect("/lax")
        socket.send("lost")
        socket.send("kept")
        self.assertEqual(socket.recv(), "kept")
        self.check(messages_dropped="application", webhook_failures="timeout")

    def test_tokens_end(self):
        token = jwt_token.sign(SECRET, {"sub": "ann", "channels": ["closed", "mine"], "exp": int(time.time()) + 3})
        stream = self.track(event_stream.Reader(self.http, f"/sse-token?token={token}"))
        stream.wait_end(timeout=20)
        self.check(connections_closed="token")
        socket = self.connect("/centrifuge")
        socket.send('{"id":1,"connect":{"token":"a.b.c"}}')
        self.assertEqual(socket.recv_close(), 3500)
        self.check(connections_closed="token")
        client = self.connect("/app/till?protocol=7")
        client.recv()
        client.send('{"event":"pusher:signin","data":{"auth":"till:00","user_data":"{}"}}')
        self.assertEqual(client.recv_close(), 4009)
        self.check(connections_closed="token")

    def test_what_a_reload_takes_away(self):
        client = self.connect("/app/till?protocol=7")
        client.recv()
        self.running.write_config(http=self.configuration(till=""))
        self.running.signal(SIGHUP)
        self.running.wait_log("configuration_in_force generation=2")
        self.before = self.counts()
        client.send('{"event":"client-x","channel":"private-y","data":{}}')
        self.assertEqual(client.recv_close(), 4001)
        self.check(connections_closed="not_configured")

    def test_protocols_that_are_broken(self):
        token = jwt_token.sign(SECRET, {"sub": "ann"})
        for target, message, code in (("/centrifuge", "{", 3501), (f"/phoenix?vsn=2.0.0&token={token}", "{", 1002)):
            socket = self.connect(target)
            socket.send(message)
            self.assertEqual(socket.recv_close(), code)
            self.check(connections_closed="protocol_error")
        socket = self.connect("/app/till?protocol=7")
        socket.send("no frame")
        socket.send("no frame")
        self.assertEqual(socket.recv_close(), 4100)
        self.check(connections_closed="protocol_error")
        socket = self.connect("/raw/room")
        socket.send("x" * 2000)
        self.assertEqual(socket.recv_close(), 1009)
        self.check(connections_closed="message_too_big")
        line = self.client("room")
        line.send(b"x" * 2000 + b"\n")
        self.assertEqual(line.read_until(b"\n"), b"ERR line too long\n")
        self.check(connections_closed="message_too_big")

    # Messages.

    def test_rates(self):
        for target, action in (("/rate", "closed"), ("/drop", "dropped"), ("/delay", "delayed")):
            socket = self.connect(target)
            socket.send("one")
            self.assertEqual(socket.recv(), "one")
            socket.send("two")
            if action == "closed":
                self.assertEqual(socket.recv_close(), 1008)
                self.check(websocket_rate_exceeded="closed", connections_closed="rate")
            elif action == "dropped":
                self.check(websocket_rate_exceeded="dropped")
            else:
                self.assertEqual(socket.recv(), "two")
                beamgate.until(lambda: self.grown().get("websocket_rate_exceeded delayed", 0) > 0, 10, "a delay")
                self.assertEqual(set(self.grown()), {"websocket_rate_exceeded delayed"})

    def test_publications(self):
        self.connect("/deaf").send("into nowhere")
        self.check(publications_refused="denied")
        slow = self.client("slow")
        slow.send(b"one\ntwo\n")
        self.assertEqual(slow.read_until(b"\n"), b"ERR too fast\n")
        self.check(publications_refused="rate")
        self.in_pusher().send('{"event":"client-x","channel":"private-y","data":{}}')
        self.check(publications_refused="denied")
        client = self.in_centrifuge()
        client.send('{"id":2,"publish":{"channel":"room","data":{}}}')
        self.assertIn('"error"', client.recv())
        self.check(publications_refused="denied")
        phoenix = self.in_phoenix()
        phoenix.send('["1","1","room","said",{}]')
        self.assertIn("unmatched topic", phoenix.recv())
        self.check(publications_refused="denied")

    def test_events_that_are_the_servers_own(self):
        pusher, phoenix = self.in_pusher(), self.in_phoenix()
        for name, told in (("pusher:later", False), ("said", True), ("client-" + "x" * 200, True)):
            pusher.send('{"event":"%s","channel":"room","data":{}}' % name)
            if told:
                self.assertIn("pusher:error", pusher.recv())
            self.check(publications_refused="event")
        pusher.send('{"event":"pusher:subscribe","data":{"channel":"room"}}')
        self.assertIn("subscription_succeeded", pusher.recv())
        phoenix.send('["1","1","room","phx_join",{}]')
        self.assertIn('"ok"', phoenix.recv())
        for name in ("phx_close", "presence_diff", "x" * 256):
            phoenix.send('["1","2","room","%s",{}]' % name)
            self.assertIn("invalid event", phoenix.recv())
            self.check(publications_refused="event")
        phoenix.send('["1","3","room","pusher:error",{}]')  # Of which its own protocol knows nothing.
        self.assertIn('"ok"', phoenix.recv())
        self.check(messages_dropped="event")
        body = json.dumps({"channel": "room", "name": "presence_diff", "data": "{}"})
        self.assertEqual(self.sell(body).status, 200)
        while "presence_diff" not in pusher.recv():
            pass
        self.check(messages_dropped="event")

    def sell(self, body):
        """POST events by the Pusher HTTP API of the till."""
        target = "/apps/2/events"
        query = (f"auth_key=till&auth_timestamp={int(time.time())}&auth_version=1.0"
                 f"&body_md5={hashlib.md5(body.encode()).hexdigest()}")
        signature = hmac.new(b"0123456789abcdef", f"POST\n{target}\n{query}".encode(), "sha256").hexdigest()
        return http_client.post(self.http, f"{target}?{query}&auth_signature={signature}", body)

    def test_subscriptions(self):
        self.app.on("/app", lambda request: Reply(403 if request.header("ce-type") == "beamgate.subscribe" else 204))
        self.client("small")
        wanted = {"closed": "channel", "small": "channel_full", "members": "token", "asked": "application",
                  "unasked": "unreachable"}
        centrifuge, phoenix, pusher = self.in_centrifuge(), self.in_phoenix(), self.in_pusher()
        for channel, reason in wanted.items():
            centrifuge.send('{"id":2,"subscribe":{"channel":"%s"}}' % channel)
            self.assertIn('"error"', centrifuge.recv())
            self.check(subscriptions_refused=reason, webhook_failures=self.failure_behind(reason))
            phoenix.send('["1","1","%s","phx_join",{}]' % channel)
            self.assertIn('"error"', phoenix.recv())
            self.check(subscriptions_refused=reason, webhook_failures=self.failure_behind(reason))
            pusher.send('{"event":"pusher:subscribe","data":{"channel":"%s"}}' % channel)
            self.assertIn("pusher:subscription_error", pusher.recv())
            self.check(subscriptions_refused=reason, webhook_failures=self.failure_behind(reason))
        line = self.track(Wire(open_socket(self.line)))
        for channel, reason in (("closed", "channel"), ("small", "channel_full"), ("members", "token")):
            line.send(f"JOIN {channel}\n".encode())
            self.assertTrue(line.read_until(b"\n").startswith(b"ERR "))
            self.check(subscriptions_refused=reason)
        pusher.send('{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"till:00"}}')
        self.assertIn("pusher:subscription_error", pusher.recv())
        self.check(subscriptions_refused="token")

    def in_centrifuge(self):
        client = self.connect("/centrifuge")
        client.send('{"id":1,"connect":{"token":"%s"}}' % jwt_token.sign(SECRET, {"sub": "ann"}))
        self.assertIn('"connect"', client.recv())
        return client

    def in_phoenix(self):
        return self.connect(f"/phoenix?vsn=2.0.0&token={jwt_token.sign(SECRET, {'sub': 'ann'})}")

    def in_pusher(self):
        client = self.connect("/app/till?protocol=7")
        client.recv()
        return client

    def test_the_application_refuses_publications(self):
        self.app.on("/app", lambda request: Reply(403 if request.header("ce-type") == "beamgate.publish" else 204))
        for channel, reason in (("told", "application"), ("untold", "unreachable")):
            centrifuge, phoenix = self.in_centrifuge(), self.in_phoenix()
            centrifuge.send('{"id":2,"subscribe":{"channel":"%s"}}' % channel)
            self.assertNotIn('"error"', centrifuge.recv())
            centrifuge.send('{"id":3,"publish":{"channel":"%s","data":{}}}' % channel)
            self.assertIn('"error"', centrifuge.recv())
            self.check(publications_refused=reason, webhook_failures=self.failure_behind(reason))
            phoenix.send('["1","1","%s","phx_join",{}]' % channel)
            self.assertIn('"ok"', phoenix.recv())
            phoenix.send('["1","2","%s","said",{}]' % channel)
            self.assertIn('"error"', phoenix.recv())
            self.check(publications_refused=reason, webhook_failures=self.failure_behind(reason))

    def test_publications_that_find_the_bus_full(self):
        client = self.in_centrifuge()
        client.send('{"id":2,"subscribe":{"channel":"room"}}')
        self.assertNotIn('"error"', client.recv())
        os.kill(self.running.pid, SIGSTOP)  # The master reads nothing of it.
        try:
            for number in range(3, 203):  # 12 MB, above what a worker holds for it.
                client.send('{"id":%d,"publish":{"channel":"room","data":"%s"}}' % (number, "x" * 60_000))
            self.assertIn('"error"', client.recv())
            beamgate.until(lambda: self.grown().get("publications_refused bus_queue", 0) > 0)
            self.assertEqual(set(self.grown()), {"publications_refused bus_queue"})
        finally:
            os.kill(self.running.pid, SIGCONT)

    def test_publications_that_give_way(self):
        self.client("newest")
        for number in range(4):
            self.api("publish", {"channel": "newest", "data": number})
        self.check(messages_dropped=["conflated"] * 2)  # The first has gone at once, the last one waits.


class WhatWorkersLeave(continuity.TestCase):
    def test_a_record_that_cant_be_read(self):
        self.start(workers=1).expect_deaths()
        address = self.running.address()
        lost, kept = (self.track(ws_client.connect(address, "/echo")) for _ in range(2))
        self.wait_slots(1)
        worker, = self.running.worker_pids()
        damage(worker, self.uid_of(lost))
        os.kill(worker, SIGKILL)
        kept.send("still")
        self.assertEqual(kept.recv(), "still")
        self.assertEqual(self.running.metrics()['beamgate_connections_lost_total{reason="unreadable"}'], 1)
        self.assertEqual(lost.recv_close(), 1006)

    def uid_of(self, client):
        peer = "%s:%d" % client.wire.sock.getsockname()
        rows = http_client.get(self.running.address(), "/api/connections").json()["result"]["connections"]
        return next(row["id"] for row in rows if row["peer"] == peer)

    def test_events_that_nobody_takes(self):
        """Both workers end; the one that ends last, since half of a request is there, tells of the other."""
        self.start("webhook away { url http://127.0.0.1:1/; on_error allow; } server { listen 127.0.0.1:0;"
                   " location = /app { websocket raw; webhook away; } location = /metrics { metrics; } }", workers=2)
        address = self.running.address()
        self.holder = self.holder_of(self.track(ws_client.connect(address, "/app")).wire)
        asker = beamgate.until(self.wire_to_the_other)
        asker.send(b"GET /metrics HTTP/1.1\r\n")
        beamgate.until(lambda: self.running.metrics()["beamgate_connections_reading"] == 1)
        self.running.signal(SIGQUIT)
        self.running.wait_log(r"\bwebhook_events_lost\b")
        asker.send(b"Host: a\r\n\r\n")
        lost = re.search(rb'beamgate_webhook_events_dropped_total{reason="shutdown"} (\d+)', asker.read_to_end())
        self.assertEqual(int(lost[1]), 2)  # It was connected, and is disconnected.
        self.running.check_ended()

    def holder_of(self, wire):
        end = wire.sock.getsockname()
        return self.workers_of({end}).get(end)

    def wire_to_the_other(self):
        wire = self.track(Wire(open_socket(self.running.address())))
        return wire if self.holder_of(wire) not in (None, self.holder) else None


def damage(worker, uid):
    """Makes the record of a connection one that can't be, in the arena of its worker (worker/record/record.h)."""
    uid_at, protocol_at = 112, 9
    with open(continuity.arena_path(worker), "r+b", buffering=0) as arena:
        wanted = int(uid, 16).to_bytes(8, "little")
        found = [at + match.start() for at, part in continuity.used_parts(arena.fileno())
                 for match in re.finditer(re.escape(wanted), part) if (at + match.start()) % 64 == uid_at % 64]
        record, = (place - uid_at for place in found)
        os.pwrite(arena.fileno(), b"\xff", record + protocol_at)


if __name__ == "__main__":
    beamgate.main()
