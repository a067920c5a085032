"""Phoenix channels over WebSockets: the official client, unmodified, against several workers; and, frame by frame, what it
never sends.  Long polls are test_phoenix_polls.py's."""

import base64
import json
import os
import threading
from signal import SIGCONT, SIGHUP, SIGKILL, SIGQUIT, SIGSTOP

import beamgate
import http_client
import jwt_token
import node_script
import phoenix
import ws_client
from backend import Reply
from phoenix import API, PRESENCE, SOCKET


class TheOfficialClient(phoenix.OfficialClient):
    def test_talks(self):
        self.talk("talk")

    def test_sees_who_is_there(self):
        self.sees_who_is_there("presence")

    def test_users(self):
        self.users("users")

    def test_heartbeat(self):
        self.serve()
        self.assertEqual(len(self.play("heartbeat")), 1)

    def test_comes_back(self):
        self.serve(main="worker_keeper off;", workers=3)
        self.server.deaths_expected = True

        def kill():
            os.kill(self.server.wait_workers(3)[0], SIGKILL)

        def reload():
            mark = self.server.log_mark()
            self.server.signal(SIGHUP)
            self.server.wait_log("reload", after=mark)

        self.assertEqual(len(self.play("come_back", {"kill a worker": kill, "reload": reload})), 4)

    def test_in_a_browser(self):
        node_script.need_chromium()
        page = "<!doctype html><title>phoenix</title><script src=/js/phoenix.min.js></script>"
        server = self.server = self.gateway(
            f"{PRESENCE} server {{ listen 127.0.0.1:0; {SOCKET % ''}"
            f" location = /page {{ default_type text/html; return 200 '{page}'; }}"
            f" location /js/ {{ alias {node_script.SUPPORT}/node_modules/phoenix/priv/static/; types {{ text/javascript js; }} }}"
            " }",
            main="worker_keeper off;", workers=3)
        server.deaths_expected = True

        def kill_workers():
            for pid in server.wait_workers(3):
                os.kill(pid, SIGKILL)

        seen = self.drive(["phoenix_page.mjs", f"http://{server.address()}/page"], {"kill workers": kill_workers})
        self.assertEqual(len(seen), 4)

    def test_application(self):
        self.webhook("webhook")


