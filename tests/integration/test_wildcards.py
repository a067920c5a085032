"""Subscriptions to patterns of channels, where "channels" blocks allow them."""

import beamgate
import centrifuge_client
import http_client

HTTP = """
channels * { wildcards on; }
channels chat:* { wildcards on; }
channels chat:secret { subscribe denied; }
channels plain:* { }
server {
    listen 127.0.0.1:0;
    location = /connection { websocket centrifuge; }
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


if __name__ == "__main__":
    beamgate.main()
