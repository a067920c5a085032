"""Webhooks end to end: what an application is asked, and what its answers do to a client.

Every rule for a well-behaved application, then those for one that is down, slow, silent, cut off, nonsensical
or endless: clients are told as on_error says, other connections go on, and the workers' memory stays flat.
"""

import os
import socket
import ssl
import tempfile
import threading
import time
import unittest

import beamgate
import http_client
import standard_webhooks
import ws_client
import ws_frame
from backend import Actions, Cut, Garbage, Hang, Held, Huge, Reply
from certificates import Authority
from wire import Timeout

SECRET = standard_webhooks.new_secret("webhooks")
OLD_SECRET = standard_webhooks.new_secret("before the rotation")


def settings(backend, more=""):
    address = f"unix_socket {backend.path}; url http://localhost/hook;" if backend.directory else f"url {backend.url}/hook;"
    return f"webhook app {{ {address} secret {SECRET}; timeout 2s; breaker_failures 0; {more} }}"


class Webhooks(beamgate.TestCase):
    def start(self, webhook="", location="", workers=1, unix=False, **options):
        self.app = self.backend(Reply(204), secret=SECRET, unix=unix)
        self.server = self.gateway(
            settings(self.app, webhook) +
            "server { listen 127.0.0.1:0; location /ws { websocket raw; webhook app; %s }"
            " location /open { websocket raw; websocket_subscribe $arg_room; websocket_publish $arg_room; }"
            " location /plain { return 200 ok; } }" % location, workers=workers, **options)
        return self.server.address()

    def connect(self, target="/ws", **options):
        socket = ws_client.connect(self.server.address(), target, **options)
        self.addCleanup(socket.wire.close)
        return socket

    def refused(self, target="/ws", **options):
        with self.assertRaises(ws_client.Refused) as raised:
            self.connect(target, **options)
        return raised.exception.response