class Frames(phoenix.TestCase):
    def connect(self, target="/socket/websocket?vsn=2.0.0", **options):
        socket = ws_client.connect(self.server.address(), target, **options)
        self.addCleanup(socket.wire.close)
        return socket

    def say(self, socket, *frame):
        socket.send(json.dumps(frame))

    def hear(self, socket):
        message = socket.recv()
        return json.loads(message) if isinstance(message, str) else message

    def ask(self, socket, *frame):
        self.say(socket, *frame)
        return self.hear(socket)

    def replied(self, join_ref, ref, topic, status="ok", **response):
        return [join_ref, ref, topic, "phx_reply", {"status": status, "response": response}]

    def refused(self, target, **options):
        with self.assertRaises(ws_client.Refused) as raised:
            self.connect(target, **options)
        return raised.exception.response

    def test_versions_and_subprotocol(self):
        self.serve(workers=1)
        for query in ("", "?vsn=1.0.0", "?vsn=3.0.0", "?vsn="):
            response = self.refused("/socket/websocket" + query)
            self.assertEqual(response.status, 403)
            self.assertIn("vsn=2.0.0", response.text)
        self.assertIsNone(self.connect().subprotocol)
        token = "base64url.bearer.phx." + base64.b64encode(b"x" * 31).decode().rstrip("=")
        self.assertEqual(self.connect(subprotocols=["phoenix", token]).subprotocol, "phoenix")

    def test_refs_come_back_as_they_came(self):
        self.serve(workers=1)
        socket = self.connect()
        self.assertEqual(self.ask(socket, None, "9", "phoenix", "heartbeat", {}), self.replied(None, "9", "phoenix"))
        self.assertEqual(self.ask(socket, 1, 1, "room:5", "phx_join", {}, "more", {}), self.replied(1, 1, "room:5"))
        self.assertEqual(self.ask(socket, 1, 2, "room:5", "say", {}), self.replied(1, 2, "room:5"))
        self.say(socket, 1, None, "room:5", "say", {})  # Wants no reply.
        self.assertEqual(self.ask(socket, None, "x", "room:5", "phx_leave", {}), self.replied(None, "x", "room:5"))
        self.assertEqual(self.hear(socket), [1, 1, "room:5", "phx_close", {}])

    def test_second_join_and_stale_messages(self):
        self.serve(workers=1)
        socket = self.connect()
        self.ask(socket, "1", "1", "t", "phx_join", {})
        self.assertEqual(self.ask(socket, "2", "2", "t", "phx_join", {}), ["1", "1", "t", "phx_close", {}])
        self.assertEqual(self.hear(socket), self.replied("2", "2", "t"))
        self.say(socket, "1", "3", "t", "say", {})  # Of the first join: ignored, and so is its leave.
        self.say(socket, "1", "4", "t", "phx_leave", {})
        self.assertEqual(self.ask(socket, "2", "5", "t", "say", {}), self.replied("2", "5", "t"))

    def test_topics_that_were_not_joined(self):
        self.serve(workers=1)
        socket = self.connect()
        self.assertEqual(self.ask(socket, None, "4", "nope", "say", {}),
                         self.replied(None, "4", "nope", "error", reason="unmatched topic"))
        self.assertEqual(self.ask(socket, "3", "5", "nope", "phx_leave", {}), self.replied("3", "5", "nope"))
        for topic in ("", "phoenix", "a\nb", "x" * 256):
            self.assertEqual(self.ask(socket, "1", "1", topic, "phx_join", {}),
                             self.replied("1", "1", topic, "error", reason="invalid topic"))
        self.assertEqual(self.ask(socket, "1", "1", "#server-to-user-ann", "phx_join", {}),
                         self.replied("1", "1", "#server-to-user-ann", "error", reason="unauthorized"))

    def test_a_hundred_topics_and_no_more(self):
        self.serve(workers=1)
        socket = self.connect()
        for i in range(100):
            self.assertEqual(self.ask(socket, str(i), str(i), f"t:{i}", "phx_join", {}),
                             self.replied(str(i), str(i), f"t:{i}"))
        self.assertEqual(self.ask(socket, "x", "x", "t:100", "phx_join", {}),
                         self.replied("x", "x", "t:100", "error", reason="too many channels joined"))
        self.ask(socket, "7", "8", "t:7", "phx_leave", {})
        self.assertEqual(self.hear(socket)[3], "phx_close")
        self.assertEqual(self.ask(socket, "x", "x", "t:100", "phx_join", {}), self.replied("x", "x", "t:100"))

    def test_rules_of_channels(self):
        self.serve(http="channels locked { subscribe denied; } channels quiet { publish off; }", workers=1)
        socket = self.connect()
        self.assertEqual(self.ask(socket, "1", "1", "locked", "phx_join", {}),
                         self.replied("1", "1", "locked", "error", reason="unauthorized"))
        self.ask(socket, "1", "1", "quiet", "phx_join", {})
        self.assertEqual(self.ask(socket, "1", "2", "quiet", "say", {}),
                         self.replied("1", "2", "quiet", "error", reason="unauthorized"))

    def test_what_is_no_frame_closes(self):
        self.serve(workers=1)
        for message in ("x", "{}", "[]", '["1","1","t"]', '{"topic":"t","event":"e","payload":{},"ref":"1"}',
                        b"", b"\1\1\1\1\1", b"\0\1\1\1"):
            socket = self.connect()
            socket.send(message)
            with self.assertRaises(ws_client.Closed) as closed:
                socket.recv()
            self.assertEqual(closed.exception.code, 1002, message)

    def test_binary(self):
        self.serve(workers=2)
        first, second = self.connect(), self.connect()
        for socket in (first, second):
            self.ask(socket, "1", "1", "r:1", "phx_join", {})
        first.send(b"\x00\x01\x01\x03\x0314r:1pcm\xde\xad")
        self.assertEqual(self.hear(first), self.replied("1", "4", "r:1"))
        self.assertEqual(self.hear(second), b"\x02\x03\x03r:1pcm\xde\xad")

    def test_rates(self):
        self.serve(http="channels slow { rate 1r/s burst=2; }", workers=1)
        socket = self.connect()
        self.ask(socket, "1", "1", "slow", "phx_join", {})
        replies = [self.ask(socket, "1", str(i), "slow", "say", {})[4] for i in range(50)]
        self.assertEqual(replies[:2], [{"status": "ok", "response": {}}] * 2)
        self.assertIn({"status": "error", "response": {"reason": "rate limited"}}, replies)

    def test_the_newest_publication_comes_with_the_join(self):
        self.serve(http="channels cached { cache on; }", workers=2)
        first = self.connect()
        self.ask(first, "1", "1", "cached", "phx_join", {})
        for i in range(3):
            self.ask(first, "1", str(i), "cached", "say", {"i": i})
        second = self.connect()
        self.assertEqual(self.ask(second, "7", "7", "cached", "phx_join", {}), self.replied("7", "7", "cached"))
        self.assertEqual(self.hear(second), [None, None, "cached", "say", {"i": 2}])

    def test_tokens_for_channels(self):
        secret = "a-secret-of-thirty-two-characters"
        self.serve(http=f"token users {{ secret {secret}; }} channels room:* {{ subscribe token; }}",
                   location="websocket_token users;", workers=1)
        self.assertEqual(self.refused("/socket/websocket?vsn=2.0.0&token=x").status, 403)
        user = jwt_token.sign(secret, {"sub": "ann"})
        socket = self.connect(f"/socket/websocket?vsn=2.0.0&token={user}")
        refusal = self.replied("1", "1", "room:1", "error", reason="unauthorized")
        for token in (None, user, jwt_token.sign(secret, {"sub": "bob", "channel": "room:1"}),
                      jwt_token.sign(secret, {"sub": "ann", "channel": "room:2"}),
                      jwt_token.sign("x", {"sub": "ann", "channel": "room:1"})):
            self.assertEqual(self.ask(socket, "1", "1", "room:1", "phx_join", {"token": token}), refusal)
        good = jwt_token.sign(secret, {"sub": "ann", "channel": "room:1"})
        self.assertEqual(self.ask(socket, "1", "1", "room:1", "phx_join", {"token": good}),
                         self.replied("1", "1", "room:1"))

    def test_an_application_of_the_channel(self):
        """"subscribe webhook" asks it where the location has none."""
        app = self.backend(Reply(200, {"asked": True}))
        self.serve(http=f"webhook app {{ url {app.url}/hook; timeout 2s; }} "
                        f"channels room:* {{ subscribe webhook; webhook app; }}", workers=1)
        socket = self.connect()
        self.assertEqual(self.ask(socket, "1", "1", "room:1", "phx_join", {"a": 1}),
                         self.replied("1", "1", "room:1", asked=True))
        self.assertEqual(app.seen("beamgate.subscribe")[0].json(), {"a": 1})
        self.assertEqual(self.ask(socket, "2", "2", "open", "phx_join", {}), self.replied("2", "2", "open"))
        self.assertEqual(len(app.seen("beamgate.subscribe")), 1)

    def test_publications_that_an_application_allows(self):
        """Without a webhook of the location, a push is a publication, whatever the protocol: that of the channel is asked."""
        app = self.backend(Reply(204))
        app.on("beamgate.publish", lambda request: Reply(403, "not you") if b"bad" in request.body else Reply(200, {"n": 1}))
        self.serve(http=f"webhook app {{ url {app.url}/hook; timeout 2s; }} channels room:* {{ webhook app; }} "
                        f"channels quiet:* {{ webhook app; publish off; }}", workers=1)
        socket, other = self.connect(), self.connect()
        for each in (socket, other):
            for topic in ("room:1", "quiet:1"):
                self.ask(each, "1", "1", topic, "phx_join", {})
        self.assertEqual(app.seen("beamgate.subscribe"), [], "anybody may join")
        self.assertEqual(self.ask(socket, "1", "2", "room:1", "say", {"a": 1}), self.replied("1", "2", "room:1", n=1))
        self.assertEqual(self.hear(other), [None, None, "room:1", "say", {"a": 1}])
        self.assertEqual(self.ask(socket, "1", "3", "room:1", "say", {"a": "bad"}),
                         self.replied("1", "3", "room:1", "error", reason="not you"))
        self.assertEqual(self.ask(socket, "1", "4", "quiet:1", "say", {}),
                         self.replied("1", "4", "quiet:1", "error", reason="unauthorized"))
        socket.send(b"\0\1\1\6\x0315room:1say\1\2")
        self.assertEqual(self.hear(socket), self.replied("1", "5", "room:1", n=1))
        self.assertEqual(self.hear(other), b"\2\6\3room:1say\1\2")
        asked = app.seen("beamgate.publish")
        self.assertEqual([request.header("content-type") for request in asked],
                         ["application/json"] * 2 + ["application/octet-stream"])
        for request in asked:
            self.assertEqual((request.header("beamgate-channel"), request.header("beamgate-event")), ("room:1", "say"))
        self.assertEqual(len({request.header("beamgate-connection") for request in asked}), 1)
        self.assertEqual(app.seen("beamgate.message"), [])

    def test_publications_that_nobody_can_be_asked_about(self):
        for on_error, status, heard in (("deny", "error", False), ("allow", "ok", True)):
            app = self.backend(Reply(500))
            self.serve(http=f"webhook app {{ url {app.url}/hook; timeout 2s; on_error {on_error}; }} "
                            f"channels room:* {{ webhook app; }}", workers=1)
            socket, other = self.connect(), self.connect()
            for each in (socket, other):
                self.ask(each, "1", "1", "room:1", "phx_join", {})
            self.assertEqual(self.ask(socket, "1", "2", "room:1", "say", {})[4]["status"], status)
            self.api("publish", {"channel": "room:1", "data": "last"})
            self.assertEqual(self.hear(other)[3], "say" if heard else "message")

    def test_a_leave_behind_a_slow_join(self):
        app = self.backend(Reply(204))
        release = threading.Event()
        self.addCleanup(release.set)

        def slowly(request):
            release.wait(10)
            return Reply(204)

        app.on("beamgate.subscribe", slowly)
        self.serve(http=f"webhook app {{ url {app.url}/hook; timeout 20s; }}", location="webhook app;", workers=1)
        socket = self.connect()
        self.say(socket, "1", "1", "t", "phx_join", {})
        app.wait("beamgate.subscribe")
        self.assertEqual(self.ask(socket, None, "2", "phoenix", "heartbeat", {}), self.replied(None, "2", "phoenix"))
        self.say(socket, "1", "3", "t", "phx_leave", {})
        self.say(socket, "4", "4", "t", "phx_join", {})
        release.set()
        heard = [self.hear(socket)]
        while heard[-1] != self.replied("4", "4", "t"):
            heard.append(self.hear(socket))
        # The leave may come before the first join is complete; then that has no reply any more.
        self.assertEqual(heard[-3:-1], [self.replied("1", "3", "t"), ["1", "1", "t", "phx_close", {}]])
        self.assertEqual(self.api("channels", {})["channels"], {"t": {"num_clients": 1}})

    def test_a_worker_dies_and_its_clients_stay(self):
        """With its keeper a worker's sockets, joins and members are the next one's."""
        app = self.backend(Reply(204))
        app.on("beamgate.subscribe", lambda request: Reply(200, {"topic": request.header("beamgate-channel")}))
        self.serve(http=f"{PRESENCE} webhook app {{ url {app.url}/hook; timeout 20s; }}", location="webhook app;",
                   workers=1)
        self.server.expect_deaths()
        socket = self.connect()
        self.assertEqual(self.ask(socket, "1", "1", "presence:1", "phx_join", {"meta": {"a": 1}})[4]["status"], "ok")
        before = self.hear(socket)
        self.assertEqual(before[3], "presence_state")
        mark = self.server.log_mark()
        os.kill(self.server.wait_workers(1)[0], SIGKILL)
        self.server.wait_log("worker_adopted connections=1", after=mark)
        self.assertEqual(self.ask(socket, "1", "2", "presence:1", "say", {}), self.replied("1", "2", "presence:1"))
        self.api("publish", {"channel": "presence:1", "data": 1})
        self.assertEqual(self.hear(socket), [None, None, "presence:1", "message", 1])
        other = self.connect()
        self.ask(other, "1", "1", "presence:1", "phx_join", {})
        self.assertEqual(len(self.hear(other)[4]), 2)
        self.assertEqual(list(self.hear(socket)[4]["joins"]), [f"{key}" for key in self.uids(app)[1:]])
        self.say(socket, "9", "3", "presence:1", "say", {})  # Still known to be stale.
        self.assertEqual(self.ask(socket, "1", "4", "presence:1", "phx_leave", {}),
                         self.replied("1", "4", "presence:1"))
        self.assertEqual(self.hear(socket), ["1", "1", "presence:1", "phx_close", {}])
        self.assertEqual(list(self.hear(other)[4]["leaves"]), self.uids(app)[:1])

    def uids(self, app):
        return [request.header("beamgate-connection") for request in app.seen("beamgate.connect")]

    def test_a_join_outlives_the_worker_that_asked(self):
        app = self.backend(Reply(204))
        calls = []
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request):
            calls.append(request.header("webhook-id"))
            if len(calls) == 1:
                release.wait(20)
            return Reply(200, {"n": len(calls)})

        app.on("beamgate.subscribe", answer)
        self.serve(http=f"webhook app {{ url {app.url}/hook; timeout 20s; }}", location="webhook app;", workers=1)
        self.server.expect_deaths()
        socket = self.connect()
        self.say(socket, "1", "1", "t", "phx_join", {})
        app.wait("beamgate.subscribe")
        os.kill(self.server.wait_workers(1)[0], SIGKILL)
        self.assertEqual(self.hear(socket), self.replied("1", "1", "t", n=2))
        self.assertEqual(len(set(calls)), 1)  # The same call again.

    def on_worker(self, pid, open):
        """A connection that this worker has."""
        while True:
            connection = open()
            if connection.request("GET", "/pid").text == str(pid):
                return connection
            connection.close()

    def test_publications_that_a_worker_has_missed_end_the_topic(self):
        self.server = self.gateway(f"server {{ listen 127.0.0.1:0; location = /pid {{ return 200 $pid; }} {SOCKET % 'websocket_send_queue 32m;'} {API} }}",
                                   workers=2, main="bus_queue 1m;")
        _, pid = self.server.wait_workers(2)
        publisher = self.on_worker(pid, lambda: self.track(http_client.Connection(self.server.address())))
        sockets = [self.connect() for _ in range(12)]
        for socket in sockets:
            self.assertEqual(self.ask(socket, "1", "1", "room:tea", "phx_join", {}), self.replied("1", "1", "room:tea"))

        def publish(text):
            self.assertEqual(publisher.request("POST", "/api/publish", body=json.dumps(
                {"channel": "room:tea", "data": text}).encode()).status, 200)
        stopped = next(worker for worker in self.server.worker_pids() if worker != pid)
        os.kill(stopped, SIGSTOP)
        try:
            for _ in range(100):  # 6 MB, of which the master holds one for it, and the socket between them less.
                publish("x" * 60_000)
        finally:
            os.kill(stopped, SIGCONT)
        publish("last")
        ended = 0
        for socket in sockets:
            while (frame := self.hear(socket))[3] == "message" and frame[4] != "last":
                pass
            if frame[3] == "phx_error":
                ended += 1
                self.assertEqual(frame, ["1", "1", "room:tea", "phx_error", {"reason": "messages were lost"}])
                self.assertEqual(self.ask(socket, "2", "2", "room:tea", "phx_join", {}), self.replied("2", "2", "room:tea"))
            else:
                self.assertEqual(frame, [None, None, "room:tea", "message", "last"])
        self.assertTrue(0 < ended < len(sockets), "those of one worker")

    def test_a_graceful_end(self):
        self.serve(workers=1)
        socket = self.connect()
        self.server.signal(SIGQUIT)
        with self.assertRaises(ws_client.Closed) as closed:
            socket.recv()
        self.assertEqual(closed.exception.code, 1012)
        socket.wire.close()
        self.server.check_ended()

    def test_one_room_with_others(self):
        """What a raw client and the API say and hear in the same channel."""
        address = self.gateway(f"server {{ listen 127.0.0.1:0; {SOCKET % ''} {API} location /raw {{ websocket raw; "
                               f"websocket_subscribe room:1; websocket_publish room:1; }} }}", workers=2).address()
        self.server = type("Server", (), {"address": lambda self: address})()
        socket, raw = self.connect(), self.connect("/raw")
        self.ask(socket, "1", "1", "room:1", "phx_join", {})
        self.assertEqual(self.ask(socket, "1", "2", "room:1", "say", {"a": 1}), self.replied("1", "2", "room:1"))
        self.assertEqual(json.loads(raw.recv()), {"a": 1})
        raw.send("hello")
        self.assertEqual(self.hear(socket), [None, None, "room:1", "message", "hello"])
        raw.send('{"is": "json"}')
        self.assertEqual(self.hear(socket), [None, None, "room:1", "message", {"is": "json"}])
        raw.send(b"\1")
        self.assertEqual(self.hear(socket), b"\x02\x06\x07room:1message\x01")


if __name__ == "__main__":
    beamgate.main()
