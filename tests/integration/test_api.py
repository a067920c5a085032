"""The HTTP API on the real gateway: Centrifugo's methods and statuses, connections and users as resources
wherever they live among three workers, and every wrong request refused without effect."""

import base64
import contextlib
import os
import threading
from signal import SIGKILL

import beamgate
import http_client
import ws_client
from backend import Reply

KEY = "a-key-for-tests-0123456789"
OLD_KEY = "an-older-key-9876543210"
AUTH = {"X-API-Key": KEY}
WORKERS = 3

SERVER = f"""
server {{
    listen 127.0.0.1:0;
    location /api/ {{ api on; api_key {KEY}; api_key {OLD_KEY}; }}
    location = /old {{ api on; api_key {KEY}; }}
    location /open/ {{ api on; client_max_body_size 8k; }}
    location /hub/ {{ websocket raw; websocket_subscribe room; }}
    location /status {{ status on; }}
    location /metrics {{ metrics on; }}
}}
"""


class Api(beamgate.TestCase):
    def start(self, http=SERVER, **options):
        self.running = self.gateway(http, workers=WORKERS, **options)
        self.address = self.running.address()

    def post(self, target, body=b"", headers=(), auth=True):
        headers = {**(AUTH if auth else {}), **dict(headers)}
        return http_client.post(self.address, target, body, headers)

    def result(self, method, body):
        response = self.post(f"/api/{method}", body)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.header("content-type"), "application/json")
        self.assertIn("result", response.json(), response)
        return response.json()["result"]

    def error(self, method, body):
        response = self.post(f"/api/{method}", body)
        self.assertEqual(response.status, 200, response)
        return response.json()["error"]["code"]

    def connect(self, target="/hub/"):
        socket = ws_client.connect(self.address, target)
        self.addCleanup(socket.wire.close)
        return socket

    def clients(self, channel):
        return self.result("channels", {"pattern": channel})["channels"].get(channel, {}).get("num_clients", 0)


class Access(Api):
    def test_keys(self):
        self.start()
        for headers in ({"X-API-Key": KEY}, {"X-API-Key": OLD_KEY}, {"Authorization": f"apikey {KEY}"}):
            self.assertEqual(self.post("/api/info", {}, headers, auth=False).status, 200, headers)
        for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": KEY[:-1]}, {"X-API-Key": KEY + "x"},
                        {"Authorization": f"Bearer {KEY}"}):
            refused = self.post("/api/publish", {"channel": "room", "data": 1}, headers, auth=False)
            self.assertEqual(refused.status, 401, headers)
            self.assertEqual(refused.json()["error"]["code"], 101)
            self.assertEqual(refused.header("www-authenticate"), "apikey")
        self.assertEqual(http_client.get(self.address, "/api/connections/0000000000000001").status, 401)

    def test_keyless_is_not_for_pages(self):
        self.start()
        self.assertEqual(self.post("/open/info", {}, auth=False).status, 200)
        self.assertEqual(self.post("/open/info", {}, {"Origin": "http://evil.example"}, auth=False).status, 403)
        self.assertEqual(self.post("/api/info", {}, {"Origin": "http://own.example"}).status, 200)

    def test_wrong_requests(self):
        self.start()
        for body in ("", "{}"):
            self.assertEqual(self.post("/api/info", body).status, 200)
        for body in ("{", "{} {}", "[1,", "nonsense", b"\xff\xfe", '{"a":1,}'):
            refused = self.post("/api/publish", body)
            self.assertEqual((refused.status, refused.json()["error"]["code"]), (400, 107), body)
        self.assertEqual(self.post("/api/publish", "[" * 10000).status, 400)
        self.assertEqual(self.error("publish", "[]"), 107)
        self.assertEqual(self.post("/api/nothing", {}).status, 404)
        self.assertEqual(self.post("/api/", {"method": "nothing"}).json()["error"]["code"], 104)
        self.assertEqual(self.post("/open/publish", {"channel": "a", "data": "x" * 9000}, auth=False).status, 413)
        refused = http_client.get(self.address, "/api/publish", AUTH)
        self.assertEqual((refused.status, refused.header("allow")), (405, "POST"))
        for method in ("presence", "presence_stats", "history", "history_remove"):
            self.assertEqual(self.error(method, {"channel": "room"}), 108, method)
            self.assertEqual(self.error(method, {"channel": ""}), 107, method)
        self.assertEqual(self.error("refresh", {"channel": "room"}), 107)
        self.assertEqual(self.error("publish", {"channel": "room", "data": 1, "event": "x" * 256}), 106)
        self.assertEqual(self.error("publish", {"channel": "room", "data": 1, "tags": {"event": 7}}), 107)


