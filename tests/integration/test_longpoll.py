"""Long-polling: each publication once by one request after the other, with a cursor; judged by curl and by plain sockets."""

import json
import subprocess
import threading
import time

import beamgate
import h2_client
import http_client

HTTP = """
channels kept* { history 1000 10m; }
channels few* { history 1 10m; }
server {
    listen 127.0.0.1:0 http2;
    keepalive_requests 100000;
    location = /kept { longpoll kept; longpoll_timeout 20s; add_header X-Own yes; }
    location = /few { longpoll kept; longpoll_publications 3; }
    location = /two { longpoll kept.a kept.b; longpoll_timeout 300ms; }
    location = /short { longpoll kept; longpoll_timeout 200ms; }
    location = /room { longpoll room; longpoll_timeout 200ms; }
    location = /any { longpoll argument=c; longpoll_timeout 200ms; }
    location = /ours { longpoll kept; longpoll_timeout 200ms; longpoll_origins https://a.example; longpoll_credentials on; }
    location = /hello { return 200 hello; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""


class LongPoll(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, workers=4)
        self.address = self.running.address()

    def publish(self, channel, data, kind="text/plain"):
        answer = http_client.request(self.address, "POST", f"/api/publish?channel={channel}", {"Content-Type": kind}, data)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["result"]

    def waiting(self, count=1):
        """Until so many requests get what is published from now on."""
        beamgate.until(lambda: self.running.metrics()["beamgate_long_polls_active"] == count and self.joined() >= count)

    def joined(self):
        answer = http_client.request(self.address, "POST", "/api/channels", (), b"{}")
        return sum(channel["num_clients"] for channel in answer.json()["result"]["channels"].values())

    def ask(self, target, fields=()):
        connection = self.track(http_client.Connection(self.address, timeout=30))
        connection.send_request("GET", target, fields)
        return connection

    def test_each_publication_once(self):
        first = self.ask("/kept")
        self.waiting()
        self.publish("kept", "0")
        answer = first.read_response()
        self.assertEqual((answer.status, answer.header("content-type"), answer.header("x-own")),
                         (200, "application/json", "yes"))
        heard = []
        counted = 0

        def publish():
            for number in range(1, 200):
                self.publish("kept", str(number))
        publisher = threading.Thread(target=publish)
        publisher.start()
        while True:
            body = answer.json()
            self.assertEqual(answer.header("etag"), f'"{body["cursor"]}"')
            self.assertNotIn("missed", body)
            heard += [(p["channel"], p["offset"], p["data"]) for p in body["publications"]]
            if len(heard) >= 200:
                break
            counted += 1
            # One connection for all of them, and both ways to name the cursor.
            if counted % 2:
                first.send_request("GET", f"/kept?since={body['cursor']}")
            else:
                first.send_request("GET", "/kept", {"If-None-Match": answer.header("etag")})
            answer = first.read_response(timeout=30)
            self.assertEqual(answer.status, 200)
        publisher.join()
        self.assertEqual(heard, [("kept", n + 1, str(n)) for n in range(200)])
        first.send_request("GET", "/hello")
        self.assertEqual(first.read_response().text, "hello")

    def test_no_news(self):
        with self.ask("/short") as connection:
            begin = time.monotonic()
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertGreater(time.monotonic() - begin, 0.19)
            tag = answer.header("etag")
            self.assertRegex(tag, r'^"[A-Za-z0-9]+:0"$')
            self.publish("kept", "meanwhile")
            connection.send_request("GET", "/short", {"If-None-Match": f"W/{tag}"})
            body = connection.read_response().json()
            self.assertEqual([p["data"] for p in body["publications"]], ["meanwhile"])
            connection.send_request("GET", f"/short?since={body['cursor']}")
            self.assertEqual(connection.read_response().header("etag"), f'"{body["cursor"]}"')

    def test_a_few_at_a_time(self):
        cursor = f"{self.publish('kept', '0')['epoch']}:0"
        for number in range(1, 8):
            self.publish("kept", str(number))
        heard = []
        with self.ask(f"/few?since={cursor}") as connection:
            for count in (3, 3, 2):
                body = connection.read_response().json()
                self.assertEqual(len(body["publications"]), count)
                heard += [p["data"] for p in body["publications"]]
                connection.send_request("GET", f"/few?since={body['cursor']}")
        self.assertEqual(heard, [str(n) for n in range(8)])

    def test_several_channels(self):
        with self.ask("/two") as connection:
            cursor = connection.read_response().header("etag").strip('"')
            self.publish("kept.a", "a")
            self.publish("kept.b", "b")
            heard = []
            for _ in range(2):
                connection.send_request("GET", f"/two?since={cursor}")
                body = connection.read_response().json()
                heard += [(p["channel"], p["data"]) for p in body["publications"]]
                cursor = body["cursor"]
            self.assertEqual(sorted(heard), [("kept.a", "a"), ("kept.b", "b")])
            connection.send_request("GET", f"/two?since={cursor}")
            self.assertEqual(connection.read_response().status, 204)

    def follow(self, target, cursor, count):
        """Publications of as many requests as it takes, and the cursor behind them."""
        heard = []
        while len(heard) < count:
            answer = self.ask(f"{target}since={cursor}").read_response()
            self.assertEqual(answer.status, 200)
            self.assertNotIn("missed", answer.json())
            heard += [(p["channel"], p["data"]) for p in answer.json()["publications"]]
            cursor = answer.json()["cursor"]
        return sorted(heard), cursor

    def test_a_cursor_of_other_channels(self):
        """The answer's cursor has every channel of the request, so that the next one waits, and gets what is published."""
        both = "/any?c=kept.a&c=kept.b&"
        one = self.ask("/any?c=kept.a").read_response().header("etag").strip('"')
        two = self.ask(both).read_response().header("etag").strip('"')
        three = self.ask(f"{both}c=room&").read_response().header("etag").strip('"')
        self.publish("kept.a", "a")
        for since in ("nonsense", "another:1", one, two + ",x"):
            body = self.ask(f"{both}since={since}").read_response().json()
            self.assertEqual((body["missed"], body["publications"]), (["kept.a", "kept.b"], []))
            self.assertEqual(self.ask(f"{both}since={body['cursor']}").read_response().status, 204)
            self.publish("kept.a", "more")
            self.publish("kept.b", since)
            heard, cursor = self.follow(both, body["cursor"], 2)
            self.assertEqual(heard, [("kept.a", "more"), ("kept.b", since)])
            self.assertEqual(self.ask(f"{both}since={cursor}").read_response().status, 204)
        news = [("kept.a", "a")] + [("kept.a", "more")] * 4
        self.assertEqual([each for each in self.follow(both, two, 9)[0] if each[0] == "kept.a"], news)
        self.assertEqual([each for each in self.follow(both, three, 9)[0] if each[0] == "kept.a"], news)
        self.assertEqual(self.follow("/any?c=kept.a&", two, 5)[0], news)
        body = self.ask(f"{both}c=kept.c&since={two}").read_response().json()
        self.assertEqual((body["missed"], body["publications"]), (["kept.c"], []))
        self.assertEqual(len(self.follow(f"{both}c=kept.c&", body["cursor"], 9)[0]), 9)

    def test_several_histories_that_are_gone(self):
        with self.ask("/any?c=few.a&c=few.b&c=kept.a") as connection:
            cursor = connection.read_response().header("etag").strip('"')
        for channel in ("few.a", "few.b", "kept.a"):
            for number in range(3):
                self.publish(channel, str(number))
        body = self.ask(f"/any?c=few.a&c=few.b&c=kept.a&since={cursor}").read_response().json()
        told = set(body.get("missed", ()))
        heard = [p["data"] for p in body["publications"]]
        while len(told) < 2 or len(heard) < 3:
            body = self.ask(f"/any?c=few.a&c=few.b&c=kept.a&since={body['cursor']}").read_response().json()
            told |= set(body.get("missed", ()))
            heard += [p["data"] for p in body["publications"]]
        self.assertEqual((told, heard), ({"few.a", "few.b"}, ["0", "1", "2"]))
        answer = self.ask(f"/any?c=few.a&c=few.b&c=kept.a&since={body['cursor']}").read_response()
        self.assertEqual(answer.status, 204)

    def test_what_is_missed_is_said(self):
        for cursor in ("another:1", "nonsense"):
            with self.ask(f"/kept?since={cursor}") as connection:
                body = connection.read_response().json()
                self.assertEqual((body["missed"], body["publications"]), (["kept"], []))
                connection.send_request("GET", f"/short?since={body['cursor']}")
                self.assertEqual(connection.read_response().status, 204)

    def test_payloads(self):
        epoch = self.publish("kept", b"\x00\xff", "application/octet-stream")["epoch"]
        http_client.post(self.address, "/api/publish", {"channel": "kept", "data": {"a": [1, "ä"]}})
        self.publish("kept", 'text "quoted"\n')
        body = self.ask(f"/kept?since={epoch}:0").read_response().json()
        self.assertEqual([(p.get("encoding"), p["data"]) for p in body["publications"]],
                         [("base64", "AP8="), (None, {"a": [1, "ä"]}), (None, 'text "quoted"\n')])

    def test_requests_that_are_none(self):
        for target, status in (("/any", 400), ("/any?c=", 400), ("/any?c=%23server-to-user-x", 403), ("/any?c=a", 204)):
            self.assertEqual(http_client.get(self.address, target).status, status, target)
        self.assertEqual(http_client.request(self.address, "POST", "/kept", {}, "x").status, 405)
        refused = http_client.get(self.address, "/ours", {"Origin": "https://b.example"})
        self.assertEqual(refused.status, 403)
        answer = http_client.get(self.address, "/ours", {"Origin": "https://a.example"})
        self.assertEqual((answer.status, answer.header("access-control-allow-origin"),
                          answer.header("access-control-expose-headers"), answer.header("access-control-allow-credentials")),
                         (204, "https://a.example", "ETag", "true"))
        old = self.track(http_client.Connection(self.address))
        old.send(b"GET /short HTTP/1.0\r\n\r\n")
        self.assertEqual(old.read_response().status, 204)
        old.wire.wait_end()

    def test_clients_that_go_and_that_hurry(self):
        connection = self.ask("/kept")
        self.waiting()
        connection.close()
        self.waiting(0)
        hurried = self.track(http_client.Connection(self.address))
        request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
        hurried.send(request % b"/short" + request % b"/hello" + request % b"/short" + request % b"/hello")
        self.assertEqual([hurried.read_response().status for _ in range(4)], [204, 200, 204, 200])

    def test_http2(self):
        client = self.track(h2_client.connect(self.address))
        streams = [client.request("GET", target) for target in ("/kept", "/kept", "/short")]
        self.waiting(3)
        answer = client.response(streams[2])
        self.assertEqual((answer.status, json.loads(answer.body)["publications"]), (200, []))
        self.publish("kept", "news")
        for stream in streams[:2]:
            answer = client.response(stream)
            self.assertEqual((answer.status, [p["data"] for p in json.loads(answer.body)["publications"]]), (200, ["news"]))
        self.assertEqual(client.get("/hello").text, "hello")

    def test_curl(self):
        for version in ("--http1.1", "--http2-prior-knowledge"):
            curl = subprocess.Popen(["curl", "-sS", "-i", version, f"http://{self.address}/kept"], stdout=subprocess.PIPE,
                                    text=True)
            self.addCleanup(curl.kill)
            self.waiting()
            self.publish("kept", "for curl")
            output, _ = curl.communicate(timeout=20)
            self.assertIn('"data":"for curl"', output)
        empty = subprocess.run(["curl", "-sS", "-i", "--http1.1", f"http://{self.address}/short"], capture_output=True,
                               text=True, timeout=20)
        self.assertTrue(empty.stdout.startswith("HTTP/1.1 204 "), empty)


if __name__ == "__main__":
    beamgate.main()
