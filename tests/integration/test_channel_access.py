"""Who may follow a channel by plain HTTP that the channel's rules don't leave open: tokens, by field and by argument, and the
application by webhook; for event streams, long-polling and HTTP/2 alike."""

import json
import time

import beamgate
import event_stream
import h2_client
import http_client
import jwt_token
from backend import Backend, Held, Reply

SECRET = "a secret of thirty-two bytes or more"
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="

HTTP = """
token people { secret "a secret of thirty-two bytes or more"; }
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
    location = /wait { longpoll argument=channel; longpoll_timeout 60s; longpoll_token people; }
    location = /open { sse argument=channel; }
    location = /open-poll { longpoll argument=channel; longpoll_timeout 200ms; }
    location = /ours { sse members-room; sse_token people; }
    location = /theirs { sse members-room; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
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
