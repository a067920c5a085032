"""What the tests of the Phoenix protocol share: gateways that speak it, and scenarios of its official client, unmodified, that
go over either transport.  The client's side is phoenix_client.mjs: its scenarios assert, this one acts for them."""

import base64
import json
from signal import SIGUSR2

import beamgate
import http_client
import jwt_token
import node_script
from backend import Reply

API = "location /api { api on; } location = /metrics { metrics on; }"
SOCKET = "location /socket { websocket phoenix; %s }"
PRESENCE = "channels presence:* { presence on; }"


class TestCase(beamgate.TestCase):
    def serve(self, location="", http=PRESENCE, workers=4, **options):
        self.server = self.gateway(f"{http} server {{ listen 127.0.0.1:0; {SOCKET % location} {API} }}",
                                   workers=workers, **options)
        return self.server.address()

    def api(self, method, params):
        body = json.dumps(params).encode()
        response = http_client.request(self.server.address(), "POST", f"/api/{method}", body=body)
        self.assertEqual(response.status, 200, response)
        return response.json().get("result")

    def play(self, scenario, actions=None):
        """Runs a scenario of the official client, doing what it asks for."""
        return self.drive(["phoenix_client.mjs", f"http://{self.server.address()}/socket", scenario], actions)

    def drive(self, command, actions):
        return node_script.play(command, actions, self.server.log)

    def upgrade(self):
        """To the same binary, until new workers serve."""
        before = set(self.server.worker_pids())
        self.server.signal(SIGUSR2)
        beamgate.until(lambda: len(set(self.server.worker_pids()) - before) == len(before), 30, "new workers")


class OfficialClient(TestCase):
    @classmethod
    def setUpClass(cls):
        node_script.need("phoenix")

    def publish(self):
        for data in ({"from": "the application"}, [1, 2]):
            self.api("publish", {"channel": "room:tea", "data": data})
            if isinstance(data, dict):
                http_client.request(self.server.address(), "POST", "/api/publish?channel=room:tea",
                                    {"Content-Type": "text/plain"}, b"plain text")

    def talk(self, scenario):
        self.serve()
        self.assertEqual(len(self.play(scenario, {"publish": self.publish})), 7)

    def sees_who_is_there(self, scenario):
        self.serve()
        self.assertEqual(len(self.play(scenario)), 4)

    def users(self, scenario):
        secret = "a-secret-of-thirty-two-characters"
        self.serve(http=f"{PRESENCE} token users {{ secret {secret}; }}", location="websocket_token users;")
        tokens = [jwt_token.sign(key, {"sub": name}) for key, name in ((secret, "ada"), (secret, "grace"), ("other", "ada"))]
        seen = self.play(scenario, {
            "tokens": lambda: " ".join(tokens),
            "publish to ada": lambda: self.api("publish", {"channel": "#server-to-user-ada", "data": {"for": "ada"}})})
        self.assertEqual(len(seen), 3)

    # --- With an application.

    def on_subscribe(self, request):
        topic = request.header("beamgate-channel")
        if topic == "secret:1":
            return Reply(403, {"reason": "members only"})
        if topic == "secret:2":
            return Reply(401)
        if topic == "broken:1":
            return Reply(500, "oops")
        if topic == "greeted:1":
            return Reply(200, {"send": [{"data": {"motd": "hello"}}, {"data": {"n": 1}}, {"base64": "AP8="}, {"data": {"n": 2}}]},
                         {"Content-Type": "application/vnd.beamgate+json"})
        return Reply(200, {"motd": "hi", "topic": topic})

    def on_message(self, request):
        event = request.header("beamgate-event")
        if event == "echo":
            return Reply(200, request.body, {"Content-Type": "application/json"})
        if event == "bad":
            return Reply(422, {"field": "a", "problem": "missing"})
        if event == "bytes":
            return Reply(200, request.body[::-1])
        if event == "tell":
            return Reply(200, {"send": [{"data": {}}, {"data": {"more": 1}}],
                               "publish": [{"channel": "room:1", "data": {"told": "everybody"}}]},
                         {"Content-Type": "application/vnd.beamgate+json"})
        if event == "kick":
            return Reply(204, headers={"Beamgate-Unsubscribe": request.header("beamgate-channel")})
        return Reply(204)

    def check_requests(self):
        connect = self.app.seen("beamgate.connect")[-1]
        self.assertEqual(connect.header("beamgate-auth-token"), "a token of ours")
        self.assertIn("room=tea", connect.header("beamgate-uri"))
        uid = connect.header("beamgate-connection")
        join = self.app.seen("beamgate.subscribe")[0]
        self.assertEqual(join.json(), {"name": "ada"})
        self.assertEqual(join.header("content-type"), "application/json")
        self.assertEqual(join.header("beamgate-channel"), "room:1")
        self.assertEqual(join.header("beamgate-user"), "u-7")
        self.assertEqual(join.header("beamgate-connection"), uid)
        pushes = self.app.seen("beamgate.message")
        self.assertEqual([push.header("beamgate-event") for push in pushes],
                         ["echo", "nothing", "bad", "bytes", "tell", "kick"])
        self.assertEqual((pushes[3].body, pushes[3].header("content-type")),
                         (b"\1\2\3", "application/octet-stream"))
        self.assertEqual({push.header("beamgate-channel") for push in pushes}, {"room:1"})
        self.assertEqual(len({push.header("webhook-id") for push in pushes}), 6)

    def webhook(self, scenario):
        self.app = self.backend(Reply(204))
        self.app.on("beamgate.subscribe", self.on_subscribe)
        self.app.on("beamgate.message", self.on_message)
        self.serve(http=f"webhook app {{ url {self.app.url}/hook; secret whsec_{base64.b64encode(b'x' * 32).decode()};"
                        f" timeout 2s; breaker_failures 0; }}", location="webhook app;")
        seen = self.play(scenario, {
            "refuse connections": lambda: self.app.on("beamgate.connect", Reply(403, "no")),
            "accept connections": lambda: self.app.on("beamgate.connect", Reply(204, headers={"Beamgate-User": "u-7"})),
            "check requests": self.check_requests})
        self.assertEqual(len(seen), 5)
        self.app.wait_events("beamgate.connected")
        self.app.wait_events("beamgate.disconnected", timeout=40)
