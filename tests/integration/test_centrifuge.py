"""The Centrifuge protocol, judged by its official client, centrifuge-js, unmodified, in Node: support/centrifuge_judge.mjs.

What that client never does - broken frames, commands in the wrong order, binary - is tried here, frame by frame."""

import json
import os
from signal import SIGKILL, SIGQUIT, SIGUSR2

import beamgate
import http_client
import jwt_token
import node_script
import ws_client
from backend import Held, Reply

WORKERS = 4
SECRET = "a secret of thirty-two bytes or more"

HTTP = """
    %s
    token people { secret "a secret of thirty-two bytes or more"; }
    channels quiet { publish off; }
    channels rate-* { rate 1r/m burst=2; }
    channels denied { subscribe denied; }
    channels token-* { subscribe token; }
    channels presence-* { presence on; }
    channels history-* { history 1000 10m; }
    channels cache-* { cache on; history 1 10m; }
    server {
        listen 127.0.0.1:0;
        location /open { websocket centrifuge; }
        location /token { websocket centrifuge; websocket_token people; }
        location /raw { websocket raw; websocket_subscribe $arg_room; websocket_publish $arg_room; }
        location /api/ { api on; }
        %s
    }"""

HOOK = """
    webhook app { url http://127.0.0.1:%d/; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==; batch_delay 5ms; }
    channels hook-* { subscribe webhook; webhook app; }"""


def token(claims):
    return jwt_token.sign(SECRET, claims)


class Centrifuge(beamgate.TestCase):
    def start(self, hook="", locations="", **options):
        self.server = self.gateway(HTTP % (hook, locations), workers=options.pop("workers", WORKERS), **options)
        return self.server.address()

    def api(self, method, body):
        response = http_client.post(self.server.address(), f"/api/{method}", body)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def subscribers(self, channel):
        return self.api("channels", {"pattern": channel})["result"]["channels"].get(channel, {}).get("num_clients", 0)

    def publish(self, channel, data="newest", **more):
        return self.api("publish", {"channel": channel, "data": data, **more})["result"]


