"""What "channels" blocks say holds for clients of plain HTTP and TCP too: who may follow and publish, how fast and how many,
the newest publication for who comes, and presence."""

import json
import os
from signal import SIGHUP, SIGKILL

import beamgate
import event_stream
import http_client
import jwt_token
import ws_client
from wire import Wire, open_socket

HTTP = """
token people { secret "a secret of thirty-two bytes or more"; }
channels secret { subscribe denied; }
channels members { subscribe token; }
channels news { cache on; history 1 1m; }
channels small { subscribers_max 1; }
channels quiet { publish off; }
channels slow { rate 1r/s burst=2; }
channels there { presence on; }
channels few-* { subscribers_max 3; }
channels slow-* { rate 1r/m burst=3; }
server {
    listen 127.0.0.1:0;
    location = /any { sse argument=channel; }
    location = /poll { longpoll argument=channel; longpoll_timeout 100ms; }
    location = /secret { sse secret; }
    location ~ "^/raw/(?<name>.+)$" { websocket raw; websocket_subscribe $name; websocket_publish $name; }
    location ~ "^/token/(?<name>.+)$" { websocket raw; websocket_token people; websocket_subscribe $name; }
    location = /raw-secret { websocket raw; websocket_subscribe secret; }
    location /api/ { api on; }
    location = /metrics { metrics; }
}
"""


class Rules(beamgate.TestCase):
    workers = 1

    def setUp(self):
        self.running = self.gateway(HTTP, main="line { listen 127.0.0.1:0; }", workers=self.workers)
        self.http, self.line = self.running.addresses()

    def open(self, path, expect=200):
        return self.track(event_stream.Reader(self.http, path, expect=expect))

    def client(self, room, answer=None):
        wire = Wire(open_socket(self.line))
        self.addCleanup(wire.close)
        wire.send(f"JOIN {room}\n".encode())
        self.assertEqual(wire.read_until(b"\n").decode(), f"{answer or f'OK joined {room}'}\n")
        return wire

    def say(self, wire, text):
        wire.send(text.encode() + b"\n")

    def hear(self, wire):
        return wire.read_until(b"\n")[:-1].decode()

    def api(self, method, body):
        return http_client.post(self.http, f"/api/{method}", body).json()["result"]


class ChannelRules(Rules):
    def test_who_may_follow(self):
        for channel in ("secret", "members"):
            self.open(f"/any?channel={channel}", expect=403)
            self.open(f"/any?channel=open&channel={channel}", expect=403)
            self.assertEqual(http_client.get(self.http, f"/poll?channel={channel}").status, 403)
            self.client(channel, "ERR not allowed")
        secret = self.open("/secret").wait_joined()  # The configuration itself says so.
        self.api("publish", {"channel": "secret", "data": "told"})
        self.assertEqual(secret.next().data, '"told"')

    def test_how_many(self):
        first = self.open("/any?channel=small").wait_joined()
        refused = self.open("/any?channel=small", expect=503)
        self.assertEqual(refused.head.header("retry-after"), "1")
        self.assertEqual(http_client.get(self.http, "/poll?channel=small").status, 503)
        self.client("small", "ERR the room is full")
        first.close()
        beamgate.until(lambda: http_client.get(self.http, "/poll?channel=small").status == 204)

    def test_who_may_publish_and_how_fast(self):
        quiet = self.client("quiet")
        self.say(quiet, "hello")
        self.assertEqual(self.hear(quiet), "ERR not allowed")
        listener, fast = self.client("slow"), self.client("slow")
        for number in range(3):
            self.say(fast, f"{number}")
        self.assertEqual(self.hear(fast), "ERR too fast")
        self.assertEqual(self.running.metrics()['beamgate_publications_refused_total{reason="rate"}'], 1)
        self.assertEqual([self.hear(listener), self.hear(listener)], ["0", "1"])

    def test_the_newest_for_who_comes(self):
        for number in range(3):
            self.api("publish", {"channel": "news", "data": {"n": number}})
        stream, line = self.open("/any?channel=news"), self.client("news")
        self.assertEqual((json.loads(stream.next().data), json.loads(self.hear(line))), ({"n": 2}, {"n": 2}))
        self.api("publish", {"channel": "news", "data": {"n": 3}})
        self.assertEqual((json.loads(stream.next().data), json.loads(self.hear(line))), ({"n": 3}, {"n": 3}))

    def test_presence(self):
        stream, line = self.open("/any?channel=there").wait_joined(), self.client("there")
        present = self.api("presence", {"channel": "there"})["presence"]
        self.assertEqual(len(present), 2)
        line.close()
        stream.close()
        beamgate.until(lambda: self.api("presence", {"channel": "there"})["presence"] == {})


