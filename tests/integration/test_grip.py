"""WebSocket-over-HTTP (GRIP): an application made of the official library (@fanoutio/grip, from npm) talks with clients,
subscribes them, and publishes to them by /publish with the library's own signatures; and the endpoint as others see it."""

import base64
import json
import os
import queue
import subprocess
import threading
from pathlib import Path
from signal import SIGKILL

import beamgate
import http_client
import ws_client
from backend import Reply

SUPPORT = Path(beamgate.SOURCE_ROOT, "tests", "support")
KEY = "0123456789abcdef-grip"
HTTP = """
webhook app {{ url http://127.0.0.1:{port}/ws; grip on; grip_key "{key}"; forward_headers X-Refuse; }}
server {{
    listen 127.0.0.1:0;
    location = /ws {{ websocket raw; webhook app; }}
    location = /listen {{ websocket raw; websocket_subscribe room; }}
    location /grip/ {{ grip_publish on; api_key "{key}"; }}
    location /open/ {{ grip_publish on; }}
    location = /metrics {{ metrics on; }}
}}
"""


class Grip(beamgate.TestCase):
    def setUp(self):
        if not (SUPPORT / "node_modules" / "@fanoutio" / "grip").is_dir():
            raise AssertionError("@fanoutio/grip is not installed; run: npm ci --prefix tests/support")
        self.running = self.gateway(HTTP.format(port=1, key=KEY))
        self.address = self.running.address()

    def start_application(self):
        """The application's port is known only once it has been told where to publish: a reload brings them together."""
        node = subprocess.Popen(["node", str(SUPPORT / "grip_backend.mjs"), f"http://{self.address}/grip", KEY],
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(node.stdout.close)
        self.addCleanup(node.wait)
        self.addCleanup(node.kill)
        port = int(node.stdout.readline())
        self.requests = queue.Queue()
        threading.Thread(target=lambda: [self.requests.put(json.loads(line)) for line in node.stdout], daemon=True).start()
        text = self.running.config_path.read_text()
        self.running.config_path.write_text(text.replace("127.0.0.1:1/", f"127.0.0.1:{port}/"))
        mark = self.running.log_mark()
        self.running.signal(1)
        self.running.wait_log(r"#worker: configuration_in_force", count=len(self.running.worker_pids()), after=mark)

    def request(self):
        return self.requests.get(timeout=10)

    def lose_workers(self):
        """All connections go on in successors."""
        self.running.expect_deaths()
        before = set(self.running.worker_pids())
        for pid in before:
            os.kill(pid, SIGKILL)
        beamgate.until(lambda: len(set(self.running.worker_pids()) - before) == len(before), 20, "successors")

    def connect(self, target="/ws", **options):
        return self.track(ws_client.connect(self.address, target, **options))

    def test_the_official_library(self):
        self.start_application()
        one = self.connect()
        request = self.request()
        self.assertEqual((request["opening"], request["signed"], request["type"]),
                         (True, True, "application/websocket-events"))
        one.send("hello")
        self.assertEqual(one.recv(), "1: hello")
        request = self.request()
        self.assertEqual((request["opening"], request["signed"], request["meta"]), (False, True, {}))
        one.send("again")
        self.assertEqual(one.recv(), "2: again")
        self.assertEqual(self.request()["meta"], {"count": "1"})
        one.send("binary")
        self.assertEqual(one.recv(), b"\x00\x01\xff")
        two = self.connect()
        two.send("publish to all")
        self.assertEqual((one.recv(), two.recv()), ("to all", "to all"))
        one.send("leave")
        one.send("still")
        self.assertEqual(one.recv(), "3: still")
        two.send("publish to those who stay")
        self.assertEqual(two.recv(), "to those who stay")
        one.send("alone")
        self.assertEqual(one.recv(), "4: alone")

    def test_ends(self):
        self.start_application()
        client = self.connect()
        self.request()
        client.close(4001)
        self.assertEqual(self.request()["state"], "closed 4001")
        client = self.connect()
        self.request()
        client.abort()
        self.assertEqual(self.request()["state"], "disconnected")
        client = self.connect()
        self.request()
        client.send("close")
        self.assertEqual(client.recv_close(), 4321)

    def test_detached(self):
        self.start_application()
        client, other = self.connect(), self.connect()
        self.request(), self.request()
        client.send("detach")
        self.request()
        client.send("nobody hears this")
        other.send("publish still there")
        self.assertEqual(client.recv(), "still there")
        self.assertTrue(self.requests.empty() or "nobody" not in str(self.requests.get()))

    def test_a_backend_that_wants_to_hear_of_silence(self):
        self.start_application()
        client = self.connect()
        client.send("wake me")
        self.assertEqual(client.recv(), "you are idle")
        client.send("hello")
        self.assertEqual(client.recv(), "1: hello")

    def test_messages_that_the_gateway_sends_by_itself(self):
        self.start_application()
        client = self.connect()
        client.send("later")
        self.assertEqual(client.recv(), "late")
        client.send("much later")
        client.send("now")
        self.assertEqual(client.recv(), "late")
        client.send("beat")
        self.assertEqual([client.recv(), client.recv()], ["still there"] * 2)
        before = set(self.running.worker_pids())
        mark = self.running.log_mark()
        self.running.signal(1)  # It goes on in the next worker.
        self.running.wait_log(r"#worker: configuration_in_force", count=len(before), after=mark)
        self.assertEqual([client.recv(), client.recv()], ["still there"] * 2)
        client.send("no beat")
        client.send("hello")
        while (said := client.recv()) == "still there":
            pass
        self.assertEqual(said, "1: hello")

    def test_refused(self):
        self.start_application()
        with self.assertRaises(ws_client.Refused) as refused:
            self.connect(headers={"X-Refuse": "1"})
        self.assertEqual((refused.exception.response.status, refused.exception.response.text), (403, "not you\n"))

    def test_a_backend_that_takes_a_part(self):
        """The rest comes again, with what the client sends next, whichever worker has the connection then."""
        self.start_application()
        client = self.connect()
        client.send("stream")
        self.request(), self.request()
        client.send("one;tw")
        self.assertEqual(client.recv(), "word one")
        self.assertEqual(self.request(), {"text": "one;tw", "accepted": 4, "replayed": 0})
        client.send("o")
        self.assertEqual(self.request(), {"text": "two", "accepted": 0, "replayed": 2})
        client.send(";")
        self.assertEqual(client.recv(), "word two")
        self.assertEqual(self.request(), {"text": "two;", "accepted": 4, "replayed": 3})
        client.send("three")
        self.assertEqual(self.request(), {"text": "three", "accepted": 0, "replayed": 0})
        self.lose_workers()
        self.assertEqual(self.request()["text"], "three", "the successor doesn't know what was offered")
        client.send(";four;")
        self.assertEqual([client.recv(), client.recv()], ["word three", "word four"])
        self.assertEqual(self.request(), {"text": "three;four;", "accepted": 11, "replayed": 5})
        client.send("last")
        self.request()
        client.close()  # Of what is only a part the backend hears no more.
        self.assertEqual(self.request()["text"], "")

    def publish_to_room(self, text, **meta):
        """And "end" behind it: requests may overtake each other."""
        items = [{"channel": "room", "formats": {"ws-message": {"content": content}}, "meta": fields}
                 for content, fields in ((text, meta), ("end", {}))]
        answer = http_client.request(self.address, "POST", "/grip/publish", {"Authorization": f"Bearer {KEY}"}, {"items": items})
        self.assertEqual(answer.status, 200, answer)

    def test_filters_of_subscriptions(self):
        self.start_application()
        clients = {}
        for user, filters in (("ann", "skip-self skip-users"), ("bob", "skip-users require-sub unheard-of"), ("eve", "")):
            clients[user] = self.connect()
            clients[user].send(f"filter {user} {filters}".rstrip())
            clients[user].send("hello")  # Its answer comes when the filters are in force.
            clients[user].recv()

        def heard(text, **meta):
            self.publish_to_room(text, **meta)
            lists = {user: [client.recv()] for user, client in clients.items()}
            for user, texts in lists.items():
                while texts[-1] != "end":
                    texts.append(clients[user].recv())
            return {user for user, texts in lists.items() if text in texts}

        def check(wanted, text, **meta):
            self.assertEqual(heard(text, **meta), set(wanted.split()), text)

        beamgate.until(lambda: len(heard("ready")) == len(clients))  # The backend isn't told when that is.
        check("ann bob eve", "plain")
        check("bob eve", "from ann", sender="ann")
        check("ann bob eve", "from bob, who hears himself", sender="bob")
        check("eve", "not for two", skip_users="x, ann ,bob")
        check("ann eve", "for the vault", require_sub="vault")
        clients["bob"].send("enter")
        clients["bob"].send("hello")
        clients["bob"].recv()
        check("ann bob eve", "again", require_sub="vault")
        self.lose_workers()
        check("bob eve", "still from ann", sender="ann")
        clients["ann"].send("leave")
        clients["ann"].send("filter ann")
        clients["ann"].send("hello")
        clients["ann"].recv()
        beamgate.until(lambda: len(heard("back")) == len(clients))
        check("ann bob eve", "no filter any more", sender="ann")

    def test_publish(self):
        listener = self.connect("/listen")
        bearer = {"Authorization": f"Bearer {KEY}"}

        def post(body, fields=bearer, target="/grip/publish/"):
            return http_client.request(self.address, "POST", target, fields, body)

        def item(channel="room", **message):
            return {"items": [{"channel": channel, "id": "1", "formats": {"ws-message": message, "http-stream": {"content": "x"}}}]}

        answer = post(item(content="hi"))
        self.assertEqual((answer.status, answer.text, listener.recv()), (200, "Published\n", "hi"))
        answer = post(item(**{"content-bin": base64.b64encode(b"\x00\xff").decode()}), {**bearer, "Accept": "application/json"})
        self.assertEqual((answer.json(), listener.recv()), ({"message": "Published"}, b"\x00\xff"))
        self.assertEqual(post(item(content="by key"), {"X-API-Key": KEY}).status, 200)
        self.assertEqual(listener.recv(), "by key")
        self.assertEqual(post({"items": [{"channel": "room", "ws-message": {"content": "short"}}]}).status, 200)
        self.assertEqual(listener.recv(), "short")
        self.assertEqual(post(item(channel="other", action="close")).status, 200)
        self.assertEqual(post({"items": [{"channel": "room", "formats": {"http-stream": {"content": "x"}}}]}).status, 200)
        for body in ("x", {}, {"items": {}}, {"items": [{}]}, item(), item(channel=""), item(**{"content-bin": "?"}),
                     item(action="refresh"), item(action="close", code=1005), item(action="close", code="4000"),
                     item(**{"content-bin": "/w==", "type": "text"}),
                     {"items": [{"channel": "room"}] * 1001},
                     {"items": [{"channel": "room", "meta": {"sender": "x" * 4096}, "ws-message": {"content": "x"}}]}):
            self.assertEqual(post(body).status, 400, body)
        for fields in ({}, {"Authorization": "Bearer x"}, {"Authorization": KEY}, {"X-API-Key": "x"},
                       {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}):
            self.assertEqual(post(item(content="x"), fields).status, 401, fields)
        self.assertEqual(post(item(content="open"), {}, "/open/publish").status, 200)
        self.assertEqual(listener.recv(), "open")
        self.assertEqual(post(item(content="x"), {"Origin": "http://x"}, "/open/publish").status, 403)
        self.assertEqual(http_client.get(self.address, "/grip/publish").status, 405)
        for close, code in (({"code": 4010, "reason": "off"}, 4010), ({}, 1000)):
            clients = [listener, self.connect("/listen")]
            items = item(content="last words")["items"] + item(action="close", **close)["items"]
            self.assertEqual(post({"items": items}).status, 200)
            self.assertEqual([(client.recv(), client.recv_close()) for client in clients], [("last words", code)] * 2)
            listener = self.connect("/listen")


class WhatTheClientHasAskedFor(beamgate.TestCase):
    def test_path_and_query(self):
        """They are where Pushpin has them, unless the url has a path; and in a field of every request."""
        app = self.backend(Reply(200, b"OPEN\r\n", {"Content-Type": "application/websocket-events"}))
        running = self.gateway(f"""
            webhook own {{ url {app.url}; grip on; }}
            webhook root {{ url {app.url}/; grip on; }}
            webhook there {{ url {app.url}/there?x=1; grip on; }}
            server {{ listen 127.0.0.1:0; location /own/ {{ websocket raw; webhook own; }}
                      location /root/ {{ websocket raw; webhook root; }}
                      location /there/ {{ websocket raw; webhook there; }} }}""")
        for name, fixed in (("own", None), ("root", "/"), ("there", "/there?x=1")):
            asked = f"/{name}/room%2F5?user=ann&user=%C3%A4"
            client = self.track(ws_client.connect(running.address(), asked))
            client.send("hello")
            app.wait(match=lambda request: request.header("beamgate-uri") == asked, count=2)
            client.close(4001)
            app.wait(match=lambda request: request.header("beamgate-uri") == asked, count=3)
            requests = app.seen(match=lambda request: request.header("beamgate-uri") == asked)
            self.assertEqual([request.body[:5] for request in requests], [b"OPEN\r", b"TEXT ", b"CLOSE"])
            self.assertEqual({request.target for request in requests}, {fixed or asked})


class Signatures(beamgate.TestCase):
    def test_who_has_signed(self):
        app = self.backend(Reply(200, b"OPEN\r\n", {"Content-Type": "application/websocket-events"}))
        running = self.gateway(f"""
            webhook usual {{ url {app.url}/usual; grip on; grip_key "{KEY}"; }}
            webhook named {{ url {app.url}/named; grip on; grip_key "{KEY}"; grip_issuer "the gateway"; }}
            server {{ listen 127.0.0.1:0; location = /usual {{ websocket raw; webhook usual; }}
                      location = /named {{ websocket raw; webhook named; }} }}""")
        for name, issuer in (("usual", "pushpin"), ("named", "the gateway")):
            self.track(ws_client.connect(running.address(), f"/{name}"))
            claims = app.wait(path=f"/{name}").header("grip-sig").split(".")[1]
            self.assertEqual(json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"], issuer)


if __name__ == "__main__":
    beamgate.main()
