"""The Pusher protocol, judged by its official clients and server library, unmodified, in Node: support/pusher_judge.mjs.

What they never do - broken frames, forged signatures, unknown keys - is tried here, frame by frame."""

import hashlib
import hmac
import json
import os
import time
from signal import SIGKILL, SIGQUIT

import beamgate
import http_client
import jwt_token
import node_script
import ws_client
import ws_frame
from backend import Held, Reply

KEY, SECRET = "bgkey01", "bg-secret-01 of the test"

HTTP = """
    %s
    app shop { id 77; key bgkey01; secret "bg-secret-01 of the test"; %s }
    app till { id 78; key tillkey; secret 0123456789abcdef; client_events off; }
    channels presence-few { presence_limit 4; }
    server {
        listen 127.0.0.1:0;
        location /app/ { websocket pusher; %s }
        location /only/app/ { websocket pusher; pusher_apps till; }
        location /apps/ { pusher_api on; }
        location /only/apps/ { pusher_api on; pusher_apps till; }
        location /raw { websocket raw; websocket_subscribe $arg_room; websocket_publish $arg_room; }
        location /api/ { api on; }
        location = /blank { default_type text/html; return 200 "<!doctype html><title>blank</title>"; }
        location /web/ { alias WEB/; }
    }""".replace("WEB", str(node_script.SUPPORT / "node_modules" / "pusher-js" / "dist" / "web"))


def sign(text, secret=SECRET):
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def api(method, path, body=None, secret=SECRET, key=KEY, now=None, query=""):
    """A signed request's target and body."""
    text = "" if body is None else json.dumps(body)
    fields = {"auth_key": key, "auth_timestamp": str(int(now or time.time())), "auth_version": "1.0"}
    if text:
        fields["body_md5"] = hashlib.md5(text.encode()).hexdigest()
    fields.update(pair.split("=", 1) for pair in query.split("&") if pair)
    line = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    signature = sign(f"{method}\n{path}\n{line}", secret)
    return f"{path}?{line}&auth_signature={signature}", text


class Judged(beamgate.TestCase):
    """Each scenario against four workers."""

    def setUp(self):
        node_script.need("pusher-js")

    def judge(self, scenario, main="", actions=None, script="pusher_judge.mjs"):
        self.server = None
        actions = {"start": lambda port: self.start(port, main), **(actions or {})}
        return node_script.play([script, scenario], actions, lambda: self.server.log() if self.server else "")

    def start(self, port, main):
        hook = f"webhook hook {{ url http://127.0.0.1:{port}/; secret 0123456789abcdef; batch_delay 5ms; retry_delay 20ms; }}"
        self.server = self.gateway(HTTP % (hook, "webhook hook;", ""), main=main, workers=4)
        return self.server.address()

    def test_public_channels(self):
        self.assertEqual(len(self.judge("public_channels")), 3)

    def test_private_channels(self):
        self.assertEqual(len(self.judge("private_channels")), 5)

    def test_presence(self):
        self.assertEqual(len(self.judge("presence")), 4)

    def test_presence_that_is_counted_for_a_while(self):
        self.assertEqual(len(self.judge("presence_counted")), 2)

    def test_apps_have_channels_and_users_of_their_own(self):
        self.assertEqual(len(self.judge("apps")), 3)

    def test_cache_channels(self):
        self.assertEqual(len(self.judge("cache_channels")), 2)

    def test_users(self):
        self.assertEqual(len(self.judge("users")), 3)

    def test_watchlist(self):
        self.assertEqual(len(self.judge("watchlist")), 1)

    def test_webhooks(self):
        self.assertEqual(len(self.judge("webhooks")), 4)

    def test_laravel_echo(self):
        self.assertEqual(len(self.judge("laravel_echo")), 2)

    def kill_workers(self):
        self.server.deaths_expected = True
        for pid in self.server.wait_workers(4):
            os.kill(pid, SIGKILL)

    def test_worker_loss(self):
        self.assertEqual(len(self.judge("worker_loss", "worker_keeper off;", {"kill workers": self.kill_workers})), 1)

    def test_chromium(self):
        node_script.need_chromium()
        seen = self.judge("", "worker_keeper off;", {"kill workers": self.kill_workers}, script="pusher_browser.mjs")
        self.assertEqual(len(seen), 3)

    def test_survival_of_worker_deaths(self):
        def kill():
            before = set(self.server.wait_workers(4))
            self.kill_workers()
            beamgate.until(lambda: len(set(self.server.wait_workers(4)) - before) == 4)
        self.assertEqual(len(self.judge("survival", "", {"kill workers": kill})), 1)