class AnApplicationThatAnswers(Webhooks):
    def test_is_asked_before_the_connection_opens(self):
        self.start("forward_headers cookie user-agent;")
        self.connect("/ws?name=ann&x=%20y", headers=[
            ("Cookie", "a=1"), ("User-Agent", "test/1"), ("X-Secret", "no"), ("Beamgate-User", "root"),
            ("beamgate_state", "root"), ("CE-Type", "beamgate.message"), ("webhook_id", "forged")])
        request = self.app.wait("beamgate.connect")
        self.assertEqual(request.method, "POST")
        self.assertEqual(request.body, b"")
        self.assertEqual(request.header("beamgate-uri"), "/ws?name=ann&x=%20y")
        self.assertEqual(request.header("beamgate-address"), "127.0.0.1")
        self.assertEqual(request.header("cookie"), "a=1")
        self.assertEqual(request.header("ce-specversion"), "1.0")
        uid = request.header("beamgate-connection")
        self.assertRegex(uid, "^[0-9a-f]{16}$")
        self.assertRegex(request.header("ce-source"), rf"^/127\.0\.0\.1:\d+/{uid}$")
        self.assertEqual(request.fields.all("user-agent"), ["test/1"])
        for forged in ("beamgate-user", "beamgate_state", "beamgate-state", "webhook_id", "x-secret"):
            self.assertIsNone(request.header(forged), forged)
        self.assertEqual(request.fields.all("ce-type"), ["beamgate.connect"])

    def test_refuses_with_its_own_words(self):
        self.start()
        self.app.on("beamgate.connect", Reply(403, "not today", {"WWW-Authenticate": "Bearer", "Set-Cookie": "a=1",
                                                                 "X-Internal": "secret"}))
        response = self.refused()
        self.assertEqual((response.status, response.text), (403, "not today"))
        self.assertEqual(response.header("www-authenticate"), "Bearer")
        self.assertEqual(response.header("set-cookie"), "a=1")
        self.assertIsNone(response.header("x-internal"))
        self.app.on("beamgate.connect", Reply(302, "", {"Location": self.app.url + "/elsewhere"}))
        self.assertEqual(self.refused().status, 502)
        self.assertEqual(self.app.seen(path="/elsewhere"), [])
        self.app.on("beamgate.connect", Reply(204))
        self.connect().close()
        self.app.wait_events("beamgate.disconnected")
        self.assertEqual(len(self.app.events("beamgate.connected")), 1)  # Nothing of those that were refused.

    def test_says_who_the_client_is(self):
        self.start()
        self.app.on("beamgate.connect", Reply(200, "", {"Beamgate-User": "J%C3%B6rg", "Beamgate-State": '{"room": "a"}'}))
        socket = self.connect()
        socket.send("x")
        request = self.app.wait("beamgate.message")
        self.assertEqual(request.header("beamgate-user"), "J%C3%B6rg")
        self.assertEqual(request.header("beamgate-state"), '{"room": "a"}')
        event = self.app.wait_events("beamgate.connected")[0]
        self.assertEqual(event["beamgateuser"], "Jörg")

    def test_chooses_the_subprotocol(self):
        self.start(location="websocket_subprotocols a b;")
        self.assertEqual(self.connect(subprotocols=["b", "a"]).subprotocol, "a")
        self.app.on("beamgate.connect", Reply(204, headers={"Sec-WebSocket-Protocol": "b"}))
        self.assertEqual(self.connect(subprotocols=["a", "b"]).subprotocol, "b")
        self.assertEqual(self.app.seen("beamgate.connect")[1].header("sec-websocket-protocol"), "a, b")

    def test_gets_the_clients_own_bytes_and_its_reply_comes_back(self):
        self.start()
        self.app.on("beamgate.message", lambda request: Reply(
            200, request.body, {"Content-Type": request.header("content-type")}))
        socket = self.connect()
        for message in ("hällo", b"\x00\xff", "x" * 60000, "{}"):
            socket.send(message)
            self.assertEqual(socket.recv(), message)
        kinds = [request.header("content-type") for request in self.app.seen("beamgate.message")]
        self.assertEqual(kinds[:2], ["text/plain; charset=utf-8", "application/octet-stream"])

    def test_over_a_unix_socket(self):
        self.start(unix=True)
        self.app.on("beamgate.message", lambda request: Reply(200, "got " + request.text))
        socket = self.connect()
        socket.send("it")
        self.assertEqual(socket.recv(), "got it")

    def test_two_secrets_sign_while_one_replaces_the_other(self):
        self.start(f"secret {OLD_SECRET};")
        self.connect()
        request = self.app.wait("beamgate.connect")
        for secret in (SECRET, OLD_SECRET):
            standard_webhooks.verify(secret, request.fields, request.body)

    def test_messages_come_in_order_one_at_a_time(self):
        self.start("connection_queue 4;")
        held = Held(Reply(204))
        self.app.on("beamgate.message", held)
        socket = self.connect()
        for number in range(50):
            socket.send(str(number))
        self.app.wait("beamgate.message")
        with self.assertRaises(Timeout):
            self.app.wait("beamgate.message", count=2, timeout=0.2)
        held.release()
        self.app.wait("beamgate.message", count=50)
        self.assertEqual([request.text for request in self.app.seen("beamgate.message")], [str(n) for n in range(50)])
        ids = [request.header("webhook-id") for request in self.app.seen("beamgate.message")]
        self.assertEqual(len(set(ids)), 50)

    def test_what_was_sent_before_the_close_still_arrives(self):
        self.start()
        held = Held(Reply(204))
        self.app.on("beamgate.message", held)
        socket = self.connect()
        for number in range(5):
            socket.send(str(number))
        socket.close()
        held.release()
        self.app.wait("beamgate.message", count=5)
        self.assertEqual([request.text for request in self.app.seen("beamgate.message")], list("01234"))

    def test_actions_are_done_in_order(self):
        self.start()
        self.app.on("beamgate.connect", Actions(user="ann", state="s1", subscribe=["room"], send=["welcome"]))
        self.app.on("beamgate.message", Actions(
            state="s2", subscribe=["second"], unsubscribe=["room"], send=["one", {"data": {"n": 2}}, {"base64": "AP8="}],
            publish=[{"channel": "second", "data": "published"}, {"channel": "room", "data": "not heard"}]))
        socket = self.connect()
        self.assertEqual(socket.recv(), "welcome")
        socket.send("go")
        self.assertEqual([socket.recv() for _ in range(4)], ["one", '{"n":2}', b"\x00\xff", "published"])
        self.app.on("beamgate.message", Actions(close={"code": 4001, "reason": "bye"}, send=["last"]))
        socket.send("end")
        self.assertEqual(socket.recv(), "last")
        with self.assertRaises(ws_client.Closed) as closed:
            socket.recv()
        self.assertEqual((closed.exception.code, closed.exception.reason), (4001, "bye"))
        last = self.app.seen("beamgate.message")[-1]
        self.assertEqual((last.header("beamgate-user"), last.header("beamgate-state")), ("ann", "s2"))

    def test_a_close_waits_for_the_publications_before_it(self):
        self.start(workers=2)
        self.app.on("beamgate.connect", Actions(subscribe=["room"]))
        self.app.on("beamgate.message", Actions(
            send=["1"], publish=[{"channel": "room", "data": "2"}, {"channel": "", "data": "no channel"}],
            close={"code": 4009}))
        for _ in range(20):
            socket = self.connect()
            socket.send("go")
            heard = [socket.recv()]
            while heard[-1] != "2":
                heard.append(socket.recv())
            self.assertEqual(heard[0], "1")
            self.assertEqual(socket.recv_close(), 4009)

    def test_a_publication_leaves_one_connection_out(self):
        self.start()
        self.app.on("beamgate.connect", Actions(subscribe=["room"]))
        sockets = [self.connect() for _ in range(3)]
        self.app.on("beamgate.message", lambda request: Actions(publish=[
            {"channel": "room", "data": "for the others", "event": "say", "except": request.header("beamgate-connection")},
            {"channel": "room", "data": "for all"}]))
        sockets[0].send("go")
        self.assertEqual(sockets[0].recv(), "for all")
        for socket in sockets[1:]:
            self.assertEqual([socket.recv(), socket.recv()], ["for the others", "for all"])

    def test_who_is_subscribed_by_the_application_is_present(self):
        self.app = self.backend(Reply(204), secret=SECRET)
        self.server = self.gateway(
            settings(self.app, "batch_delay 5ms;") + "channels there { presence on; presence_webhook app; }"
            "server { listen 127.0.0.1:0; location /ws { websocket raw; webhook app; } location /api/ { api on; } }", workers=3)
        self.app.on("beamgate.connect", lambda request: Actions(
            user=request.header("beamgate-uri").partition("name=")[2], subscribe=["there"]))

        def members():
            answer = http_client.post(self.server.address(), "/api/presence", {"channel": "there"}).json()["result"]
            return sorted(member["user"] for member in answer["presence"].values())

        ann, tab, bob = (self.connect(f"/ws?name={name}") for name in ("ann", "ann", "bob"))
        self.assertEqual(members(), ["ann", "ann", "bob"])
        self.app.on("beamgate.message", Actions(unsubscribe=["there"]))
        ann.send("leave")
        beamgate.until(lambda: members() == ["ann", "bob"])
        self.app.on("beamgate.message", Actions(subscribe=["there"], send=["back"]))
        ann.send("come back")
        self.assertEqual(ann.recv(), "back")
        self.assertEqual(members(), ["ann", "ann", "bob"])
        for socket in (ann, tab):
            socket.close()
        beamgate.until(lambda: members() == ["bob"])
        told = [(event["type"], event["data"]["user"]) for event in self.app.wait_events("beamgate.left", count=1)]
        self.assertEqual(told, [("beamgate.left", "ann")])
        self.assertEqual(len(self.app.wait_events("beamgate.joined", count=2)), 2)

    def test_header_actions(self):
        self.start()
        self.app.on("beamgate.message", Reply(200, "text", {
            "Beamgate-Subscribe": "a, b", "Beamgate-State": "s", "Beamgate-Close": "4002 enough"}))
        socket = self.connect()
        socket.send("x")
        self.assertEqual(socket.recv(), "text")
        self.assertEqual(socket.recv_close(), 4002)

    def test_events_tell_the_story(self):
        self.start()
        self.app.on("beamgate.connect", Actions(user="ann", state="room"))
        socket = self.connect()
        socket.send("x")
        self.app.wait("beamgate.message")
        socket.close(4100)
        gone = self.app.wait_events("beamgate.disconnected")[0]
        came = self.app.wait_events("beamgate.connected")[0]
        self.assertEqual((came["beamgateuser"], came["beamgatestate"]), ("ann", "room"))
        self.assertLess(came["beamgatesequence"], gone["beamgatesequence"])
        self.assertEqual((gone["data"]["code"], gone["data"]["reason"]), (4100, "client"))
        self.assertGreaterEqual(gone["data"]["duration_ms"], 0)
        lost = self.connect()
        lost.abort()
        self.assertEqual(self.app.wait_events("beamgate.disconnected", 2)[1]["data"]["reason"], "lost")

    def test_events_tell_of_silence(self):
        self.start(location="websocket_idle_timeout 300ms; websocket_ping_interval 100ms;")
        socket = self.connect()  # It answers no ping.
        gone = self.app.wait_events("beamgate.disconnected")[0]
        self.assertEqual((gone["data"]["code"], gone["data"]["reason"]), (1001, "idle"))
        socket.wire.close()

    def test_events_are_taken_whatever_is_said_with_it(self):
        self.start("reply_max 1k; retry_delay 20ms; batch_delay 10ms;")
        for reply in (Reply(200, "x" * 5000), Huge(100_000_000), Huge(100_000_000, chunked=True),
                      Reply(200, "{", {"Content-Type": "application/vnd.beamgate+json"})):
            self.app.on("*", reply)
            self.app.on("beamgate.connect", Reply(204))
            self.connect().close()
        self.app.wait_events("beamgate.disconnected", 4)
        ids = [event["id"] for event in self.app.events()]
        self.assertEqual(len(ids), len(set(ids)), "an event came twice")
        self.assertNotIn("webhook_failed", self.server.log())

    def test_a_subscription_holds_before_the_client_knows_it_is_connected(self):
        self.start(workers=2)
        publisher = self.connect("/open?room=r")
        for number in range(30):
            listener = self.connect("/open?room=r")
            publisher.send(str(number))
            # Its worker may still be behind with what another one has delivered already.
            heard = [listener.recv()]
            while heard[-1] != str(number):
                heard.append(listener.recv())
            self.assertEqual(heard, [str(n) for n in range(number - len(heard) + 1, number + 1)])
            listener.wire.close()

    def test_without_an_application_messages_reach_the_channel(self):
        self.start(workers=2)
        sockets = [self.connect("/open?room=a") for _ in range(4)]
        other = self.connect("/open?room=b")
        sockets[0].send("hello")
        sockets[0].send(b"\x01\x02")
        for socket in sockets:
            self.assertEqual([socket.recv(), socket.recv()], ["hello", b"\x01\x02"])
        other.send("own")
        self.assertEqual(other.recv(), "own")
        self.assertEqual(self.refused("/open").status, 400)
        self.assertEqual(self.refused("/open?room=" + "x" * 256).status, 400)


