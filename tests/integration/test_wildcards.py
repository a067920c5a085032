"""Subscriptions to patterns of channels, where "channels" blocks allow them."""

import json

import beamgate
import centrifuge_client
import event_stream
import http_client

HTTP = """
channels * { wildcards on; }
channels chat:* { wildcards on; }
channels chat:secret { subscribe denied; }
channels kept:* { wildcards on; history 10 10m; }
channels past:* { history 10 10m; }
channels plain:* { }
server {
    listen 127.0.0.1:0;
    location = /connection { websocket centrifuge; }
    location = /named { websocket centrifuge; websocket_subscribe kept:*; }
    location = /events { sse argument=c; }
    location = /poll { longpoll argument=c; longpoll_timeout 20s; }
    location = /short { longpoll argument=c; longpoll_timeout 200ms; }
    location /api/ { api on; }
}
"""


class Wildcards(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, workers=3)

    def subscribe(self, *channels):
        client = self.track(centrifuge_client.connect(self.running.address()))
        for channel in channels:
            client.call("subscribe", channel=channel)
        return client

    def publish(self, channel, data):
        answer = http_client.post(self.running.address(), "/api/publish", {"channel": channel, "data": data}).json()
        self.assertIn("result", answer)

    def test_a_pattern_brings_what_fits_in_order_and_says_where_it_is_from(self):
        clients = [self.subscribe("chat:*") for _ in range(6)]
        for n in range(10):
            self.publish(f"chat:{n % 3}", n)
        self.publish("chat:1:deep", "not this")
        self.publish("other:1", "nor this")
        self.publish("chat:end", "end")
        for client in clients:
            heard = []
            while not heard or heard[-1]["data"] != "end":
                heard.append(client.push("pub", "chat:*"))
            self.assertEqual([pub["data"] for pub in heard], [*range(10), "end"])
            self.assertEqual([pub["tags"]["channel"] for pub in heard], [f"chat:{n % 3}" for n in range(10)] + ["chat:end"])

    def test_who_has_left_hears_nothing(self):
        client = self.subscribe("chat:*", "chat:1")
        client.call("unsubscribe", channel="chat:*")
        self.publish("chat:2", "not this")
        self.publish("chat:1", "this")
        self.assertEqual(client.push("pub")["data"], "this")

    def test_where_there_are_none_a_star_is_a_name(self):
        client = self.subscribe("plain:*")
        self.publish("plain:1", "not this")
        self.publish("plain:*", "this")
        self.assertEqual(client.push("pub"), {"data": "this", "offset": 1})

    def test_a_pattern_is_no_way_around_the_rules_of_a_channel(self):
        client = self.subscribe("chat:*", "*")
        self.publish("chat:secret", "not this")
        self.publish("#server-to-user-ann", "nor this")
        self.publish("lobby", "this")
        self.publish("chat:1", "and this")
        self.assertEqual([client.push("pub")["data"] for _ in range(2)], ["this", "and this"])

    def test_nobody_publishes_into_a_pattern(self):
        client = self.subscribe("chat:*")
        with self.assertRaisesRegex(AssertionError, "103"):
            client.call("publish", channel="chat:*", data="x")

    # --- A pattern has no place to go on from: that its own offset is where it was says nothing.

    def test_a_pattern_is_not_recovered(self):
        client = self.subscribe()
        self.assertEqual(client.call("subscribe", channel="kept:*"), {})
        epoch = client.call("subscribe", channel="kept:1")["epoch"]
        client.call("unsubscribe", channel="kept:*")
        self.publish("kept:2", "missed")
        position = {"channel": "kept:*", "recover": True, "offset": 0}
        for place in (epoch, ""):
            self.assertEqual(client.call("subscribe", epoch=place, **position), {"was_recovering": True})
            with self.assertRaisesRegex(AssertionError, "108"):
                client.call("history", channel="kept:*", limit=5)
            client.call("unsubscribe", channel="kept:*")
        with self.assertRaisesRegex(AssertionError, "112"):
            client.call("subscribe", epoch=epoch, flag=2, **position)

    def test_a_pattern_that_the_server_subscribes_to(self):
        client = self.track(centrifuge_client.connect(self.running.address(), "/named"))
        self.publish("kept:1", "this")
        self.assertEqual(client.push("pub", "kept:*")["data"], "this")

    def test_an_event_stream_that_comes_back_to_a_pattern_is_told(self):
        address = self.running.address()
        for target, place in (("/events?c=chat:*", 0), ("/events?c=kept:*", 1)):
            reader = self.track(event_stream.Reader(address, target)).wait_joined()
            for _ in range(place):
                self.publish("kept:1", "heard")
                self.assertEqual(json.loads(reader.next().data), "heard")
            pattern = target.partition("=")[2]
            event = self.track(event_stream.Reader(address, target, last_id=reader.last_id)).next()
            self.assertEqual((event.name, json.loads(event.data)),
                             (event_stream.RESET, {"reason": "history", "channel": pattern}))

    def test_what_else_an_event_stream_follows_is_recovered(self):
        address = self.running.address()
        target = "/events?c=past:1&c=kept:*"
        reader = self.track(event_stream.Reader(address, target)).wait_joined()
        self.publish("kept:1", "heard")
        self.assertEqual(json.loads(reader.next().data), "heard")
        self.publish("past:1", "meanwhile")
        again = self.track(event_stream.Reader(address, target, last_id=reader.last_id))
        events = {event.name: json.loads(event.data) for event in (again.next(), again.next())}
        self.assertEqual(events, {"message": "meanwhile", event_stream.RESET: {"reason": "history", "channel": "kept:*"}})

    def poll(self, target):
        return http_client.get(self.running.address(), target)

    def test_each_answer_of_long_polling_says_that_something_may_be_missing(self):
        for pattern in ("kept:*", "chat:*"):
            target = f"/short?c={pattern}"
            first = self.poll(target)
            self.assertEqual(first.status, 204)
            cursor = first.header("etag").strip('"')
            self.publish(pattern.replace("*", "1"), "missed")
            for since in (cursor, "nonsense"):
                answer = self.poll(f"{target}&since={since}")
                self.assertEqual(answer.json(), {"cursor": cursor, "publications": [], "missed": [pattern]})

    def test_long_polling_goes_on_with_a_pattern(self):
        target = "/poll?c=kept:*&c=past:1"
        cursor = self.poll("/short?c=kept:*&c=past:1").header("etag").strip('"')
        for channel in ("kept:1", "past:1", "kept:1"):
            connection = self.track(http_client.Connection(self.running.address(), timeout=30))
            connection.send_request("GET", f"{target}&since={cursor}")
            beamgate.until(lambda: self.waiting("kept:*") and self.waiting("past:1"))
            self.publish(channel, "heard")
            answer = connection.read_response().json()
            self.assertEqual([p["data"] for p in answer["publications"]], ["heard"])
            self.assertEqual(answer["missed"], ["kept:*"])
            cursor = answer["cursor"]
        self.publish("past:1", "meanwhile")
        answer = self.poll(f"{target}&since={cursor}").json()
        self.assertEqual([(p["channel"], p["data"]) for p in answer["publications"]], [("past:1", "meanwhile")])
        self.assertEqual(answer["missed"], ["kept:*"])

    def waiting(self, channel):
        answer = http_client.post(self.running.address(), "/api/channels", {}).json()
        return answer["result"]["channels"].get(channel, {}).get("num_clients", 0) == 1


if __name__ == "__main__":
    beamgate.main()