class RawWebSockets(Rules):
    """Where no application is asked, a channel that the request names has its rules."""

    def connect(self, path):
        return self.track(ws_client.connect(self.http, path))

    def refused(self, path):
        with self.assertRaises(ws_client.Refused) as refused:
            self.connect(path)
        return refused.exception.status

    def token(self, **claims):
        return jwt_token.sign("a secret of thirty-two bytes or more", claims)

    def test_who_may_follow(self):
        for channel in ("secret", "members", "%23server-to-user-ann"):
            self.assertEqual(self.refused(f"/raw/{channel}"), 403, channel)
        socket = self.connect("/raw-secret")  # The configuration itself says so.
        self.api("publish", {"channel": "secret", "data": "told"})
        self.assertEqual(socket.recv(), '"told"')
        self.connect("/raw/small")
        self.assertEqual(self.refused("/raw/small"), 503)

    def test_tokens_say_who_it_is_and_where_it_may_go(self):
        self.assertEqual(self.refused("/token/open"), 401)
        self.assertEqual(self.refused("/token/open?token=nonsense"), 401)
        self.assertEqual(self.refused(f"/token/members?token={self.token(sub='ann')}"), 403)
        self.assertEqual(self.refused(f"/token/%23server-to-user-bob?token={self.token(sub='ann')}"), 403)
        self.connect(f"/token/members?token={self.token(sub='ann', channel='members')}")
        self.connect(f"/token/there?token={self.token(sub='ann')}")
        self.assertEqual(http_client.get(self.http, "/api/users/ann").json()["result"]["protocols"], {"raw": 2})
        (member,) = self.api("presence", {"channel": "there"})["presence"].values()
        self.assertEqual(member["user"], "ann")

    def test_what_may_not_be_published_is_not(self):
        quiet, listener, slow = self.connect("/raw/quiet"), self.connect("/raw/slow"), self.connect("/raw/slow")
        quiet.send("not heard")
        for number in range(5):
            slow.send(str(number))
        slow.ping(b"all of it")
        self.assertEqual([slow.recv(), slow.recv()], ["0", "1"])
        while not slow.pongs:
            slow.pongs.append(slow.recv_frame().payload)
        self.assertEqual(slow.pongs, [b"all of it"])
        for channel in ("quiet", "slow"):
            self.api("publish", {"channel": channel, "data": "end"})
        self.assertEqual(quiet.recv(), '"end"')
        self.assertEqual([listener.recv() for _ in range(3)], ["0", "1", '"end"'])

    def test_the_newest_for_who_comes(self):
        self.api("publish", {"channel": "news", "data": 1})
        self.api("publish", {"channel": "news", "data": 2})
        socket = self.connect("/raw/news")
        self.assertEqual(socket.recv(), "2")
        self.api("publish", {"channel": "news", "data": 3})
        self.assertEqual(socket.recv(), "3")

    def test_presence(self):
        sockets = [self.connect("/raw/there") for _ in range(2)]
        self.assertEqual(self.api("presence_stats", {"channel": "there"}), {"num_clients": 2, "num_users": 2})
        sockets.pop().close()
        beamgate.until(lambda: self.api("presence_stats", {"channel": "there"})["num_clients"] == 1)


class SeveralWorkers(Rules):
    """Limits of a channel are the node's, whichever workers its clients are on."""

    workers = 3

    def ask_to_join(self, room):
        wire = Wire(open_socket(self.line))
        self.addCleanup(wire.close)
        wire.send(f"JOIN {room}\n".encode())
        return wire

    def test_how_many_of_those_who_come_at_once(self):
        wires = [self.ask_to_join("few-a") for _ in range(12)]
        answers = [self.hear(wire) for wire in wires]
        self.assertEqual(sorted(answers), ["ERR the room is full"] * 9 + ["OK joined few-a"] * 3)
        inside = [wire for wire, answer in zip(wires, answers) if answer.startswith("OK")]
        inside[0].close()
        beamgate.until(lambda: self.hear(self.ask_to_join("few-a")).startswith("OK"))
        self.client("few-a", "ERR the room is full")

    def test_places_of_a_dead_worker_are_kept_for_its_clients(self):
        inside = [self.client("few-a") for _ in range(3)]
        self.running.expect_deaths()
        before = self.running.wait_workers(3)
        for pid in before:
            os.kill(pid, SIGKILL)
        beamgate.until(lambda: not set(before) & set(self.running.wait_workers(3)))
        self.running.wait_log("worker_adopted", count=3)  # Each counts its clients anew.
        self.client("few-a", "ERR the room is full")
        inside.pop().close()
        beamgate.until(lambda: self.hear(self.ask_to_join("few-a")).startswith("OK"))
        self.client("few-a", "ERR the room is full")

    def test_a_limit_that_a_reload_brings_counts_who_is_there(self):
        inside = [self.client("small-new") for _ in range(3)]
        self.running.write_config(http="channels small-new { subscribers_max 3; }" + HTTP)
        mark = self.running.log_mark()
        self.running.signal(SIGHUP)
        self.running.wait_log(r"\breloaded\b", after=mark)

        def is_full():  # Workers take the new settings a moment later.
            wire = self.ask_to_join("small-new")
            full = self.hear(wire) == "ERR the room is full"
            wire.close()
            return full
        beamgate.until(is_full)
        inside.pop().close()
        beamgate.until(lambda: self.hear(self.ask_to_join("small-new")).startswith("OK"))

    def test_how_fast_all_of_them_together(self):
        wires = [self.client("slow-a") for _ in range(9)]
        listener = self.client("slow-a")
        for wire in wires:
            self.say(wire, "hello")
            self.say(wire, "JOIN elsewhere")
        self.assertEqual([self.hear(listener) for _ in range(3)], ["hello"] * 3)
        answers = []
        for wire in wires:
            while (answer := self.hear(wire)) != "OK joined elsewhere":
                answers.append(answer)
        self.assertEqual(answers.count("ERR too fast"), 6)


if __name__ == "__main__":
    beamgate.main()