class Publishing(Api):
    def test_data_reaches_every_subscriber(self):
        self.start()
        sockets = [self.connect() for _ in range(6)]
        first = self.result("publish", '{"channel": "room", "data": {"b": [1.50, "ü"], "a": null}}')
        second = self.result("publish", {"channel": "room", "data": "text"})
        self.result("publish", {"channel": "room", "b64data": base64.b64encode(b"\x00\xff").decode()})
        self.assertEqual(second, {"offset": first["offset"] + 1, "epoch": first["epoch"]})
        for socket in sockets:
            self.assertEqual([socket.recv() for _ in range(3)], ['{"b":[1.50,"ü"],"a":null}', '"text"', b"\x00\xff"])

    def test_raw_bodies(self):
        self.start()
        socket = self.connect()
        target = "/api/publish?channel=room"
        for kind, body, expected in (("text/plain", "hello", "hello"), ("text/html", "<b>", "<b>"),
                                     ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
                                     ("application/json", ' {"a" : 1} ', ' {"a" : 1} '),
                                     ("application/json", '{\n  "a": 1e0,\r\n  "a": 12345678901234567890123\n}\n',
                                      '{\n  "a": 1e0,\r\n  "a": 12345678901234567890123\n}\n')):
            self.assertEqual(self.post(target, body, {"Content-Type": kind}).status, 200)
            self.assertEqual(socket.recv(), expected)
        self.assertEqual(self.post(target, b"\xff", {"Content-Type": "text/plain"}).status, 400)
        self.assertEqual(self.post(target, "{", {"Content-Type": "application/json"}).status, 400)
        wrong = self.post("/api/publish?channel=a%00b", "x", {"Content-Type": "text/plain"})
        self.assertEqual(wrong.json()["error"]["code"], 107)
        self.result("publish", {"channel": "room", "data": "end"})
        self.assertEqual(socket.recv(), '"end"')

    def test_one_connection_is_left_out(self):
        self.start()
        sockets = [self.connect() for _ in range(4)]
        connections = http_client.get(self.address, "/api/connections", AUTH).json()["result"]["connections"]
        left_out = connections[0]["id"]
        self.result("publish", {"channel": "room", "data": 1, "except": left_out})
        self.result("broadcast", {"channels": ["room"], "data": 2, "except": left_out})
        for target in (f"/api/publish?channel=room&except={left_out}", f"/api/channels/room?except={left_out}"):
            self.assertEqual(self.post(target, "text", {"Content-Type": "text/plain"}).status, 200)
        self.result("publish", {"channel": "room", "data": "end", "except": None})
        heard = [[socket.recv()] for socket in sockets]
        for one, socket in zip(heard, sockets):
            while one[-1] != '"end"':
                one.append(socket.recv())
        self.assertEqual(sorted(heard), [['"end"']] + [["1", "2", "text", "text", '"end"']] * 3)
        for wrong in ("me", 7, left_out + "0"):
            self.assertEqual(self.error("publish", {"channel": "room", "data": 1, "except": wrong}), 107)
        self.assertEqual(self.post("/api/publish?channel=room&except=me", "x", {"Content-Type": "text/plain"}).status, 400)

    def test_limits(self):
        self.start()
        for command in ({"data": 1}, {"channel": "room"}, {"channel": "", "data": 1}, {"channel": "x" * 256, "data": 1},
                        {"channel": "room", "b64data": "?"}, {"channel": "room", "data": 1, "b64data": "AA=="}):
            self.assertEqual(self.error("publish", command), 107, command)
        self.assertEqual(self.error("broadcast", {"channels": [], "data": 1}), 107)
        self.assertEqual(self.error("broadcast", {"channels": ["a"] * 1001, "data": 1}), 106)

    def test_arguments_of_another_type(self):
        self.start()
        for wrong in ({"idempotency_key": 5}, {"receipt": 1}, {"skip_history": "x"}, {"tags": 5}, {"event": 5}):
            self.assertEqual(self.error("publish", {"channel": "room", "data": 1, **wrong}), 107, wrong)
            self.assertEqual(self.error("broadcast", {"channels": ["room"], "data": 1, **wrong}), 107, wrong)
        missing = {"idempotency_key": None, "receipt": None, "skip_history": None, "tags": None, "event": None}
        self.result("publish", {"channel": "room", "data": 1, **missing})
        for argument in ("publish?channel=room&", "channels/room?"):
            asked = self.post(f"/api/{argument}receipt=maybe", "x", {"Content-Type": "text/plain"})
            self.assertEqual((asked.status, asked.json()["error"]["code"]), (400, 107))
        for method, wrong in (("disconnect", {"user": "ann", "channel": 5}), ("disconnect", {"user": 5}),
                              ("disconnect", {"user": "ann", "disconnect": {"code": 4000, "reason": 5}}),
                              ("refresh", {"user": "ann", "expired": "x"}), ("refresh", {"user": "ann", "expire_at": "x"}),
                              ("users", {"after": 5})):
            self.assertEqual(self.error(method, wrong), 107, (method, wrong))
        batch = self.post("/api/batch", {"commands": [{"info": {}}], "parallel": "x"})
        self.assertEqual((batch.status, batch.json()["error"]["code"]), (400, 107))

    def test_size(self):
        self.start(main="publication_max 2k;")
        socket = self.connect()
        self.result("publish", {"channel": "room", "data": "x" * 2046})
        self.assertEqual(len(socket.recv()), 2048)
        self.assertEqual(self.error("publish", {"channel": "room", "data": "x" * 2047}), 106)
        raw = self.post("/api/publish?channel=room", "x" * 2049, {"Content-Type": "text/plain"})
        self.assertEqual((raw.status, raw.json()["error"]["code"]), (413, 106))
        self.assertEqual(self.post("/api/connections/0000000000000001", "x" * 2049).status, 413)
        self.result("publish", {"channel": "room", "data": "end"})
        self.assertEqual(socket.recv(), '"end"')

    def test_broadcast(self):
        self.start()
        socket = self.connect()
        responses = self.result("broadcast", {"channels": ["a", "room", "bad\nname"], "data": {"x": 1}})["responses"]
        self.assertEqual([sorted(r) for r in responses], [["result"], ["result"], ["error"]])
        self.assertEqual(responses[0]["result"]["offset"], 1)
        self.assertEqual(socket.recv(), '{"x":1}')

    def test_idempotency(self):
        """The same key is published once, whichever worker is asked and however the key is given."""
        self.start()
        socket = self.connect()
        command = {"channel": "room", "data": 1}
        first = self.result("publish", {**command, "idempotency_key": "k1"})
        for header in ("Idempotency-Key", "X-Idempotency-Key"):
            for _ in range(4):
                again = self.post("/api/publish", command, {header: "k1"})
                self.assertEqual(again.json()["result"], first)
        other = self.post("/api/publish", {**command, "data": 2}, {"Idempotency-Key": "k2"}).json()["result"]
        self.assertEqual(other["offset"], first["offset"] + 1)
        self.assertEqual([socket.recv(), socket.recv()], ["1", "2"])
        self.assertEqual(self.error("publish", {**command, "idempotency_key": "k" * 256}), 106)

    def test_order_from_many_at_once(self):
        self.start()
        sockets = [self.connect() for _ in range(4)]

        def publish(number):
            with http_client.Connection(self.address) as connection:
                for i in range(50):
                    body = {"channel": "room", "data": [number, i]}
                    self.assertEqual(connection.request("POST", "/api/publish", AUTH, body).status, 200)

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = [[socket.recv() for _ in range(200)] for socket in sockets]
        self.assertEqual(len(set(heard[0])), 200)
        for other in heard[1:]:
            self.assertEqual(other, heard[0])


