"""Who may follow a channel by plain HTTP that the channel's rules don't leave open: tokens, by field and by argument, and the
application by webhook; for event streams, long-polling and HTTP/2 alike."""

import json
import tempfile
import time
from signal import SIGHUP

import beamgate
import event_stream
import h2_client
import http_client
import jose
import jwt_token
from backend import Backend, Held, Reply

SECRET = "a secret of thirty-two bytes or more"
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="

HTTP = """
token people { secret "a secret of thirty-two bytes or more"; }
token staff { secret "a secret of thirty-two bytes or more"; user_claim login; }
token chat { secret "a secret of thirty-two bytes or more"; audience chat; }
token desk { secret "a secret of thirty-two bytes or more"; issuer https://desk.example; }
webhook app { url http://127.0.0.1:%d/; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==; timeout 1s; }
webhook lenient { url http://127.0.0.1:1/; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==; on_error allow; }
channels kept* { history 1000 10m; }
channels members-* { subscribe token; history 10 10m; presence on; }
channels asked-* { subscribe webhook; webhook app; presence on; }
channels easy { subscribe webhook; webhook lenient; }
channels denied { subscribe denied; }
server {
    listen 127.0.0.1:0 http2;
    sse_keepalive 0;
    location = /stream { sse argument=channel; sse_token people; sse_origins https://a.example; }
    location = /poll { longpoll argument=channel; longpoll_timeout 200ms; longpoll_token people; }
    location = /staff { sse argument=channel; sse_token staff; }
    location = /wait { longpoll argument=channel; longpoll_timeout 60s; longpoll_token people; }
    location = /open { sse argument=channel; }
    location = /open-poll { longpoll argument=channel; longpoll_timeout 200ms; }
    location = /ours { sse members-room; sse_token people; }
    location = /theirs { sse members-room; }
    location = /for-chat { sse members-room; sse_token chat; }
    location = /from-desk { sse members-room; sse_token desk; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""

KEY_SET_HTTP = """
token people { jwks keys.json; }
server { listen 127.0.0.1:0; location = /room { sse room; sse_token people; } }
"""


def token(claims, secret=SECRET):
    return jwt_token.sign(secret, claims)


class Case(beamgate.TestCase):
    def setUp(self):
        self.backend = Backend(secret=WEBHOOK_SECRET)
        self.addCleanup(self.backend.close)
        self.running = self.gateway(HTTP % self.backend.port, workers=2)
        self.address = self.running.address()

    def open(self, path, **options):
        return self.track(event_stream.Reader(self.address, path, **options))

    def api(self, method, body):
        return http_client.post(self.address, f"/api/{method}", body).json()["result"]

    def users(self, channel):
        return {client["user"] for client in self.api("presence", {"channel": channel})["presence"].values()}


class Tokens(Case):
    def test_by_argument_and_by_field(self):
        ann = token({"sub": "ann", "channel": "members-a"})
        by_argument = self.open(f"/stream?channel=members-a&token={ann}").wait_joined()
        by_field = self.open("/stream?channel=members-a", fields={"Authorization": f"Bearer {ann}"}).wait_joined()
        self.api("publish", {"channel": "members-a", "data": 1})
        for reader in (by_argument, by_field):
            self.assertEqual(reader.next().data, "1")
        self.assertEqual(self.users("members-a"), {"ann"})
        polled = http_client.get(self.address, f"/poll?channel=members-a&token={ann}&since={by_field.last_id[:-1]}0")
        self.assertEqual([p["data"] for p in polled.json()["publications"]], [1])

    def test_several_channels(self):
        both = token({"sub": "ann", "channels": ["members-a", "members-b"]})
        self.open(f"/stream?channel=members-a&channel=members-b&token={both}").wait_joined()
        one, other = (token({"sub": "ann", "channel": f"members-{name}"}) for name in "ab")
        reader = self.open(f"/stream?channel=members-a&channel=members-b&token={one}&token={other}").wait_joined()
        self.api("publish", {"channel": "members-b", "data": "b"})
        self.assertEqual(reader.next().data, '"b"')
        strange = token({"sub": "bob", "channel": "members-b"})
        self.open(f"/stream?channel=members-a&channel=members-b&token={one}&token={strange}", expect=401)

    def test_refusals(self):
        now = int(time.time())
        good = token({"sub": "ann", "channel": "members-a", "exp": now + 600})
        for path in ("/stream", "/poll"):
            def ask(query, fields=()):
                return http_client.get(self.address, f"{path}?{query}", fields)
            for query in ("channel=members-a", "channel=members-a&token=", f"channel=members-a&token={good}x",
                          f"channel=members-a&token={token({'sub': 'ann', 'channel': 'members-a'}, SECRET + 'x')}",
                          f"channel=members-a&token={token({'sub': 'ann', 'channel': 'members-a', 'exp': now - 1})}"):
                answer = ask(query)
                self.assertEqual(answer.status, 401, (query, answer))
                self.assertTrue(answer.header("www-authenticate").startswith("Bearer"))
            self.assertEqual(ask(f"channel=members-a&token={good}", {"Authorization": "Bearer nonsense"}).status, 401)
            self.assertEqual(ask(f"channel=members-b&token={good}").status, 403)
            self.assertEqual(ask(f"channel=members-a&channel=members-b&token={good}").status, 403)
            self.assertEqual(ask(f"channel=denied&token={token({'sub': 'ann', 'channel': 'denied'})}").status, 403)
            own = "%23server-to-user-ann"
            self.assertEqual(ask(f"channel={own}&token={token({'sub': 'ann', 'channel': '#server-to-user-ann'})}").status, 403)
        # Where nobody looks at tokens none helps.
        for path in ("/open", "/open-poll"):
            self.assertEqual(http_client.get(self.address, f"{path}?channel=members-a&token={good}").status, 403)

    def test_what_the_configuration_names(self):
        self.open("/theirs").wait_joined()
        self.open("/ours", expect=401)
        self.open(f"/ours?token={token({'sub': 'ann'})}").wait_joined()  # Which channel is not its word.

    def test_which_claim_names_the_user(self):
        cases = ("stream", "bob", "ann"), ("staff", "bob", "bob"), ("staff", 4711, "4711")
        for number, (path, login, user) in enumerate(cases):
            channel = f"members-{number}"
            shown = token({"sub": "ann", "login": login, "channel": channel})
            self.open(f"/{path}?channel={channel}&token={shown}").wait_joined()
            self.assertEqual(self.users(channel), {user})

    def test_whom_a_token_is_for(self):
        for claims, status in (({"aud": "chat"}, 200), ({"aud": ["mail", "chat"]}, 200), ({}, 401), ({"aud": "mail"}, 401),
                               ({"aud": ["mail", "chat2"]}, 401), ({"aud": []}, 401)):
            with self.subTest(claims):
                shown = token({"sub": "ann", **claims})
                self.open(f"/for-chat?token={shown}", expect=status)
                self.open(f"/ours?token={shown}")  # Where it doesn't matter.

    def test_who_has_issued_a_token(self):
        for claims, status in (({"iss": "https://desk.example"}, 200), ({}, 401), ({"iss": "https://desk.example/"}, 401),
                               ({"iss": ["https://desk.example"]}, 401)):
            with self.subTest(claims):
                shown = token({"sub": "ann", **claims})
                self.open(f"/from-desk?token={shown}", expect=status)
                self.open(f"/ours?token={shown}")

    def test_a_stream_ends_with_its_token(self):
        ends = int(time.time()) + 2
        reader = self.open(f"/stream?channel=members-a&token={token({'sub': 'ann', 'channel': 'members-a', 'exp': ends})}")
        lasting = self.open(f"/stream?channel=members-a&token={token({'sub': 'bob', 'channel': 'members-a'})}").wait_joined()
        self.assertEqual(reader.wait_joined().wait_end(timeout=30), b"")
        self.assertGreaterEqual(time.time(), ends)
        beamgate.until(lambda: self.users("members-a") == {"bob"})
        self.api("publish", {"channel": "members-a", "data": 1})
        self.assertEqual(lasting.next().data, "1")

    def test_a_poll_that_waits_ends_with_its_token(self):
        ends = int(time.time()) + 2
        target = "/wait?channel=members-a&token=" + token({"sub": "ann", "channel": "members-a", "exp": ends})
        with http_client.Connection(self.address, timeout=30) as connection:
            connection.send_request("GET", target)
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertGreaterEqual(time.time(), ends)
            tag = answer.header("etag")
            connection.send_request("GET", target, {"If-None-Match": tag})
            self.assertEqual(connection.read_response().status, 401)
            self.api("publish", {"channel": "members-a", "data": 1})
            fresh = token({"sub": "ann", "channel": "members-a"})
            connection.send_request("GET", f"/wait?channel=members-a&token={fresh}", {"If-None-Match": tag})
            self.assertEqual([each["data"] for each in connection.read_response().json()["publications"]], [1])

    def test_pages_of_other_origins_can_read_why(self):
        answer = http_client.get(self.address, "/stream?channel=members-a", {"Origin": "https://a.example"})
        self.assertEqual((answer.status, answer.header("access-control-allow-origin")), (401, "https://a.example"))


class TokensOfAKeySet(beamgate.TestCase):
    def setUp(self):
        self.place = self.enterContext(tempfile.TemporaryDirectory(prefix="beamgate-keys-"))
        self.keys = jose.make_keys(f"{self.place}/keys")
        another_kind = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        self.running = self.gateway(KEY_SET_HTTP, files={"keys.json": jose.key_set(self.keys.values(), another_kind)})

    def check(self, shown, status):
        self.track(event_stream.Reader(self.running.address(), f"/room?token={shown}", expect=status))

    def test_each_kind_of_key_signs(self):
        strangers = jose.make_keys(f"{self.place}/strangers")
        for algorithm, key in self.keys.items():
            with self.subTest(algorithm):
                self.check(key.sign({"sub": "ann"}), 200)
                self.check(key.sign({"sub": "ann", "exp": int(time.time()) - 1}), 401)
                self.check(strangers[algorithm].sign({"sub": "ann"}), 401)

    def test_a_key_signs_by_its_own_algorithm_only(self):
        for own, key in self.keys.items():
            for algorithm in (*self.keys, "none", "RS512"):
                with self.subTest(key=own, algorithm=algorithm):
                    self.check(key.sign({"sub": "ann"}, alg=algorithm), 200 if algorithm == own else 401)
        public = self.keys["RS256"].public_pem()  # Everybody has it: it is no secret to sign with.
        self.check(jose.Secret("rsa", public).sign({"sub": "ann"}), 401)

    def test_new_keys_come_with_a_reload(self):
        fresh = jose.make_keys(f"{self.place}/fresh")
        self.running.path("keys.json").write_text(jose.key_set(fresh.values()))
        for keys, status in ((self.keys, 200), (fresh, 401)):
            for key in keys.values():
                self.check(key.sign({"sub": "ann"}), status)
        mark = self.running.log_mark()
        self.running.signal(SIGHUP)
        self.running.wait_log(r"\bconfiguration_in_force\b", count=2, after=mark)  # A client could overtake it.
        for keys, status in ((self.keys, 401), (fresh, 200)):
            for key in keys.values():
                self.check(key.sign({"sub": "ann"}), status)


class Webhooks(Case):
    def test_the_application_lets_in(self):
        self.backend.on("beamgate.subscribe", lambda request: Reply(204, headers={"beamgate-user": "carl"}))
        reader = self.open("/open?channel=asked-a&channel=open&name=x", fields={"Cookie": "a=b"}).wait_joined()
        request = self.backend.wait("beamgate.subscribe")
        self.assertEqual((request.header("beamgate-channel"), request.header("content-type"), request.body),
                         ("asked-a", "application/json", b"null"))
        self.assertEqual((request.header("beamgate-uri"), request.header("cookie"), request.header("beamgate-address")),
                         ("/open?channel=asked-a&channel=open&name=x", "a=b", "127.0.0.1"))
        self.assertEqual(self.users("asked-a"), {"carl"})
        self.api("publish", {"channel": "asked-a", "data": 1})
        self.assertEqual(reader.next().data, "1")

    def test_it_is_asked_for_each_channel_and_each_poll(self):
        self.backend.on("beamgate.subscribe", Reply(204))
        for _ in range(2):
            self.assertEqual(http_client.get(self.address, "/open-poll?channel=asked-a&channel=asked-b").status, 204)
        self.backend.wait("beamgate.subscribe", count=4)
        asked = self.backend.seen("beamgate.subscribe")
        self.assertEqual([request.header("beamgate-channel") for request in asked], ["asked-a", "asked-b"] * 2)
        self.assertEqual(len({request.header("webhook-id") for request in asked}), 4)

    def test_its_no_is_the_answer(self):
        self.backend.on("beamgate.subscribe", Reply(403, {"error": "members only"}, headers={"Cache-Control": "no-store"}))
        for path in ("/open", "/open-poll"):
            answer = http_client.get(self.address, f"{path}?channel=open&channel=asked-a")
            self.assertEqual((answer.status, answer.json()), (403, {"error": "members only"}))
        self.assertEqual(self.running.metrics()["beamgate_hub_subscriptions"], 0)

    def test_what_it_has_done_with_a_subscription(self):
        actions = {"user": "dora", "subscribe": ["extra"], "publish": [{"channel": "news", "data": {"came": "dora"}}]}
        self.backend.on("beamgate.subscribe", Reply(200, json.dumps(actions),
                                                    headers={"Content-Type": "application/vnd.beamgate+json"}))
        news = self.open("/open?channel=news").wait_joined()
        reader = self.open("/open?channel=asked-a").wait_joined()
        self.assertEqual(json.loads(news.next().data), {"came": "dora"})
        self.api("publish", {"channel": "extra", "data": "more"})
        self.assertEqual(reader.next().data, '"more"')

    def test_without_an_answer(self):
        self.backend.on("beamgate.subscribe", Held())
        self.assertEqual(http_client.get(self.address, "/open?channel=asked-a").status, 503)
        self.open("/open?channel=easy").wait_joined()  # on_error allow

    def test_a_client_that_goes_is_not_let_in(self):
        held = Held(Reply(204))
        self.backend.on("beamgate.subscribe", held)
        connection = http_client.Connection(self.address)
        connection.send_request("GET", "/open?channel=asked-a")
        self.backend.wait("beamgate.subscribe")
        connection.close()
        beamgate.until(lambda: self.running.metrics()["beamgate_connections_active"] <= 1)
        held.release()
        self.backend.on("beamgate.subscribe", Reply(204))
        self.open("/open?channel=asked-a").wait_joined()
        self.assertEqual(self.running.metrics()["beamgate_event_streams_active"], 1)

    def test_http2(self):
        self.backend.on("beamgate.subscribe", Reply(204))
        client = self.track(h2_client.connect(self.address))
        stream = client.request("GET", "/open?channel=asked-a")
        client.until(lambda: b"id: " in client.responses[stream].body)
        self.api("publish", {"channel": "asked-a", "data": "over HTTP/2"})
        client.until(lambda: b'data: "over HTTP/2"' in client.responses[stream].body)
        self.assertEqual(client.get("/stream?channel=members-a").status, 401)
        self.backend.on("beamgate.subscribe", Reply(403, "no"))
        answer = client.get("/open-poll?channel=asked-a")
        self.assertEqual((answer.status, answer.text), (403, "no"))


if __name__ == "__main__":
    beamgate.main()