class AnApplicationThatFails(Webhooks):
    def test_denied_is_1008(self):
        self.start()
        for status in (401, 403):
            self.app.on("beamgate.message", Reply(status, "no"))
            socket = self.connect()
            socket.send("x")
            self.assertEqual(socket.recv_close(), 1008)

    def test_slow_down_is_obeyed_and_the_message_is_sent_again(self):
        self.start()
        answers = [Reply(429, "", {"Retry-After": "1"}), Reply(503, "", {"Retry-After": "1"}), Reply(200, "at last")]
        self.app.on("beamgate.message", lambda request: answers.pop(0))
        socket = self.connect()
        begun = time.monotonic()
        socket.send("x")
        self.assertEqual(socket.recv(), "at last")
        self.assertGreater(time.monotonic() - begun, 1.9)
        self.assertEqual(len({request.header("webhook-id") for request in self.app.seen("beamgate.message")}), 1)

    def test_slow_down_may_be_over_at_once(self):
        self.start("retry_delay 100ms;")
        past = "Mon, 01 Jan 2001 00:00:00 GMT"
        answers = [Reply(429, "", {"Retry-After": "0"}), Reply(503, "", {"Retry-After": past}), Reply(200, "at last")]
        self.app.on("beamgate.message", lambda request: answers.pop(0))
        socket = self.connect()
        begun = time.monotonic()
        socket.send("x")
        self.assertEqual(socket.recv(), "at last")
        self.assertGreater(time.monotonic() - begun, 0.19)

    def test_a_user_that_nobody_can_be(self):
        self.start()
        for user in ("u" * 201, "a%0Ab", "%FF"):
            self.app.on("beamgate.connect", Reply(204, headers=[("beamgate-user", user)]))
            self.assertEqual(self.refused().status, 502, user)
        self.app.on("beamgate.connect", Reply(204, headers=[("beamgate-user", "u" * 200)]))
        self.connect()

    def test_a_status_that_is_none(self):
        self.start()
        for status in (600, 999):
            self.app.on("beamgate.connect", Reply(status, "?"))
            self.assertEqual(self.refused().status, 502, status)

    def test_a_wrong_url_is_found_in_the_log(self):
        self.start("retry_time 100ms; batch_delay 10ms;", location="} location = /metrics { metrics on;")
        def failures():
            return self.server.metrics()['beamgate_webhook_failures_total{reason="status"}']
        self.app.on("*", Reply(204))
        self.app.on("beamgate.message", Reply(404))
        socket = self.connect()
        socket.send("x")
        self.assertEqual(socket.recv_close(), 1011)
        self.server.wait_log(r"webhook_failed connection=\S+ webhook=app outcome=status detail=404")
        self.app.on("beamgate.connect", Reply(301))
        self.assertEqual(self.refused().status, 502)
        self.server.wait_log(r"webhook_failed connection=\S+ webhook=app outcome=status detail=301")
        self.assertEqual(failures(), 2)
        self.app.on("beamgate.connect", Reply(404))
        self.assertEqual(self.refused().status, 404)
        self.assertEqual(failures(), 2, "an ordinary refusal")

    def test_each_failure_denies(self):
        self.start("reply_max 64k;")
        for failure in (Reply(500), Reply(404), Reply(302), Hang(), Cut(), Cut(hang=True), Garbage(), Huge(100_000_000),
                        Huge(100_000_000, chunked=True), Reply(200, "{", {"Content-Type": "application/vnd.beamgate+json"}),
                        Reply(200, b"\xff", {"Content-Type": "text/plain"})):
            with self.subTest(failure=failure):
                self.app.on("beamgate.message", Reply(200, "fine"))
                self.app.on("beamgate.connect", Reply(204))
                socket, other = self.connect(), self.connect()
                self.app.on("beamgate.message", lambda request: failure if request.text == "bad" else Reply(200, "fine"))
                socket.send("bad")
                other.send("good")
                self.assertEqual(other.recv(), "fine")
                self.assertEqual(socket.recv_close(), 1011)
                self.app.on("beamgate.connect", failure)
                expected = (404, 500) if isinstance(failure, Reply) and failure.status in (404, 500) else (502, 503)
                self.assertIn(self.refused().status, expected)

    def test_each_failure_allows_where_that_is_wanted(self):
        self.start("on_error allow; reply_max 64k;")
        for failure in (Hang(), Cut(), Garbage(), Huge(100_000_000)):
            with self.subTest(failure=failure):
                self.app.on("beamgate.connect", failure)
                self.app.on("beamgate.message", lambda request: failure if request.text == "bad" else Reply(200, "fine"))
                socket = self.connect()
                socket.send("bad")
                socket.send("good")
                self.assertEqual(socket.recv(), "fine")

    def test_nobody_there(self):
        self.start("retry_delay 50ms;")
        socket = self.connect()
        self.app.close()
        socket.send("x")
        self.assertEqual(socket.recv_close(), 1011)
        self.assertEqual(self.refused().status, 503)
        self.assertEqual(ws_client.connect(self.server.address(), "/open?room=a").response.status, 101)

    def test_events_wait_for_an_application_that_is_down(self):
        self.start("retry_delay 50ms;")
        self.app.on("*", Reply(500))
        self.app.on("beamgate.connect", Reply(204))
        self.connect().close()
        self.app.wait(match=lambda request: "batch" in request.header("content-type"), count=3)
        self.app.on("*", Reply(204))
        self.app.wait_events("beamgate.disconnected")
        ids = [request.header("webhook-id") for request in self.app.seen(match=lambda r: "batch" in r.header("content-type"))]
        self.assertEqual(len(set(ids[:3])), 1)

    def test_one_slow_connection_does_not_slow_others(self):
        self.start()
        self.app.on("beamgate.message", lambda request: Hang() if request.text == "slow" else Reply(200, "fast"))
        slow, fast = self.connect(), self.connect()
        slow.send("slow")
        self.app.wait("beamgate.message")
        for _ in range(20):
            fast.send("x")
            self.assertEqual(fast.recv(timeout=1), "fast")

    def test_a_flood_at_a_slow_application_stops_at_the_socket(self):
        self.start("connection_queue 4;")
        held = Held(Reply(204))
        self.app.on("beamgate.message", held)
        socket = self.connect()
        socket.send("first")
        self.app.wait("beamgate.message")
        before = self.server.memory()["Rss"]
        stuck = threading.Event()

        def flood():
            try:
                for _ in range(2000):
                    socket.send("x" * 60000)  # 120 MB.
            except (Timeout, OSError):
                stuck.set()

        socket.wire.timeout = 1
        thread = threading.Thread(target=flood)
        thread.start()
        thread.join(30)
        self.assertTrue(stuck.is_set())
        if not beamgate.sanitized():
            self.assertLess(self.server.memory()["Rss"] - before, 8 << 20)
        held.release()

    def test_a_hundred_megabytes_leave_memory_flat(self):
        self.start("reply_max 64k;")
        self.app.on("beamgate.message", Huge(100_000_000))
        sockets = [self.connect() for _ in range(20)]
        before = self.server.memory()["Rss"]
        for socket in sockets:
            socket.send("x")
        for socket in sockets:
            self.assertEqual(socket.recv_close(), 1011)
        if not beamgate.sanitized():
            self.assertLess(self.server.memory()["Rss"] - before, 16 << 20)