class Batches(Api):
    def test_replies_in_order(self):
        self.start()
        socket = self.connect()
        for parallel in (False, True):
            commands = [{"publish": {"channel": "room", "data": 1}}, {"channels": {"pattern": "room"}},
                        {"nothing": {}}, {"publish": {"channel": "room"}}, {"history": {"channel": "room"}},
                        {"id": 7, "publish": {"channel": "room", "data": 2}}]
            response = self.post("/api/batch", {"commands": commands, "parallel": parallel})
            self.assertEqual(response.status, 200)
            replies = response.json()["replies"]
            self.assertEqual([next(iter(reply)) for reply in replies],
                             ["publish", "channels", "error", "error", "error", "publish"])
            self.assertEqual([replies[i]["error"]["code"] for i in (2, 3, 4)], [104, 107, 108])
            self.assertEqual(replies[1]["channels"]["channels"], {"room": {"num_clients": 1}})
            self.assertEqual(replies[5]["publish"]["offset"], replies[0]["publish"]["offset"] + 1)
            self.assertEqual([socket.recv(), socket.recv()], ["1", "2"])

    def test_many(self):
        self.start()
        socket = self.connect()
        commands = [{"publish": {"channel": "room", "data": i}} for i in range(1000)]
        replies = self.post("/api/batch", {"commands": commands}).json()["replies"]
        self.assertEqual([reply["publish"]["offset"] for reply in replies], list(range(1, 1001)))
        self.assertEqual([socket.recv() for _ in range(1000)], [str(i) for i in range(1000)])
        for wrong in ({}, {"commands": []}, {"commands": {}}, {"commands": [{"info": {}}] * 1001}, []):
            self.assertEqual(self.post("/api/batch", wrong).status, 400)

    def test_the_older_form(self):
        self.start()
        for target in ("/api/", "/old"):
            reply = self.post(target, {"method": "publish", "params": {"channel": "room", "data": 1}})
            self.assertIn("offset", reply.json()["result"])
            self.assertIn("nodes", self.post(target, {"method": "info"}).json()["result"])
        self.assertEqual(self.post("/old", {"params": {}}).status, 400)
        self.assertEqual(self.post("/old", "").status, 400)