class Judged(Centrifuge):
    """Each scenario against four workers."""

    def setUp(self):
        node_script.need("centrifuge")

    def judge(self, scenario, actions=None, **options):
        address = self.start(**options)
        return node_script.play(["centrifuge_judge.mjs", scenario, address], actions, lambda: self.server.log())

    def test_tokens(self):
        user = lambda name: str(http_client.get(self.server.address(), f"/api/users/{name}").json()["result"]["num_clients"])
        self.assertEqual(len(self.judge("tokens", {"user": user})), 3)

    def test_refresh(self):
        self.assertEqual(len(self.judge("refresh")), 3)

    def test_channels(self):
        def publish(channel):
            self.publish(channel, "by the API", tags={"event": "greeting"})
            target = f"/api/publish?channel={channel}"
            http_client.post(self.server.address(), target, "plain text", {"Content-Type": "text/plain"})
            http_client.post(self.server.address(), target, b"\x00\x01\xff", {"Content-Type": "application/octet-stream"})
        self.assertEqual(len(self.judge("channels", {"publish": publish})), 4)

    def test_presence(self):
        self.assertEqual(len(self.judge("presence")), 3)

    def test_history(self):
        self.assertEqual(len(self.judge("history", {"publish": lambda channel: self.publish(channel) and None})), 4)

    def test_by_server(self):
        def change(method):
            return lambda user, channel: self.api(method, {"user": user, "channel": channel}) and None

        def send(user):
            found = http_client.get(self.server.address(), f"/api/users/{user}").json()["result"]["connections"]
            for path, body, kind in ((f"users/{user}", "for the user", "text/plain"),
                                     (f"connections/{found[0]['id']}", '{\n  "one": 1\r\n}\n', "application/json")):
                sent = http_client.post(self.server.address(), f"/api/{path}", body, {"Content-Type": kind})
                self.assertEqual(sent.status, 200, sent)

        def disconnect(user, code=None):
            body = {"user": user, **({"disconnect": {"code": int(code), "reason": "go"}} if code else {})}
            self.api("disconnect", body)

        actions = {"publish": lambda channel: self.publish(channel) and None, "subscribe": change("subscribe"),
                   "unsubscribe": change("unsubscribe"), "send": send, "disconnect": disconnect}
        self.assertEqual(len(self.judge("by_server", actions)), 5)

    def test_application(self):
        backend = self.backend(secret="whsec_MDEyMzQ1Njc4OWFiY2RlZg==")

        def message(request):
            method = request.header("beamgate-method")
            if method is None:
                return Reply(200, {"heard": request.json()})
            return {"add": lambda: Reply(200, {"sum": sum(request.json().values())}), "text": lambda: Reply(200, "plain"),
                    "forbidden": lambda: Reply(403), "own": lambda: Reply(400, {"error": {"code": 1234, "message": "m"}}),
                    "broken": lambda: Reply(500)}.get(method, lambda: Reply(404))()

        backend.on("beamgate.connect", lambda request: Reply(200 if "ada" in request.header("beamgate-uri") else 403,
                                                             headers={"beamgate-user": "ada"}))
        backend.on("beamgate.message", message)
        held = Held(Reply(204))
        answers = {"hook-yes": Reply(204), "hook-later": held}
        backend.on("beamgate.subscribe", lambda request: answers.get(request.header("beamgate-channel"), Reply(403)))
        backend.on("beamgate.publish", lambda request: Reply(204 if request.json() == "fine" else 403))
        backend.on("*", Reply(204))
        about_later = lambda request: request.header("beamgate-channel") == "hook-later"
        actions = {"asked": lambda: backend.wait("beamgate.subscribe", match=about_later) and None, "release": held.release,
                   "subscribers": lambda: str(self.subscribers("hook-later"))}
        seen = self.judge("application", actions, hook=HOOK % backend.port,
                          locations="location /hook { websocket centrifuge; webhook app; }")
        self.assertEqual(len(seen), 5)
        self.assertEqual(backend.wait("beamgate.publish").header("beamgate-user"), "ada")
        self.assertEqual(backend.wait_events("beamgate.disconnected")[0]["data"]["reason"], "client")

    def kill_a_worker(self):
        self.server.expect_deaths()
        os.kill(self.server.worker_pids()[0], SIGKILL)

    def upgrade(self):
        old = set(self.server.worker_pids())
        self.server.signal(SIGUSR2)
        beamgate.until(lambda: len(new := self.server.worker_pids()) == WORKERS and not old & set(new), 60, "new workers")

    def flowing(self, happens, main=""):
        """Publishes while something happens, twice; how many connections were dropped, and how many recovered."""
        def flow(total=400):
            for i in range(1, total + 1):
                self.publish("history-flow", i)
                if i in (total // 3, 2 * total // 3):
                    happens()
            self.server.wait_workers(WORKERS)
            return str(total)
        (seen,) = self.judge("flow", {"flow": flow}, main=main)
        _, drops, _, recovered, *_ = seen.split()
        return int(drops), int(recovered)

    def test_workers_die_and_their_clients_recover(self):
        drops, recovered = self.flowing(self.kill_a_worker, "worker_keeper off;")
        self.assertEqual(drops, recovered)

    def test_workers_die_and_their_clients_stay(self):
        self.assertEqual(self.flowing(self.kill_a_worker), (0, 0))

    def test_an_upgrade_is_not_noticed(self):
        self.assertEqual(self.flowing(self.upgrade), (0, 0))


class Wire(Centrifuge):
    def connect(self, path="/open"):
        socket = ws_client.connect(self.server.address(), path)
        self.addCleanup(socket.wire.close)
        return socket

    def exchange(self, socket, *commands):
        socket.send("\n".join(map(json.dumps, commands)))
        return [self.receive(socket) for _ in commands]

    def receive(self, socket):
        while (text := socket.recv()) == "{}":
            pass
        return json.loads(text)

    def open(self, path="/open", **params):
        socket = self.connect(path)
        (reply,) = self.exchange(socket, {"id": 1, "connect": params})
        self.assertIn("connect", reply)
        return socket

    def test_broken_clients(self):
        self.start()
        for frames, code in ((["nonsense"], 3501), (["[]"], 3501), (['{"id":1,"subscribe":{"channel":"a"}}'], 3501),
                             (['{"connect":{}}'], 3501), (['{"id":1,"connect":{}}', '{"id":2,"connect":{}}'], 3501),
                             (['{"id":1,"connect":{}}', '{"rpc":{}}'], 3501), ([b"\x00\x01"], 3506)):
            socket = self.connect()
            for frame in frames:
                socket.send(frame)
            self.assertEqual(socket.recv_close(), code, frames)

    def test_several_commands_in_a_frame(self):
        self.start()
        socket = self.connect()
        replies = self.exchange(socket, {"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "a"}},
                                {"id": 3, "teleport": {}}, {"id": 4, "unsubscribe": {"channel": "never"}})
        self.assertEqual(replies[0]["id"], 1)
        self.assertEqual({reply["id"] for reply in replies}, {1, 2, 3, 4})
        by_id = {reply["id"]: reply for reply in replies}
        self.assertEqual(by_id[2], {"id": 2, "subscribe": {}})
        self.assertEqual(by_id[3]["error"]["code"], 104)
        self.assertEqual(by_id[4], {"id": 4, "unsubscribe": {}})
        (again,) = self.exchange(socket, {"id": 5, "subscribe": {"channel": "a"}})
        self.assertEqual(again["error"]["code"], 105)

    def test_who_leaves_before_the_bus_has_answered_has_an_answer_for_both(self):
        self.start()
        socket = self.open()
        for number in range(2, 82, 4):
            channel = f"{('', 'history-', 'presence-')[number % 3]}{number}"
            replies = self.exchange(socket, {"id": number, "subscribe": {"channel": channel}},
                                    {"id": number + 1, "unsubscribe": {"channel": channel}})
            self.assertEqual((replies[0]["id"], replies[0]["error"]["code"]), (number, 100))
            self.assertEqual(replies[1], {"id": number + 1, "unsubscribe": {}})
            self.assertEqual(self.subscribers(channel), 0)
        (again,) = self.exchange(socket, {"id": 99, "subscribe": {"channel": "2"}})
        self.assertEqual(again, {"id": 99, "subscribe": {}})

    def test_who_leaves_while_the_application_is_asked_stays_out(self):
        for answer, code in ((Reply(204), None), (Reply(403), 103)):
            with self.subTest(answer=answer.status):
                backend = self.backend(Reply(204), secret="whsec_MDEyMzQ1Njc4OWFiY2RlZg==")
                held = Held(answer)
                backend.on("beamgate.subscribe", held)
                self.start(hook=HOOK % backend.port)
                socket = self.open()

                def command(number, method, channel):
                    socket.send(json.dumps({"id": number, method: {"channel": channel}}))

                def taken_back(number):
                    self.assertEqual(self.receive(socket), {"id": number, "error": {
                        "code": 100, "message": "unsubscribed meanwhile", "temporary": True}})
                    self.assertEqual(self.receive(socket), {"id": number + 1, "unsubscribe": {}})

                command(2, "subscribe", "hook-a")
                backend.wait("beamgate.subscribe")
                command(3, "unsubscribe", "hook-a")
                taken_back(2)
                command(4, "subscribe", "hook-b")  # Nobody needs to be asked about it any more.
                command(5, "unsubscribe", "hook-b")
                taken_back(4)
                command(6, "unsubscribe", "hook-a")
                self.assertEqual(self.receive(socket), {"id": 6, "unsubscribe": {}})
                command(7, "subscribe", "hook-c")
                held.release()
                reply = self.receive(socket)
                self.assertEqual((reply["id"], reply.get("error", {}).get("code")), (7, code))
                self.assertEqual([self.subscribers(f"hook-{name}") for name in "ab"], [0, 0])
                command(8, "subscribe", "hook-a")  # The last word counts.
                reply = self.receive(socket)
                self.assertEqual((reply["id"], reply.get("error", {}).get("code")), (8, code))
                asked = [request.header("beamgate-channel") for request in backend.seen("beamgate.subscribe")]
                self.assertEqual(asked, ["hook-a", "hook-c", "hook-a"])

    def test_who_has_left_stays_out_when_the_worker_dies(self):
        backend = self.backend(Reply(204), secret="whsec_MDEyMzQ1Njc4OWFiY2RlZg==")
        held = Held(Reply(204))
        backend.on("beamgate.subscribe", held)
        self.start(hook=HOOK % backend.port, workers=1)
        socket = self.open()
        socket.send('{"id":2,"subscribe":{"channel":"hook-a"}}')
        backend.wait("beamgate.subscribe")
        replies = self.exchange(socket, {"id": 3, "unsubscribe": {"channel": "hook-a"}}) + [self.receive(socket)]
        self.assertEqual([reply["id"] for reply in replies], [2, 3])
        self.server.expect_deaths()
        os.kill(self.server.worker_pids()[0], SIGKILL)
        backend.wait("beamgate.subscribe", count=2)  # Its successor doesn't know that it was asked.
        socket.send('{"id":4,"subscribe":{"channel":"hook-b"}}')
        held.release()
        self.assertEqual(self.receive(socket), {"id": 4, "subscribe": {}})
        self.assertEqual([self.subscribers("hook-a"), self.subscribers("hook-b")], [0, 1])

    def test_no_epoch_is_any(self):
        self.start()
        for number in range(3):
            self.publish("history-any", number)
        socket = self.open()
        for position, recovered in (({"offset": 1, "epoch": ""}, True), ({"offset": 1}, True), ({"offset": 9}, False),
                                    ({"offset": 1, "epoch": "another"}, False)):
            (reply,) = self.exchange(socket, {"id": 2, "subscribe": {"channel": "history-any", "recover": True, **position}})
            self.assertEqual(reply["subscribe"].get("recovered", False), recovered, position)
            self.assertEqual([p["data"] for p in reply["subscribe"].get("publications", [])], [1, 2] if recovered else [])
            self.exchange(socket, {"id": 3, "unsubscribe": {"channel": "history-any"}})

    def test_pings_are_messages(self):
        self.start(locations="location /ping { websocket centrifuge; websocket_ping_interval 1s; websocket_idle_timeout 3s; }")
        socket = self.connect("/ping")
        (reply,) = self.exchange(socket, {"id": 1, "connect": {}})
        self.assertEqual((reply["connect"]["ping"], reply["connect"]["pong"]), (1, True))
        self.assertEqual(socket.recv(), "{}")
        socket.send("{}")
        self.assertEqual(socket.recv(), "{}")
        self.assertEqual(socket.recv_close(), 3012)  # It doesn't answer any more.

    def test_silent_clients(self):
        self.start()
        self.assertEqual(self.connect().recv_close(timeout=20), 3502)

    def test_channels_that_the_handshake_names(self):
        self.start(locations="location /named { websocket centrifuge; websocket_subscribe $arg_room; }")
        socket = self.connect("/named?room=news")
        (reply,) = self.exchange(socket, {"id": 1, "connect": {}})
        self.assertEqual(list(reply["connect"]["subs"]), ["news"])
        for channel in ("denied", "token-a"):
            with self.assertRaises(ws_client.Refused) as refused:
                self.connect(f"/named?room={channel}")
            self.assertEqual(refused.exception.status, 403)

    def test_rates(self):
        self.start()
        socket = self.open()
        self.exchange(socket, {"id": 2, "subscribe": {"channel": "rate-a"}})
        codes = []
        for number in range(3, 7):
            socket.send(json.dumps({"id": number, "publish": {"channel": "rate-a", "data": number}}))
            while (reply := self.receive(socket)).get("id") != number:
                self.assertIn("push", reply)
            codes.append(reply.get("error", {}).get("code"))
        self.assertEqual(codes, [None, None, 111, 111])

    def test_what_the_queue_has_no_room_for_is_not_recovered(self):
        self.start(locations="location /narrow { websocket centrifuge; websocket_send_queue 8k; }")
        first = self.publish("history-big", 0)
        for _ in range(20):
            last = self.publish("history-big", "x" * 1000)
        position = {"channel": "history-big", "recover": True, "epoch": first["epoch"]}
        socket = self.open("/narrow")
        for offset, recovered in ((last["offset"] - 3, True), (first["offset"], False)):
            (reply,) = self.exchange(socket, {"id": 2, "subscribe": {**position, "offset": offset}})
            result = reply["subscribe"]
            self.assertEqual((result.get("recovered", False), result["was_recovering"]), (recovered, True))
            self.assertEqual(len(result.get("publications", [])), 3 if recovered else 0)
            self.assertEqual(result["offset"], offset if recovered else last["offset"])
            self.exchange(socket, {"id": 3, "unsubscribe": {"channel": "history-big"}})
        (strict,) = self.exchange(socket, {"id": 4, "subscribe": {**position, "offset": first["offset"], "flag": 2}})
        self.assertEqual(strict["error"]["code"], 112)

    def test_one_room_for_all_protocols(self):
        self.start()
        raw = ws_client.connect(self.server.address(), "/raw?room=room")
        self.addCleanup(raw.wire.close)
        ours = self.open()
        self.exchange(ours, {"id": 2, "subscribe": {"channel": "room"}})
        raw.send("from raw")
        self.assertEqual(raw.recv(), "from raw")
        self.assertEqual(self.receive(ours)["push"]["pub"]["data"], "from raw")
        ours.send('{"id":3,"publish":{"channel":"room","data":{"a":1}}}')
        self.assertEqual(raw.recv(), '{"a":1}')

    def test_drain_is_a_shutdown_to_come_back_from(self):
        self.start()
        sockets = [self.open() for _ in range(4)]
        self.server.signal(SIGQUIT)
        for socket in sockets:
            self.assertEqual(socket.recv_close(), 3001)


if __name__ == "__main__":
    beamgate.main()