class SideBySide(beamgate.TestCase):
    """Blocks of the same application that differ in one setting: what it changes is seen without a look at the clock."""

    def start(self, url=None, **blocks):
        self.app = self.backend(Reply(204), secret=SECRET)
        self.server = self.gateway("".join(
            f"webhook {name} {{ url {url or self.app.url}/{name}; secret {SECRET}; {more} }}\n" for name, more in blocks.items())
            + "server { listen 127.0.0.1:0; location = /metrics { metrics on; }"
            + "".join(f" location = /{name} {{ websocket raw; webhook {name}; }}" for name in blocks) + " }", workers=1)

    def connect(self, name):
        return self.track(ws_client.connect(self.server.address(), f"/{name}"))

    def status(self, name):
        """What a handshake is answered with."""
        try:
            self.connect(name).close()
        except ws_client.Refused as refused:
            return refused.status
        return 101

    def batches(self, name):
        return [request.json() for request in self.app.seen(path=f"/{name}", match=lambda request: request.type is None)]

    def test_a_batch_holds_so_many_events(self):
        self.start(small="batch_delay 1h; batch_max 2;", usual="batch_delay 1h;")
        for name in ("usual", "small"):
            for _ in range(4):
                self.connect(name).close()  # Two events each.
        beamgate.until(lambda: len(self.batches("small")) == 4)
        self.assertEqual(self.batches("usual"), [])
        beamgate.until(lambda: self.server.metrics()["beamgate_websockets_active"] == 0)
        self.server.stop()  # What waits is delivered.
        self.assertEqual([len(batch) for batch in self.batches("small")], [2] * 4)
        self.assertEqual([len(batch) for batch in self.batches("usual")], [8])

    def test_so_many_events_wait(self):
        self.start(short="batch_delay 1h; event_queue 3;", usual="batch_delay 1h;")
        dropped = lambda: self.server.metrics()['beamgate_webhook_events_dropped_total{reason="queue_full"}']
        for name in ("usual", "short"):
            for _ in range(5):
                self.connect(name)
        beamgate.until(lambda: dropped() == 2)
        self.server.wait_log("webhook_event_dropped .*webhook=short", count=2)
        self.server.stop()
        for name, count in (("usual", 5), ("short", 3)):
            came = [event for batch in self.batches(name) for event in batch if event["type"] == "beamgate.connected"]
            self.assertEqual(len(came), count, name)

    def test_an_event_that_is_too_old_is_given_up(self):
        often = "batch_delay 1ms; retry_delay 10ms; retry_delay_max 10ms;"
        self.start(brief=f"{often} retry_time 100ms;", usual=often)
        self.app.on("*", Reply(500))
        self.app.on("beamgate.connect", Reply(204))
        given_up = lambda: self.server.metrics()['beamgate_webhook_events_dropped_total{reason="given_up"}']
        for name in ("usual", "brief"):
            self.connect(name)
        beamgate.until(lambda: given_up() == 1)
        age = self.server.wait_log(r"webhook_events_dropped webhook=brief events=1 status=500 age_ms=(\d+)").group(1)
        self.assertGreaterEqual(int(age), 100)
        tried = {name: len(self.batches(name)) for name in ("usual", "brief")}
        beamgate.until(lambda: len(self.batches("usual")) > tried["usual"] + 1)
        self.assertEqual(len(self.batches("brief")), tried["brief"])
        self.assertEqual(given_up(), 1)
        self.app.on("*", Reply(204))  # Or the gateway would take its time to end.

    def test_how_long_a_breaker_stays_open(self):
        self.start(brief="breaker_failures 1; breaker_cooldown 100ms;", long="breaker_failures 1; breaker_cooldown 1h;")
        self.app.on("beamgate.connect", Reply(502))
        for name in ("long", "brief"):
            self.assertEqual(self.status(name), 502)
        self.app.on("beamgate.connect", Reply(204))
        beamgate.until(lambda: self.status("brief") == 101)
        self.assertEqual(self.status("long"), 503)
        self.assertEqual(len(self.app.seen("beamgate.connect", path="/long")), 1)

    def test_connecting_takes_only_so_long(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, socket.create_server(("127.0.0.1", 0)) as silent:
            with socket.create_connection(deaf.getsockname()):  # It fills the backlog.
                for scheme, listener in (("http", deaf), ("https", silent)):
                    with self.subTest(scheme=scheme):
                        self.start("%s://127.0.0.1:%d" % (scheme, listener.getsockname()[1]),
                                   hasty="timeout 10m; connect_timeout 50ms;", patient="timeout 10m; connect_timeout 10m;")
                        calls = lambda: self.server.metrics()["beamgate_webhook_requests_active"]
                        with http_client.Connection(self.server.address()) as patient:
                            patient.send(ws_frame.handshake("x", "/patient", ws_frame.make_key()))
                            beamgate.until(lambda: calls() == 1)
                            self.assertEqual(self.status("hasty"), 503)
                            self.assertEqual(calls(), 1)

    def test_whose_certificate_is_believed(self):
        place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        self.addCleanup(place.cleanup)
        own, other = (Authority(place.name, name) for name in ("Own", "Other"))
        for host, statuses in (("127.0.0.1", [101, 101, 503, 503]), ("elsewhere.test", [101, 503, 503, 503])):
            with self.subTest(host=host):
                pair, context = own.issue(host), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pair.certificate, pair.key)
                blocks = {"any": "tls_verify off;", "own": f"tls_ca_file {own.certificate};",
                          "other": f"tls_ca_file {other.certificate};", "usual": ""}
                self.start(self.backend(Reply(204), tls=context).url, **blocks)
                self.assertEqual([self.status(name) for name in blocks], statuses)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_authorities_that_only_the_master_can_read(self):
        place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")  # For its owner alone.
        self.addCleanup(place.cleanup)
        own = Authority(place.name, "Own")
        pair, context = own.issue("127.0.0.1"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        application = self.backend(Reply(204), tls=context)
        gateway = self.gateway(f"""webhook app {{ url {application.url}; tls_ca_file {own.certificate}; }}
            server {{ listen 127.0.0.1:0; location / {{ websocket raw; webhook app; }} }}""", main="user nobody;")
        self.track(ws_client.connect(gateway.address(), "/"))


if __name__ == "__main__":
    beamgate.main()