CHANNELS = f"""
channels room {{ presence on; history 100 10m; }}
channels full {{ presence on; presence_limit 1; }}
users {{ history 10 10m; }}
{SERVER}
"""


class Channels(Api):
    def test_history(self):
        self.start(CHANNELS)
        offsets = [self.result("publish", {"channel": "room", "data": i})["offset"] for i in range(5)]
        self.result("publish", {"channel": "room", "data": "passing", "skip_history": True})
        position = self.result("history", {"channel": "room"})
        self.assertEqual((position["publications"], position["offset"]), ([], offsets[-1] + 1))
        since = {"offset": offsets[1], "epoch": position["epoch"]}
        for params, expected in (({"limit": -1}, [0, 1, 2, 3, 4]), ({"limit": 2}, [0, 1]), ({"limit": 2, "reverse": True}, [4, 3]),
                                 ({"limit": 2, "since": since}, [2, 3]), ({"limit": 5, "since": since, "reverse": True}, [0])):
            found = self.result("history", {"channel": "room", **params})
            self.assertEqual([one["data"] for one in found["publications"]], expected, params)
            self.assertEqual([one["offset"] for one in found["publications"]], [offsets[i] for i in expected])
        self.assertEqual(self.error("history", {"channel": "room", "since": {"offset": 1, "epoch": "other"}}), 112)
        for wrong in ({"since": 7}, {"limit": "x"}, {"limit": -2}, {"reverse": 1}):
            self.assertEqual(self.error("history", {"channel": "room", **wrong}), 107, wrong)
        self.result("history_remove", {"channel": "room"})
        self.assertEqual(self.result("history", {"channel": "room", "limit": -1})["publications"], [])

    def test_history_memory(self):
        """The oldest publications go first, whichever channel they are of."""
        kept = {}
        for setting in ("", "history_memory 20k;", "history_memory 0;"):
            self.start(f"channels room-* {{ history 100 10m; }} {SERVER}", main=setting)
            for number in range(40):
                self.result("publish", {"channel": "room-a" if number < 20 else "room-b", "data": [number, "x" * 1000]})
            kept[setting] = [one["data"][0] for room in ("room-a", "room-b")
                             for one in self.result("history", {"channel": room, "limit": -1})["publications"]]
        self.assertEqual(kept[""], list(range(40)))
        self.assertEqual(kept["history_memory 0;"], [])
        some = kept["history_memory 20k;"]
        self.assertEqual(some, list(range(40))[-len(some):])
        self.assertGreaterEqual(len(some), 10)
        self.assertLess(len(some), 20)

    def test_history_memory_after_a_reload(self):
        self.start(f"channels room-* {{ history 100 10m; }} {SERVER}", main="history_memory 100k;")
        for number in range(40):
            self.result("publish", {"channel": "room-a", "data": [number, "x" * 1000]})

        def kept():
            return len(self.result("history", {"channel": "room-a", "limit": -1})["publications"])

        self.assertEqual(kept(), 40)
        self.running.write_config(main="history_memory 5k;")
        self.running.signal(1)
        beamgate.until(lambda: 0 < kept() < 10, 10, "the oldest to go")

    def test_resource(self):
        self.start(CHANNELS)
        sockets = [self.connect() for _ in range(5)]
        sent = self.post("/api/channels/room", "by name", {"Content-Type": "text/plain"}).json()["result"]
        for socket in sockets:
            self.assertEqual(socket.recv(), "by name")
        view = http_client.get(self.address, "/api/channels/room", AUTH).json()["result"]
        self.assertEqual(view, {"channel": "room", "num_clients": 5, "num_users": 5, **sent})
        gone = http_client.request(self.address, "DELETE", "/api/channels/room", AUTH).json()["result"]
        self.assertEqual((gone, self.clients("room")), ({"num_clients": 5}, 0))
        other = self.connect()
        gone = http_client.request(self.address, "DELETE", "/api/channels/room?code=4001", AUTH).json()["result"]
        self.assertEqual((gone, other.recv_close()), ({"num_clients": 1}, 4001))
        kept = self.connect()
        self.result("disconnect", {"channel": "room"})
        self.assertEqual(kept.recv_close(), 3503)
        self.assertEqual(self.post("/api/channels/room", "{", {"Content-Type": "application/json"}).status, 400)
        self.assertEqual(http_client.get(self.address, "/api/channels/" + "x" * 256, AUTH).status, 404)

    def test_what_is_for_a_user_waits(self):
        self.start(CHANNELS)
        sent = self.post("/api/users/ada", "for later", {"Content-Type": "text/plain"}).json()["result"]
        self.assertEqual((sent["num_clients"], sent["offset"]), (0, 1))
        kept = self.result("history", {"channel": "#server-to-user-ada", "limit": 5})["publications"]
        self.assertEqual([one["data"] for one in kept], ["for later"])