class FrameByFrame(beamgate.TestCase):
    def start(self, app="", location="", workers=2, main=""):
        self.server = self.gateway(HTTP % ("", app, location), workers=workers, main=main)

    def open(self, target=f"/app/{KEY}?protocol=7"):
        socket = ws_client.connect(self.server.address(), target)
        self.addCleanup(socket.wire.close)
        return socket

    def connect(self):
        socket = self.open()
        hello = json.loads(socket.recv())
        self.assertEqual(hello["event"], "pusher:connection_established")
        data = json.loads(hello["data"])
        self.assertRegex(data["socket_id"], r"^\d+\.\d+$")
        self.assertEqual(data["activity_timeout"], 120)
        return socket, data["socket_id"]

    def say(self, socket, **frame):
        socket.send(json.dumps(frame))

    def hear(self, socket, **wanted):
        frame = json.loads(socket.recv())
        for key, value in wanted.items():
            self.assertEqual(frame.get(key), value, frame)
        return frame

    def hear_past_counts(self, socket, **wanted):
        """Counts of subscribers come when they do."""
        while (frame := json.loads(socket.recv()))["event"] == "pusher_internal:subscription_count":
            pass
        self.assertEqual({key: frame.get(key) for key in wanted}, wanted, frame)
        return frame

    def hear_until(self, socket, event):
        """What comes before that, but for the counts of subscribers."""
        frames = []
        while (frame := json.loads(socket.recv()))["event"] != event:
            frames.append(frame)
        return [frame for frame in frames if frame["event"] != "pusher_internal:subscription_count"]

    def subscribe(self, socket, channel, **data):
        self.say(socket, event="pusher:subscribe", data={"channel": channel, **data})

    def refused_with(self, target, code):
        socket = self.open(target)
        error = json.loads(socket.recv())
        self.assertEqual((error["event"], error["data"]["code"]), ("pusher:error", code))
        self.assertEqual(socket.recv_close(), code)

    def publish(self, channel, event, data, **more):
        target, body = api("POST", "/apps/77/events", {"name": event, "channels": [channel], "data": data, **more})
        reply = http_client.post(self.server.address(), target, body, {"Content-Type": "application/json"})
        self.assertEqual((reply.status, reply.text), (200, "{}"))

    def test_who_can_not_be_served_is_told_why(self):
        self.start()
        self.refused_with("/app/unknown?protocol=7", 4001)
        self.refused_with(f"/app/{KEY}", 4008)
        self.refused_with(f"/app/{KEY}?protocol=4", 4007)
        self.refused_with(f"/app/{KEY}?protocol=x", 4007)
        self.refused_with(f"/app/{KEY}?protocol=7&version=beta", 4006)
        self.refused_with(f"/only/app/{KEY}?protocol=7", 4001)
        self.open("/only/app/tillkey?protocol=7&client=js&version=8.6.0&flash=false").recv()

    def test_signatures_that_are_not_good(self):
        self.start()
        socket, me = self.connect()
        data = '{"user_id":7,"user_info":{"a":1}}'
        good = f"{KEY}:" + sign(f"{me}:private-a")
        for channel, auth, more in (("private-a", "", {}), ("private-a", good[:-1], {}), ("private-b", good, {}),
                                    ("private-a", good.replace(KEY, "tillkey"), {}), ("private-a", good.upper(), {}),
                                    ("private-a", good, {"channel_data": "{}"}),
                                    ("presence-a", f"{KEY}:" + sign(f"{me}:presence-a:{data}"), {"channel_data": data + " "})):
            self.subscribe(socket, channel, auth=auth, **more)
            error = self.hear(socket, event="pusher:subscription_error", channel=channel)
            self.assertEqual((error["data"]["type"], error["data"]["status"]), ("AuthError", 401))
        self.subscribe(socket, "private-a", auth=good)
        self.hear(socket, event="pusher_internal:subscription_succeeded", channel="private-a", data="{}")

    def test_presence_data_that_is_not_good(self):
        self.start()
        socket, me = self.connect()
        for data in ("{}", "7", "no json", '{"user_id":""}', '{"user_id":{}}', '{"user_id":"%s"}' % ("u" * 129)):
            self.subscribe(socket, "presence-a", auth=f"{KEY}:" + sign(f"{me}:presence-a:{data}"), channel_data=data)
            self.hear(socket, event="pusher:subscription_error", channel="presence-a")

    def test_a_number_as_user_id_becomes_a_text(self):
        self.start()
        socket, me = self.connect()
        data = '{"user_id":7,"user_info":{"a":1}}'
        auth = f"{KEY}:" + sign(f"{me}:presence-a:{data}")
        for _ in range(2):  # The second time it is told again.
            self.subscribe(socket, "presence-a", auth=auth, channel_data=data)
            frame = self.hear(socket, event="pusher_internal:subscription_succeeded", channel="presence-a")
            self.assertEqual(json.loads(frame["data"]), {"presence": {"count": 1, "ids": ["7"], "hash": {"7": {"a": 1}}}})

    def test_more_members_than_are_listed_are_counted(self):
        self.server = self.gateway(HTTP % ("channels presence-* { presence_limit 2; }", "", ""))
        sockets = []
        for number in range(3):
            socket, me = self.connect()
            data = json.dumps({"user_id": number})
            self.subscribe(socket, "presence-a", auth=f"{KEY}:" + sign(f"{me}:presence-a:{data}"), channel_data=data)
            presence = json.loads(self.hear(socket, event="pusher_internal:subscription_succeeded")["data"])["presence"]
            sockets.append(socket)
        self.assertEqual(presence, {"count": 3, "ids": [], "hash": {}})
        frames = [json.loads(sockets[0].recv())]
        while frames[-1]["event"] != "pusher_internal:subscription_count":
            frames.append(json.loads(sockets[0].recv()))
        self.assertEqual(json.loads(frames[-1]["data"]), {"subscription_count": 3, "user_count": 3})
        self.assertEqual([frame["event"] for frame in frames[:-1]], ["pusher_internal:member_added"])
        target, _ = api("GET", "/apps/77/channels/presence-a/users")
        self.assertEqual(http_client.get(self.server.address(), target).status, 400)

    def test_names_that_are_none(self):
        self.start()
        socket, _ = self.connect()
        for channel in ("", "a b", "a/b", "x" * 165, "#other", "#server-to-user-"):
            self.subscribe(socket, channel)
            self.hear(socket, event="pusher:subscription_error")
        self.subscribe(socket, "#server-to-user-7")
        self.hear(socket, event="pusher:subscription_error", channel="#server-to-user-7")

    def test_frames_that_are_none(self):
        self.start()
        for text in ("nonsense", "[]", '{"data":1}'):
            socket, _ = self.connect()
            socket.send(text)
            self.assertEqual(self.hear(socket, event="pusher:error")["data"]["code"], 4200)
            socket.send(text)
            self.hear(socket, event="pusher:error")
            self.assertEqual(socket.recv_close(), 4100)

    def test_frames_that_are_understood_never_close(self):
        self.start()
        socket, me = self.connect()
        self.subscribe(socket, "private-a", auth=f"{KEY}:" + sign(f"{me}:private-a"))
        self.hear(socket, event="pusher_internal:subscription_succeeded")
        for _ in range(3):
            self.say(socket, event="pusher:subscribe", data={})
            self.assertEqual(self.hear_past_counts(socket, event="pusher:error")["data"]["code"], 4301)
            self.say(socket, event="client-big", channel="private-a", data="x" * 10241)
            self.assertEqual(self.hear_past_counts(socket, event="pusher:error")["data"]["code"], 4301)
        socket.send("nonsense")  # The first such one.
        self.assertEqual(self.hear_past_counts(socket, event="pusher:error")["data"]["code"], 4200)
        self.say(socket, event="pusher:ping", data={})
        self.hear_past_counts(socket, event="pusher:pong", data="{}")

    def test_pings_and_events_of_later_versions(self):
        self.start()
        socket, _ = self.connect()
        self.say(socket, event="pusher:something_new", data={})
        self.say(socket, event="pusher:ping", data={})
        self.hear(socket, event="pusher:pong", data="{}")
        self.say(socket, event="anything", data={})
        self.assertEqual(self.hear(socket, event="pusher:error")["data"]["code"], 4301)

    def test_client_events_where_there_are_none(self):
        self.start("client_events off;")
        socket, me = self.connect()
        self.subscribe(socket, "private-a", auth=f"{KEY}:" + sign(f"{me}:private-a"))
        self.hear(socket, event="pusher_internal:subscription_succeeded")
        self.say(socket, event="client-x", channel="private-a", data={})
        frame = json.loads(socket.recv())
        while frame["event"] == "pusher_internal:subscription_count":
            frame = json.loads(socket.recv())
        self.assertEqual((frame["event"], frame["data"]["code"]), ("pusher:error", 4301))

    def test_how_many_client_events_a_second(self):
        """All at once: what is not refused goes to the other subscriber."""
        for setting, passed in (("", 10), ("client_event_rate 3;", 3), ("client_event_rate 1000;", 40)):
            with self.subTest(setting=setting):
                self.start(setting, workers=1)
                sockets = []
                for socket, me in (self.connect(), self.connect()):
                    self.subscribe(socket, "private-a", auth=f"{KEY}:" + sign(f"{me}:private-a"))
                    self.hear_past_counts(socket, event="pusher_internal:subscription_succeeded")
                    sockets.append(socket)
                event = json.dumps({"event": "client-x", "channel": "private-a", "data": {}}).encode()
                sockets[0].wire.send(b"".join(ws_frame.encode(ws_frame.TEXT, event) for _ in range(40)))
                self.say(sockets[0], event="pusher:ping", data={})
                refused = [frame["data"]["code"] for frame in self.hear_until(sockets[0], "pusher:pong")]
                self.assertEqual(refused, [4301] * (40 - passed))
                self.publish("private-a", "end", "1")
                heard = [frame["event"] for frame in self.hear_until(sockets[1], "end")]
                self.assertEqual(heard, ["client-x"] * passed)

    def test_which_events_the_application_is_told(self):
        every = {"channel_occupied", "subscription_count", "client_event", "member_added", "cache_miss"}
        for setting, wanted in (("", every), ("webhook_events all;", every),
                                ("webhook_events cache_miss client_event;", {"cache_miss", "client_event"})):
            with self.subTest(setting=setting):
                app = self.backend(Reply(200))
                self.server = self.gateway(HTTP % (f"webhook app {{ url {app.url}/; batch_delay 0; }}",
                                                   f"webhook app; {setting}", ""), workers=1)
                told = lambda: {event["name"] for request in app.seen() for event in request.json()["events"]}
                socket, me = self.connect()
                data = '{"user_id":7}'
                self.subscribe(socket, "presence-a", auth=f"{KEY}:" + sign(f"{me}:presence-a:{data}"), channel_data=data)
                self.hear_past_counts(socket, event="pusher_internal:subscription_succeeded", channel="presence-a")
                self.say(socket, event="client-x", channel="presence-a", data={})
                self.subscribe(socket, "room")
                self.hear_past_counts(socket, event="pusher_internal:subscription_succeeded", channel="room")
                self.subscribe(socket, "cache-a")
                self.hear_until(socket, "pusher:cache_miss")
                beamgate.until(lambda: wanted <= told(), 10, f"{wanted} and not {told()}")
                self.server.stop()  # What waits is delivered.
                self.assertEqual(told() & every, wanted)

    def test_sign_in_that_is_not_good(self):
        self.start()
        socket, me = self.connect()
        self.say(socket, event="pusher:signin", data={"auth": f"{KEY}:00", "user_data": '{"id":"u"}'})
        self.assertEqual(self.hear(socket, event="pusher:error")["data"]["code"], 4009)
        self.assertEqual(socket.recv_close(), 4009)

    def test_requests_that_are_not_signed_well(self):
        self.start()
        event = {"name": "e", "channel": "a", "data": "1"}
        for target, body in (api("POST", "/apps/77/events", event, secret="wrong"),
                             api("POST", "/apps/77/events", event, now=time.time() - 700),
                             api("POST", "/apps/78/events", event),
                             api("POST", "/apps/79/events", event),
                             (api("POST", "/apps/77/events", event)[0], json.dumps({**event, "data": "2"})),
                             ("/apps/77/events", json.dumps(event))):
            reply = http_client.post(self.server.address(), target, body)
            self.assertEqual(reply.status, 401, reply.text)
        target, body = api("POST", "/apps/78/events", event, secret="0123456789abcdef", key="tillkey")
        self.assertEqual(http_client.post(self.server.address(), "/only" + target, body).status, 200)
        target, body = api("POST", "/apps/77/events", event)
        self.assertEqual(http_client.post(self.server.address(), "/only" + target, body).status, 401)
        self.assertEqual(http_client.get(self.server.address(), target).status, 405)

    def test_events_that_are_none(self):
        self.start(main="publication_max 1k;")
        for status, event in ((400, {}), (400, {"name": "e", "data": "1"}), (400, {"name": "e", "channel": "a b", "data": "1"}),
                              (400, {"name": "e" * 201, "channel": "a", "data": "1"}), (400, {"name": "e", "channel": "a"}),
                              (400, {"name": "e", "channels": ["a"] * 101, "data": "1"}),
                              (400, {"name": "e", "channel": "a", "data": "1", "socket_id": "x"}),
                              (413, {"name": "e", "channel": "a", "data": "x" * 1025})):
            target, body = api("POST", "/apps/77/events", event)
            self.assertEqual(http_client.post(self.server.address(), target, body).status, status, str(event)[:80])

    def test_one_room_for_several_protocols(self):
        self.start()
        socket, _ = self.connect()
        self.subscribe(socket, "room")
        self.hear(socket, event="pusher_internal:subscription_succeeded", channel="room")
        raw = ws_client.connect(self.server.address(), "/raw?room=room")
        self.addCleanup(raw.wire.close)
        self.publish("room", "tick", '{"n": 1}')
        self.assertEqual(raw.recv(), '{"n": 1}')
        frames = [json.loads(socket.recv())]
        while frames[-1]["event"] != "tick":
            frames.append(json.loads(socket.recv()))
        self.assertEqual(frames[-1], {"event": "tick", "channel": "room", "data": '{"n": 1}'})
        raw.send("hello")
        while (frame := json.loads(socket.recv()))["event"] != "message":
            self.assertEqual(frame["event"], "pusher_internal:subscription_count")
        self.assertEqual(frame, {"event": "message", "channel": "room", "data": "hello"})

    def test_the_application_is_asked_who_may_connect(self):
        app = self.backend(Reply(204, headers={"beamgate-user": "ann"}))
        self.server = self.gateway(HTTP % (f"webhook app {{ url {app.url}/; breaker_failures 0; }}", "", "webhook app;"))
        socket, _ = self.connect()
        self.subscribe(socket, "#server-to-user-ann")
        self.hear(socket, event="pusher_internal:subscription_succeeded", channel="#server-to-user-ann")
        self.publish("#server-to-user-ann", "greeting", "hello")
        self.hear(socket, event="greeting", channel="#server-to-user-ann", data="hello")
        self.subscribe(socket, "#server-to-user-bob")
        self.hear(socket, event="pusher:subscription_error", channel="#server-to-user-bob")
        reply = http_client.post(self.server.address(), "/api/users/ann", "from the server API", {"Content-Type": "text/plain"})
        self.assertEqual(reply.status, 200)
        self.hear(socket, event="message", data="from the server API")
        self.assertEqual(http_client.request(self.server.address(), "DELETE", "/api/users/ann").status, 200)
        self.assertEqual(socket.recv_close(), 4009)
        app.wait("beamgate.connect")
        for status, code in ((403, 4009), (503, 4100)):
            app.on("beamgate.connect", Reply(status))
            self.refused_with(f"/app/{KEY}?protocol=7", code)

    def hear_count(self, socket, count):
        frame = self.hear(socket, event="pusher_internal:subscription_count", channel="room")
        self.assertEqual(json.loads(frame["data"]), {"subscription_count": count})

    def test_subscribers_of_every_protocol_are_counted_as_they_come_and_go(self):
        self.start()
        socket, _ = self.connect()
        self.subscribe(socket, "room")
        self.hear(socket, event="pusher_internal:subscription_succeeded", channel="room")
        self.hear_count(socket, 1)
        raw = ws_client.connect(self.server.address(), "/raw?room=room")
        self.hear_count(socket, 2)
        raw.close()
        self.hear_count(socket, 1)

    def test_a_public_channel_that_the_application_is_asked_about(self):
        app = self.backend(Reply(204))
        self.server = self.gateway(HTTP % (
            f"webhook app {{ url {app.url}/; breaker_failures 0; }} channels asked-* {{ subscribe webhook; webhook app; }}", "", ""))
        socket, me = self.connect()
        self.subscribe(socket, "asked-a", note=1)
        self.hear(socket, event="pusher_internal:subscription_succeeded", channel="asked-a", data="{}")
        call = app.wait("beamgate.subscribe")
        self.assertEqual((call.header("beamgate-channel"), json.loads(call.body)), ("asked-a", {"channel": "asked-a", "note": 1}))
        self.publish("asked-a", "tick", "1")
        self.hear_past_counts(socket, event="tick")
        for status, said in ((403, 403), (404, 404), (500, 503)):
            app.on("beamgate.subscribe", Reply(status))
            self.subscribe(socket, f"asked-{status}")
            error = self.hear_past_counts(socket, event="pusher:subscription_error", channel=f"asked-{status}")
            self.assertEqual(error["data"]["status"], said)
        self.subscribe(socket, "private-asked-b", auth=f"{KEY}:" + sign(f"{me}:private-asked-b"))
        self.hear_past_counts(socket, event="pusher_internal:subscription_succeeded", channel="private-asked-b")

    def test_who_leaves_while_the_application_is_asked_stays_out(self):
        for answer in (Reply(204), Reply(403), Reply(500)):
            with self.subTest(answer=answer.status):
                app = self.backend(Reply(204))
                held = Held(answer)
                app.on("beamgate.subscribe", held)
                self.server = self.gateway(HTTP % (
                    f"webhook app {{ url {app.url}/; breaker_failures 0; }} channels asked-* {{ subscribe webhook; webhook app; }}",
                    "", ""))
                socket, _ = self.connect()
                self.subscribe(socket, "asked-a")
                app.wait("beamgate.subscribe")
                self.say(socket, event="pusher:unsubscribe", data={"channel": "asked-a"})
                self.subscribe(socket, "asked-b")  # Nobody needs to be asked about it any more.
                self.say(socket, event="pusher:unsubscribe", data={"channel": "asked-b"})
                self.subscribe(socket, "asked-c")
                self.say(socket, event="pusher:ping", data={})
                self.hear(socket, event="pusher:pong", data="{}")
                app.on("beamgate.subscribe", Reply(204))
                held.release()
                self.hear(socket, event="pusher_internal:subscription_succeeded", channel="asked-c", data="{}")
                channels = http_client.post(self.server.address(), "/api/channels", {}).json()["result"]["channels"]
                self.assertEqual([name for name in channels if name.startswith("asked-")], ["asked-c"])
                self.subscribe(socket, "asked-a")  # The last word counts.
                self.hear_past_counts(socket, event="pusher_internal:subscription_succeeded", channel="asked-a", data="{}")
                asked = [call.header("beamgate-channel") for call in app.seen("beamgate.subscribe")]
                self.assertEqual(asked, ["asked-a", "asked-c", "asked-a"])

    def test_a_public_channel_that_wants_a_token(self):
        secret = "thirty-two bytes or more, as it ought"
        self.server = self.gateway(HTTP % (
            f'token people {{ secret "{secret}"; }} channels closed-* {{ subscribe token; }}', "", "websocket_token people;"))
        socket, me = self.connect()
        good = jwt_token.sign(secret, {"channel": "closed-a"})
        for auth in ({}, {"auth": f"{KEY}:00"}, {"auth": jwt_token.sign(secret, {"channel": "closed-b"})}, {"auth": good[:-2] + "xx"},
                     {"auth": jwt_token.sign(secret, {"channel": "closed-a", "sub": "ann"})}):
            self.subscribe(socket, "closed-a", **auth)
            error = self.hear(socket, event="pusher:subscription_error", channel="closed-a")
            self.assertEqual(error["data"]["status"], 401, auth)
        self.subscribe(socket, "closed-a", auth=good)
        self.hear(socket, event="pusher_internal:subscription_succeeded", channel="closed-a")
        self.subscribe(socket, "closed-c", auth=f"{KEY}:" + sign(f"{me}:closed-c"))
        while (frame := json.loads(socket.recv()))["event"] == "pusher_internal:subscription_count":
            pass
        self.assertEqual((frame["event"], frame["channel"]), ("pusher_internal:subscription_succeeded", "closed-c"))

    def test_an_app_has_so_many_connections(self):
        self.start("connections_max 2;")
        first, _ = self.connect()
        self.connect()
        self.refused_with(f"/app/{KEY}?protocol=7", 4100)
        self.open("/app/tillkey?protocol=7").recv()  # Another app's are its own matter.
        first.close()

        def admitted():
            return json.loads(self.open().recv())["event"] == "pusher:connection_established"
        beamgate.until(admitted)

    def test_apps_may_share_their_channels(self):
        self.start()
        raw = ws_client.connect(self.server.address(), "/raw?room=till/room")
        self.addCleanup(raw.wire.close)
        self.publish("room", "tick", "of the shop, which raw doesn't hear")
        target, body = api("POST", "/apps/78/events", {"name": "tick", "channel": "room", "data": "of the till"},
                           secret="0123456789abcdef", key="tillkey")
        self.assertEqual(http_client.post(self.server.address(), target, body).status, 200)
        self.assertEqual(raw.recv(), "of the till")
        shared = self.gateway(HTTP.replace("key tillkey;", "key tillkey; channel_prefix off;") % ("", "", ""))
        raw = ws_client.connect(shared.address(), "/raw?room=room")
        self.addCleanup(raw.wire.close)
        self.assertEqual(http_client.post(shared.address(), target, body).status, 200)
        self.assertEqual(raw.recv(), "of the till")

    def test_a_drain_says_come_back(self):
        self.start(workers=1)
        socket, _ = self.connect()
        self.server.signal(SIGQUIT)
        self.assertEqual(socket.recv_close(), 4200)


if __name__ == "__main__":
    beamgate.main()