class Nodes(Api):
    def test_channels_add_up_over_workers(self):
        self.start()
        sockets = [self.connect() for _ in range(12)]
        self.assertEqual(self.clients("room"), 12)
        self.assertEqual(self.result("channels", {})["channels"], {"room": {"num_clients": 12}})
        self.assertEqual(self.result("channels", {"pattern": "r?om*"})["channels"], {"room": {"num_clients": 12}})
        self.assertEqual(self.result("channels", {"pattern": "r?om?"})["channels"], {})
        self.assertEqual(self.error("channels", {"pattern": 5}), 107)
        self.assertEqual(self.error("channels", {"pattern": "x" * 256}), 106)
        for socket in sockets:
            socket.close()
        beamgate.until(lambda: self.clients("room") == 0)

    def test_info(self):
        self.start()
        for _ in range(5):
            self.connect()
        node, = self.result("info", {})["nodes"]
        self.assertEqual(node["num_clients"], 5)
        self.assertEqual(len(node["workers"]), WORKERS)
        self.assertEqual(sum(worker["num_clients"] for worker in node["workers"]), 5)
        self.assertEqual(sorted(worker["pid"] for worker in node["workers"]), sorted(self.running.worker_pids()))
        self.assertEqual(node["num_subs"], 5)

    def test_status_and_metrics(self):
        self.start()
        socket = self.connect()
        self.result("publish", {"channel": "room", "data": 1})
        socket.recv()
        status = http_client.get(self.address, "/status").json()
        self.assertEqual((status["workers"], status["websockets"], status["subscriptions"]), (WORKERS, 1, 1))
        self.assertEqual((status["publications"], status["deliveries"]), (1, 1))
        self.assertGreaterEqual(status["uptime"], 0)
        plain = http_client.get(self.address, "/status", {"Accept": "text/plain"})
        self.assertEqual(plain.header("content-type"), "text/plain; charset=utf-8")
        self.assertIn("websockets 1\n", plain.text)
        self.assertEqual(self.post("/status", "").status, 405)

        metrics = http_client.get(self.address, "/metrics")
        self.assertEqual(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn("# TYPE beamgate_websockets_active gauge\nbeamgate_websockets_active 1\n", metrics.text)
        self.assertEqual(self.post("/metrics", "").status, 405)


APPLICATION = """
webhook app {{ url {url}/hooks; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }}
server {{
    listen 127.0.0.1:0;
    location /api/ {{ api on; api_key {key}; }}
    location /as/ {{ websocket raw; webhook app; }}
}}
"""


class Connections(Api):
    """Whoever connects to /as/NAME is user NAME; the application learns the connection's id."""

    def start_with_application(self, **options):
        self.application = self.backend()
        self.application.on("beamgate.connect", lambda request: Reply(
            200, headers={"beamgate-user": request.header("beamgate-uri").rpartition("/")[2]}))
        self.start(APPLICATION.format(url=self.application.url, key=KEY), **options)
        self.connected = 0

    def connect_as(self, user):
        """(socket, id)"""
        self.connected += 1
        socket = self.connect(f"/as/{user}")
        request = self.application.wait("beamgate.connect", count=self.connected)
        return socket, request.header("beamgate-connection")

    def call(self, method, target, body=None, headers=()):
        return http_client.request(self.address, method, "/api" + target, {**AUTH, **dict(headers)}, body)

    def look(self, uid):
        response = self.call("GET", f"/connections/{uid}")
        self.assertEqual(response.status, 200, response)
        return response.json()["result"]

    def spread(self, user):
        """Connections of a user until at least two workers hold some."""
        found = []
        while len({view["worker"] for _, _, view in found}) < 2:
            self.assertLess(len(found), 60, "all connections land on one worker")
            socket, uid = self.connect_as(user)
            found.append((socket, uid, self.look(uid)))
        return found

    def test_look_send_close_on_any_worker(self):
        self.start_with_application()
        for socket, uid, view in self.spread("ada"):
            self.assertEqual((view["id"], view["user"], view["protocol"]), (uid, "ada", "raw"))
            self.assertEqual((view["location"], view["channels"]), ("/as/", []))
            self.assertIn(view["slot"], range(WORKERS), "as ctl and the dashboard count workers")
            host, port = socket.wire.sock.getsockname()
            self.assertEqual(view["peer"], f"{host}:{port}")
            # Several times, so that workers that don't hold it are asked too.
            for number in range(4):
                self.assertEqual(self.call("POST", f"/connections/{uid}", f"text {number}",
                                           {"Content-Type": "text/plain"}).json(), {"result": {}})
                self.assertEqual(socket.recv(), f"text {number}")
            self.call("POST", f"/connections/{uid}", b"\x00\xff", {"Content-Type": "application/octet-stream"})
            self.assertEqual(socket.recv(), b"\x00\xff")
            self.assertEqual(self.look(uid)["messages_sent"], 5)
            closed = self.call("DELETE", f"/connections/{uid}?code=4001&reason=good%20night")
            self.assertEqual(closed.json(), {"result": {}})
            with self.assertRaises(ws_client.Closed) as caught:
                socket.recv()
            self.assertEqual((caught.exception.code, caught.exception.reason), (4001, "good night"))
            beamgate.until(lambda: self.call("GET", f"/connections/{uid}").status == 404)

    def test_wrong_requests_change_nothing(self):
        self.start_with_application()
        socket, uid = self.connect_as("ada")
        for unknown in ("0000000000000001", "ffffffffffffffff", "0000000000000000", "nonsense", uid + "0", uid[:-1]):
            for method in ("GET", "POST", "DELETE"):
                response = self.call(method, f"/connections/{unknown}", b"")
                self.assertEqual((response.status, response.json()["error"]["code"]), (404, 104), unknown)
        for wrong in ("code=1005", "code=1006", "code=999", "code=5000", "code=x", "code=-1", "reason=%FF"):
            self.assertEqual(self.call("DELETE", f"/connections/{uid}?{wrong}").status, 400, wrong)
        self.assertEqual(self.call("POST", f"/connections/{uid}", b"\xff", {"Content-Type": "text/plain"}).status, 400)
        self.assertEqual(self.call("PUT", f"/connections/{uid}", b"").status, 405)
        self.assertEqual(self.call("POST", f"/connections/{uid}", "end").status, 200)
        self.assertEqual(socket.recv(), "end")

    def test_users(self):
        self.start_with_application()
        others = [self.connect_as("bob") for _ in range(2)]
        held = self.spread("ada")
        view = self.call("GET", "/users/ada").json()["result"]
        self.assertEqual((view["user"], view["num_clients"]), ("ada", len(held)))
        self.assertEqual(sorted(one["id"] for one in view["connections"]), sorted(uid for _, uid, _ in held))
        sent = self.call("POST", "/users/ada", "to all of ada").json()["result"]
        self.assertEqual(sent["num_clients"], len(held))
        self.assertEqual(view["protocols"], {"raw": len(held)})
        self.assertGreaterEqual(view["since"], min(one["connected_at"] for one in view["connections"]))
        for socket, _, _ in held:
            self.assertEqual(socket.recv(), "to all of ada")
        self.call("DELETE", "/users/ada?code=4002")
        for socket, _, _ in held:
            self.assertEqual(socket.recv_close(), 4002)
        self.assertEqual(self.call("POST", "/users/nobody", "x").status, 404)
        self.assertEqual(self.call("POST", "/users/bob", "still here").status, 200)
        for socket, _ in others:
            self.assertEqual(socket.recv(), "still here")

    def test_subscriptions(self):
        self.start_with_application()
        held = self.spread("ada")
        other, other_id = self.connect_as("bob")
        self.assertEqual(self.result("subscribe", {"user": "ada", "channel": "news"}), {})
        self.assertEqual(self.clients("news"), len(held))
        # What is published after the reply is delivered, on every worker.
        self.result("publish", {"channel": "news", "data": 1})
        for socket, uid, _ in held:
            self.assertEqual(socket.recv(), "1")
            self.assertEqual(self.look(uid)["channels"], ["news"])
        # One connection only; and a client that is not the user's is left alone.
        first, first_id, _ = held[0]
        self.assertEqual(self.result("unsubscribe", {"user": "ada", "channel": "news", "client": first_id}), {})
        self.assertEqual(self.result("subscribe", {"user": "ada", "channel": "news", "client": other_id}), {})
        self.assertEqual(self.clients("news"), len(held) - 1)
        self.assertEqual(self.result("unsubscribe", {"user": "ada", "channel": "news"}), {})
        self.assertEqual(self.clients("news"), 0)
        self.assertEqual(self.result("subscribe", {"user": "nobody", "channel": "news"}), {})
        for wrong in ({"channel": "news"}, {"user": "ada"}, {"user": "ada", "channel": "a\nb"},
                      {"user": "ada", "channel": "news", "client": "x"}, {"user": 5, "channel": "news"}):
            self.assertEqual(self.error("subscribe", wrong), 107, wrong)
            self.assertEqual(self.error("unsubscribe", wrong), 107, wrong)

    def test_disconnect(self):
        self.start_with_application()
        held = self.spread("ada")
        bob, bob_id = self.connect_as("bob")
        for wrong in ({}, {"user": ""}, {"user": "ada", "disconnect": {"code": 1005}},
                      {"user": "ada", "disconnect": {"code": "4000"}}, {"user": "ada", "client": "nonsense"}):
            self.assertEqual(self.error("disconnect", wrong), 107, wrong)
        self.result("disconnect", {"user": "ada", "client": bob_id})
        self.result("disconnect", {"user": "ada", "disconnect": {"code": 4003, "reason": "banned"}})
        for socket, _, _ in held:
            with self.assertRaises(ws_client.Closed) as caught:
                socket.recv()
            self.assertEqual((caught.exception.code, caught.exception.reason), (4003, "banned"))
        self.call("POST", f"/connections/{bob_id}", "still here")
        self.assertEqual(bob.recv(), "still here")
        self.result("disconnect", {"user": "bob"})
        self.assertEqual(bob.recv_close(), 3503)

    def test_a_killed_worker_is_no_answer(self):
        """A worker that dies while it is asked counts as not answering; the asker gets its reply all the same."""
        self.start_with_application(main="worker_keeper off;")
        self.running.deaths_expected = True
        held = self.spread("ada")
        workers = {worker["worker"]: worker["pid"] for worker in self.result("info", {})["nodes"][0]["workers"]}
        victim = held[0][2]["worker"]
        os.kill(workers[victim], SIGKILL)
        lost = [uid for _, uid, view in held if view["worker"] == victim]

        def answered():
            with contextlib.suppress(OSError, EOFError):
                return self.call("GET", f"/connections/{lost[0]}").status == 404
            return False

        beamgate.until(answered)
        kept = [(socket, uid) for socket, uid, view in held if view["worker"] != victim]
        for socket, uid in kept:
            self.assertEqual(self.call("POST", f"/connections/{uid}", "alive").status, 200)
            self.assertEqual(socket.recv(), "alive")


if __name__ == "__main__":
    beamgate.main()
